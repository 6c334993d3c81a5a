package org.outrigger.adapt;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.stream.Collectors;
import org.bytedeco.pytorch.LongOptional;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Room;
import org.outrigger.core.model.Capabilities;
import org.outrigger.core.model.Model;
import org.outrigger.core.model.Output;
import org.outrigger.core.torch.Scopes;

/**
 * Open-set TTA: the adapter below learns only from rows whose confidence in the class that the
 * source model predicts, c, has not fallen, p_i[c] >= p_i^source[c] + margin; wrong rows and those
 * of unknown classes lose it to the rest of the batch. An entropy of the mean prediction, -lambda
 * H(pbar), keeps the batch diverse. Lee et al., Towards Open-Set Test-Time Adaptation Utilizing the
 * Wisdom of Crowds in Entropy Minimization, ICCV 2023.
 */
@Card(
    slug = "open-set-tta",
    name = "Open-set TTA",
    summary = "Learns only from rows whose confidence rose since the source model.",
    paper =
        "Lee et al., Towards Open-Set Test-Time Adaptation Utilizing the Wisdom of Crowds in"
            + " Entropy Minimization, ICCV 2023",
    year = 2023,
    room = Room.ADAPT,
    needs = {},
    state = "a frozen copy of the source model, and the state of the adapter below")
public final class OpenSetTta extends Decorator<OpenSetTta.Settings> {
  private static final String FROZEN = "frozen/";

  /**
   * @param lambda the weight of the mean prediction's entropy, 0 or more: lower where classes come
   *     unevenly
   * @param margin how far the confidence must have risen, in [-1, 1]
   */
  public record Settings(double lambda, double margin) {
    public Settings {
      HyperParameter.notNegative("lambda", lambda);
      HyperParameter.between("margin", margin, -1, 1);
    }

    public static Settings defaults() {
      return new Settings(0.5, 0);
    }
  }

  private @Nullable Model frozen;

  public OpenSetTta() {
    this(Settings.defaults());
  }

  public OpenSetTta(Settings settings) {
    super(settings, new Tent());
  }

  /**
   * The probability of the class that the source model predicts.
   *
   * @param logits [N, C] of any model
   * @param sourceLogits [N, C] of the source model
   * @return [N]
   */
  public static Tensor confidence(Tensor logits, Tensor sourceLogits) {
    return Scopes.noGrad(
        () ->
            torch
                .softmax(logits, 1)
                .gather(1, sourceLogits.argmax(new LongOptional(1), true))
                .squeeze(1));
  }

  /**
   * The rows whose confidence has risen by {@code margin} or has not fallen if that is 0.
   *
   * @param sourceLogits [N, C]
   * @param adaptedLogits [N, C]
   * @return bool [N]
   */
  public static Tensor keep(Tensor sourceLogits, Tensor adaptedLogits, double margin) {
    return Scopes.noGrad(
        () ->
            confidence(adaptedLogits, sourceLogits)
                .ge(confidence(sourceLogits, sourceLogits).add(new Scalar(margin))));
  }

  /** The diversity term, -lambda times the entropy of the mean prediction of logits [N, C]. */
  public static Tensor diversity(Tensor logits, double lambda) {
    return Scopes.tensor(() -> Entropies.ofMean(logits).mul(new Scalar(-lambda)));
  }

  @Override
  public Adapter over(Adapter other) {
    target(other);
    return super.over(other);
  }

  /** The adapter under {@code adapter} that takes gradient steps. */
  private static GradientAdapter<?> target(Adapter adapter) {
    Adapter at = adapter;
    while (at instanceof Decorator<?> decorator && !(at instanceof OpenSetTta)) {
      at = decorator.inner();
    }
    if (at instanceof GradientAdapter<?> gradient) {
      return gradient;
    }
    throw new OutriggerException(
        "Open-set TTA chooses the rows that a method learns from by gradient steps, but "
            + adapter.stack()
            + (at instanceof OpenSetTta ? " chooses already" : " takes none")
            + ": put it over tent, eata or another of these once.");
  }

  @Override
  protected void prepare(Model model) {
    GradientAdapter<?> target = target(inner());
    Model copy = target.configured(model);
    frozen = copy;
    requireApart(copy, inner().model());
    target.filter(
        new SampleFilter() {
          @Override
          public Tensor keep(Tensor inputs, Tensor logits) {
            // With gradients as in the adapted model, so that the two are equal where the weights
            // are.
            Tensor source = Scopes.grad(true, () -> target.forward(copy, inputs)).logits().detach();
            return OpenSetTta.keep(source, logits, settings().margin());
          }

          @Override
          public @Nullable Tensor penalty(Tensor logits) {
            double lambda = settings().lambda();
            return lambda == 0 ? null : diversity(logits, lambda);
          }
        });
  }

  /** A frozen model that shares memory with the adapted one would keep every row for ever. */
  static void requireApart(Model frozen, Model adapted) {
    Scopes.run(
        () -> {
          Set<Long> adaptedMemory =
              tensors(adapted).values().stream()
                  .map(t -> t.data_ptr().address())
                  .collect(Collectors.toSet());
          tensors(frozen)
              .forEach(
                  (name, t) -> {
                    if (t.numel() > 0 && adaptedMemory.contains(t.data_ptr().address())) {
                      throw new OutriggerException(
                          "The frozen source model shares "
                              + name
                              + " with the adapted one, so that no row would ever lose confidence:"
                              + " the model must copy all of its tensors.");
                    }
                  });
        });
  }

  private static Map<String, Tensor> tensors(Model model) {
    Map<String, Tensor> all = new LinkedHashMap<>();
    model
        .as(Capabilities.Differentiable.class)
        .ifPresent(
            network -> {
              all.putAll(network.parameters());
              all.putAll(network.buffers());
            });
    return all;
  }

  @Override
  protected Output step(Tensor inputs) {
    return inner().adapt(inputs);
  }

  /** The frozen model's normalisation layers may follow the stream too. */
  @Override
  protected Map<String, Tensor> moving() {
    Map<String, Tensor> moving = new LinkedHashMap<>();
    Objects.requireNonNull(frozen)
        .as(Capabilities.Differentiable.class)
        .ifPresent(network -> network.buffers().forEach((name, t) -> moving.put(FROZEN + name, t)));
    return moving;
  }

  @Override
  protected void release() {
    Model old = frozen;
    frozen = null;
    if (old != null) {
      old.close();
    }
    super.release();
  }
}
