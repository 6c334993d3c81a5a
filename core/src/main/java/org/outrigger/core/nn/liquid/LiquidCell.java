package org.outrigger.core.nn.liquid;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.nn.ForwardContext;
import org.outrigger.core.nn.Layer;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;

/**
 * A recurrent cell that is told how much time each step takes. As a {@link Layer} it maps a
 * sequence [B, L, inputs] to outputs [B, L, outputs], from a state of zeros and with steps of one
 * unit of time.
 */
public abstract class LiquidCell extends Layer {
  private final long inputs;
  private final long outputs;
  private final long stateSize;

  LiquidCell(long inputs, long outputs, long stateSize) {
    this.inputs = inputs;
    this.outputs = outputs;
    this.stateSize = stateSize;
  }

  /**
   * What one or more steps gave; the tensors belong to the enclosing scope.
   *
   * @param outputs [B, outputs] of one step, [B, L, outputs] of a sequence
   * @param states [B, stateSize] or [B, L, stateSize], after each step
   */
  public record Steps(Tensor outputs, Tensor states) {}

  /** One step on checked tensors, in the caller's scope. */
  abstract Steps advance(Tensor input, Tensor state, Tensor elapsed, ForwardContext context);

  /** Puts parameters back into their range; to be called after each step of an optimiser. */
  public void constrain() {}

  /** Values of one input. */
  public final long inputs() {
    return inputs;
  }

  /** Values of one output. */
  public final long outputs() {
    return outputs;
  }

  /** Values of the state. */
  public final long stateSize() {
    return stateSize;
  }

  /** The state to begin with, zeros [batch, stateSize] of that input's type. */
  public final Tensor zeroState(Tensor like) {
    return torch.zeros(
        new long[] {like.size(0), stateSize}, new TensorOptions(like.scalar_type().intern()));
  }

  /**
   * One step.
   *
   * @param input [B, inputs]
   * @param state [B, stateSize]
   * @param elapsed the time since the step before, above 0: [B, 1]
   * @throws OutriggerException on other shapes, NaN, or a time that is not above 0
   */
  public final Steps step(Tensor input, Tensor state, Tensor elapsed) {
    Shapes.check()
        .size("inputs", inputs, "this cell")
        .size("stateSize", stateSize, "this cell")
        .tensor("input", input, "B", "inputs")
        .tensor("state", state, "B", "stateSize")
        .tensor("elapsed", elapsed, "B", "1");
    check(input, state, elapsed);
    return kept(() -> advance(input, state, elapsed, ForwardContext.AS_IS));
  }

  /**
   * A whole sequence.
   *
   * @param x [B, L, inputs]
   * @param state before the first step, [B, stateSize]; null for zeros
   * @param elapsed the time that each step took, [B, L], above 0; null for ones
   * @throws OutriggerException on other shapes, NaN, or a time that is not above 0
   */
  public final Steps unroll(Tensor x, @Nullable Tensor state, @Nullable Tensor elapsed) {
    Shapes shapes =
        Shapes.check()
            .size("inputs", inputs, "this cell")
            .size("stateSize", stateSize, "this cell")
            .tensor("x", x, "B", "L", "inputs");
    Shapes.notEmpty("x", x);
    if (state != null) {
      shapes.tensor("state", state, "B", "stateSize");
    }
    if (elapsed != null) {
      shapes.tensor("elapsed", elapsed, "B", "L");
    }
    check(x, state, elapsed);
    return kept(() -> sequence(x, state, elapsed, ForwardContext.AS_IS));
  }

  @Override
  protected final Tensor compute(Tensor x, ForwardContext context) {
    if (x.dim() != 3 || x.size(2) != inputs || x.size(1) == 0) {
      throw new OutriggerException(
          this + " takes [B, L, " + inputs + "], not " + Arrays.toString(x.shape()) + ".");
    }
    return Scopes.tensor(() -> sequence(x, null, null, context).outputs());
  }

  private Steps sequence(
      Tensor x, @Nullable Tensor start, @Nullable Tensor elapsed, ForwardContext context) {
    Tensor state = start == null ? zeroState(x) : start;
    Tensor ones =
        torch.ones(new long[] {x.size(0), 1}, new TensorOptions(x.scalar_type().intern()));
    List<Tensor> outputs = new ArrayList<>();
    List<Tensor> states = new ArrayList<>();
    for (long t = 0; t < x.size(1); t++) {
      Tensor time = elapsed == null ? ones : elapsed.narrow(1, t, 1);
      long at = t;
      Tensor before = state;
      Steps step = kept(() -> advance(x.select(1, at), before, time, context));
      outputs.add(step.outputs());
      states.add(step.states());
      state = step.states();
    }
    return new Steps(
        torch.stack(new TensorVector(outputs.toArray(new Tensor[0])), 1),
        torch.stack(new TensorVector(states.toArray(new Tensor[0])), 1));
  }

  private static Steps kept(java.util.function.Supplier<Steps> work) {
    return Scopes.scoped(
        () -> {
          Steps steps = work.get();
          // New handles: an output may be the state itself.
          return new Steps(
              Scopes.keep(new Tensor(steps.outputs())), Scopes.keep(new Tensor(steps.states())));
        });
  }

  private static void check(Tensor x, @Nullable Tensor state, @Nullable Tensor elapsed) {
    if (!Scopes.scoped(() -> x.isfinite().all().item_bool())) {
      throw new OutriggerException(
          "The input holds NaN or infinite values: leave such steps out and give the time that"
              + " passed until the next as its elapsed time.");
    }
    if (state != null) {
      Shapes.finite("state", state);
    }
    if (elapsed != null
        && !Scopes.scoped(
            () -> elapsed.isfinite().logical_and(elapsed.gt(new Scalar(0.0))).all().item_bool())) {
      throw new OutriggerException(
          "Elapsed times must be finite and above 0: give the time that passed since the step"
              + " before.");
    }
  }
}
