package org.outrigger.adapt.ear;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.bytedeco.pytorch.LongOptional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.Batch;
import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.io.State;
import org.outrigger.core.io.Stateful;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;
import org.outrigger.core.torch.Tensors;

/**
 * Follows a stream with an {@link Ear}: predicts each batch; once the window says that the stream
 * has come to a new domain, collects labelled rows, and learns it when there are enough. Domains
 * get the names {@code domain 1}, {@code domain 2}, ... by their positions.
 *
 * <p>The state holds the rows that wait; the EAR, which is borrowed, has its own. Not safe for
 * concurrent use.
 */
public final class ContinualLoop implements Stateful, AutoCloseable {
  private static final String TYPE = "adapt/ear-loop";

  private final Ear ear;
  private final int rows;
  private final boolean pseudoLabels;
  private List<Tensor> inputs = new ArrayList<>();
  private List<Tensor> labels = new ArrayList<>();
  private boolean collecting;

  /**
   * What came of a batch.
   *
   * @param routed predictions, made before anything was learned from the batch
   * @param decision what the window said
   * @param collected rows of the new domain that wait to be learned
   * @param added the domain that was learned now; null if none was
   */
  public record Step(
      Routed routed, Ear.Decision decision, long collected, @Nullable AddedDomain added)
      implements AutoCloseable {
    @Override
    public void close() {
      routed.close();
    }
  }

  /**
   * A loop over an EAR that knows a domain.
   *
   * @param rows n_new, how many rows a new domain is learned from, 2 or more
   * @param pseudoLabels whether batches without labels are learned from as they were predicted
   */
  public ContinualLoop(Ear ear, int rows, boolean pseudoLabels) {
    HyperParameter.atLeast("rows", rows, 2);
    this.ear = ear;
    this.rows = rows;
    this.pseudoLabels = pseudoLabels;
  }

  /**
   * Predicts a batch, and collects or learns it if it is of a new domain.
   *
   * @return what came of it; the caller or the enclosing scope owns the predictions
   * @throws OutriggerException if rows of a new domain have no labels
   */
  public Step next(Batch batch) {
    Routed routed = ear.predict(batch);
    Ear.Decision decision = ear.observe(routed);
    collecting |= decision == Ear.Decision.NEW_DOMAIN;
    AddedDomain added = null;
    if (collecting) {
      collect(batch, routed);
      if (collected() >= rows) {
        added = learn();
      }
    }
    return new Step(routed, decision, collected(), added);
  }

  private void collect(Batch batch, Routed routed) {
    Tensor given = batch.labels();
    if (given == null && !pseudoLabels) {
      throw new OutriggerException(
          "The stream has come to a new domain, but its rows have no labels: label "
              + rows
              + " of them, or allow pseudo-labels.");
    }
    Scopes.run(
        () -> {
          Tensor own = given != null ? given : routed.logits().argmax(new LongOptional(1), false);
          Tensor known = own.ge(Tensors.number(0)).nonzero().flatten();
          if (known.numel() > 0) {
            inputs.add(Scopes.own(batch.inputs().index_select(0, known)));
            labels.add(Scopes.own(own.index_select(0, known)));
          }
        });
  }

  private AddedDomain learn() {
    AddedDomain added =
        Scopes.scoped(
            () -> {
              try (TensorDataset data =
                  TensorDataset.builder(joined(inputs)).labels(joined(labels)).build()) {
                return ear.add("domain " + ear.domains().size(), data);
              }
            });
    close();
    return added;
  }

  private static Tensor joined(List<Tensor> parts) {
    return torch.cat(new TensorVector(parts.toArray(new Tensor[0])), 0);
  }

  /** How many rows wait to be learned. */
  public long collected() {
    return labels.stream().mapToLong(t -> t.size(0)).sum();
  }

  @Override
  public State state() {
    Map<String, Tensor> tensors = new LinkedHashMap<>();
    for (int i = 0; i < inputs.size(); i++) {
      tensors.put("inputs/" + i, inputs.get(i));
      tensors.put("labels/" + i, labels.get(i));
    }
    return new State(TYPE, 1, Map.of("collecting", collecting), tensors);
  }

  @Override
  public void restore(State state) {
    state.expect(TYPE, 1);
    List<Tensor> savedInputs = new ArrayList<>();
    List<Tensor> savedLabels = new ArrayList<>();
    for (int i = 0; i < state.tensors().size() / 2; i++) {
      Tensor x = state.tensor("inputs/" + i);
      Tensor y = state.tensor("labels/" + i);
      Shapes.labels("The saved labels", y, Long.MAX_VALUE, false);
      if (x.dim() < 2 || x.size(0) != y.size(0)) {
        throw new OutriggerException(
            "The saved loop is damaged: it has "
                + y.size(0)
                + " labels for inputs of shape "
                + Arrays.toString(x.shape())
                + ".");
      }
      savedInputs.add(x);
      savedLabels.add(y);
    }
    List<Tensor> nextInputs = owned(savedInputs);
    List<Tensor> nextLabels = owned(savedLabels);
    close();
    inputs = nextInputs;
    labels = nextLabels;
    collecting = Boolean.TRUE.equals(state.values().get("collecting"));
  }

  private static List<Tensor> owned(List<Tensor> tensors) {
    List<Tensor> owned = new ArrayList<>();
    Scopes.run(() -> tensors.forEach(t -> owned.add(Scopes.own(t.detach().clone()))));
    return owned;
  }

  /** Drops the rows that wait. */
  @Override
  public void close() {
    inputs.forEach(Scopes::release);
    labels.forEach(Scopes::release);
    inputs = new ArrayList<>();
    labels = new ArrayList<>();
    collecting = false;
  }
}
