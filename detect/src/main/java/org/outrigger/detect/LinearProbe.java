package org.outrigger.detect;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;
import java.util.function.Consumer;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.State;
import org.outrigger.core.io.Stateful;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Methods;
import org.outrigger.core.model.LinearHead;
import org.outrigger.core.model.Output;
import org.outrigger.core.model.Outputs;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;

/**
 * A linear classifier on the features of a frozen model: {@code softmax(W (h - m) / s + b)}, where
 * m and s are the mean and the deviation of the known features, trained on mean cross-entropy by
 * gradient descent with momentum. The model is not touched.
 *
 * <p>Using it is safe for concurrent use; fitting and restoring are not.
 */
public final class LinearProbe implements Stateful, AutoCloseable {
  private static final String TYPE = "linear-probe";
  private static final double EPSILON = 1e-6;

  /**
   * @param rate the learning rate, above 0; 0.1
   * @param momentum in [0, 1); 0.9
   * @param steps at least 1; 400
   * @param batch rows a step; 0 for all
   * @param standardise whether features are shifted and scaled to mean 0 and deviation 1
   * @param seed of the initial weights and of the order of the batches
   */
  public record Settings(
      double rate, double momentum, int steps, int batch, boolean standardise, long seed) {
    public Settings {
      HyperParameter.positive("rate", rate);
      HyperParameter.require(
          momentum >= 0 && momentum < 1, "momentum", momentum, "0 or more, below 1");
      HyperParameter.atLeast("steps", steps, 1);
      HyperParameter.atLeast("batch", batch, 0);
    }

    public static Settings defaults() {
      return new Settings(0.1, 0.9, 400, 0, true, 0);
    }

    public Settings withSteps(int count) {
      return new Settings(rate, momentum, count, batch, standardise, seed);
    }

    public Settings withSeed(long value) {
      return new Settings(rate, momentum, steps, batch, standardise, value);
    }
  }

  private Settings settings;
  private @Nullable Fitted fitted;

  public LinearProbe() {
    this(Settings.defaults());
  }

  public LinearProbe(Settings settings) {
    this.settings = Objects.requireNonNull(settings);
  }

  public Settings settings() {
    return settings;
  }

  /**
   * Trains on the known rows of what a model gave. The classes are those of the data, not the
   * model's.
   *
   * @param known outputs with features and labels; rows with a label below 0 are ignored
   * @param classes the number of classes C
   */
  public LinearProbe fit(Outputs known, int classes) {
    Scopes.run(
        () -> {
          Tensor labels = known.labels("A linear probe");
          Tensor rows = labels.ge(new Scalar(0)).nonzero().flatten();
          if (rows.numel() == 0) {
            throw new OutriggerException(
                "A linear probe has no known row to learn from: every label is below 0 (which marks"
                    + " unknown inputs).");
          }
          Tensor features = known.features();
          boolean all = rows.numel() == labels.numel();
          fit(
              all ? features : features.index_select(0, rows),
              all ? labels : labels.index_select(0, rows),
              classes);
        });
    return this;
  }

  /**
   * Trains on features. A failed fit leaves the earlier state.
   *
   * @param features [N, D], finite
   * @param labels int64 [N], each in 0 .. classes-1, of at least two classes
   * @param classes the number of classes C, at least 2
   */
  public LinearProbe fit(Tensor features, Tensor labels, int classes) {
    HyperParameter.atLeast("classes", classes, 2);
    Shapes.check().tensor("The features", features, "N", "D").tensor("The labels", labels, "N");
    Shapes.notEmpty("The features", features);
    Shapes.finite("The features", features);
    Shapes.labels("The labels", labels, classes, false);
    Scopes.run(
        () ->
            Scopes.grad(
                false,
                () -> {
                  if (labels.min().item_long() == labels.max().item_long()) {
                    throw new OutriggerException(
                        "A linear probe needs rows of at least two classes, but all are of class "
                            + labels.min().item_long()
                            + ".");
                  }
                  Tensor exact = real(features.detach());
                  Fitted next = new Fitted(classes, features.size(1));
                  if (settings.standardise) {
                    next.with("mean", exact.mean(0))
                        .with(
                            "deviation",
                            exact.std(new long[] {0}, false, false).add(new Scalar(EPSILON)));
                  }
                  descend(standardised(next, exact), labels, classes, next);
                  Shapes.finite("The weights of the probe", next.tensor("weight"));
                  replace(next, settings);
                  return true;
                }));
    return this;
  }

  private static Tensor real(Tensor features) {
    ScalarType type = features.scalar_type().intern();
    return type == ScalarType.Float || type == ScalarType.Double
        ? features
        : features.to(ScalarType.Float);
  }

  private static Tensor standardised(Fitted fitted, Tensor features) {
    return fitted.has("mean")
        ? features.sub(fitted.tensor("mean")).div_(fitted.tensor("deviation"))
        : features;
  }

  /** Gradient descent with the gradient in closed form, (softmax - one-hot)^T x / N. */
  private void descend(Tensor x, Tensor labels, int classes, Fitted next) {
    long rows = x.size(0);
    int batch = settings.batch == 0 ? (int) rows : (int) Math.min(settings.batch, rows);
    TensorOptions type = new TensorOptions(x.scalar_type());
    try (Rng rng = Rng.named(settings.seed, "linear probe");
        Rng order = Rng.named(settings.seed, "linear probe order")) {
      double bound = 1 / Math.sqrt(x.size(1));
      Tensor weight =
          rng.fillUniform(torch.empty(new long[] {classes, x.size(1)}, type, null), -bound, bound);
      Tensor bias = rng.fillUniform(torch.empty(new long[] {classes}, type, null), -bound, bound);
      Tensor weightPace = torch.zeros_like(weight);
      Tensor biasPace = torch.zeros_like(bias);
      Tensor target = torch.one_hot(labels, classes).to(x.scalar_type());
      Scalar rate = new Scalar(settings.rate);
      Scalar momentum = new Scalar(settings.momentum);
      Tensor permutation = order.permutation(rows);
      long used = 0;
      for (int step = 0; step < settings.steps; step++) {
        if (used + batch > rows) {
          permutation.copy_(order.permutation(rows));
          used = 0;
        }
        Tensor chosen = permutation.narrow(0, used, batch);
        used += batch;
        Scopes.run(
            () -> {
              Tensor part = batch == rows ? x : x.index_select(0, chosen);
              Tensor wanted = batch == rows ? target : target.index_select(0, chosen);
              Tensor error =
                  torch
                      .addmm(bias, part, weight.t())
                      .softmax(1)
                      .sub_(wanted)
                      .div_(new Scalar((double) batch));
              weightPace.mul_(momentum).add_(error.t().mm(part));
              biasPace.mul_(momentum).add_(error.sum(0));
              weight.sub_(weightPace.mul(rate));
              bias.sub_(biasPace.mul(rate));
            });
      }
      next.with("weight", weight).with("bias", bias);
    }
  }

  private void replace(Fitted next, Settings restored) {
    Fitted owned = next.owned();
    Fitted old = fitted;
    fitted = owned;
    settings = restored;
    if (old != null) {
      old.release();
    }
  }

  /** Whether it can be used. */
  public boolean fitted() {
    return fitted != null;
  }

  private Fitted required() {
    Fitted now = fitted;
    if (now == null) {
      throw new OutriggerException(
          "The linear probe has not been fitted: call fit with known features and labels first.");
    }
    return now;
  }

  /** The number of classes C. */
  public int classes() {
    return Math.toIntExact(required().classes());
  }

  /**
   * The logits.
   *
   * @param features [N, D], before any standardisation
   * @return [N, C]
   */
  public Tensor logits(Tensor features) {
    Fitted now = required();
    Shapes.check()
        .size("D", now.dimension(), "the features that the probe was fitted on")
        .tensor("The features", features, "N", "D");
    return Scopes.noGrad(
        () -> {
          Tensor x = standardised(now, features.to(now.tensor("weight").scalar_type()));
          return torch.addmm(now.tensor("bias"), x, now.tensor("weight").t());
        });
  }

  /**
   * The probe as one linear layer over the features as they are, with the standardisation folded
   * in; new tensors that the enclosing scope or the caller owns.
   */
  public LinearHead head() {
    Fitted now = required();
    return Scopes.scoped(
        () -> {
          Tensor weight = now.tensor("weight").to(ScalarType.Double);
          Tensor bias = now.tensor("bias").to(ScalarType.Double);
          if (now.has("mean")) {
            weight = weight.div(now.tensor("deviation").to(ScalarType.Double));
            bias = bias.sub(weight.mv(now.tensor("mean").to(ScalarType.Double)));
          }
          var type = now.tensor("weight").scalar_type();
          return new LinearHead(
              Scopes.keep(new Tensor(weight.to(type))), Scopes.keep(new Tensor(bias.to(type))));
        });
  }

  /**
   * What the frozen model with this probe as its head gives, for detectors to be fitted on and to
   * score: the same features and labels, the probe's logits. It borrows from {@code outputs}.
   */
  public Outputs over(Outputs outputs) {
    LinearHead head = head();
    int classes = classes();
    return new Outputs() {
      @Override
      public long size() {
        return outputs.size();
      }

      @Override
      public int classes() {
        return classes;
      }

      @Override
      public LinearHead head() {
        return head;
      }

      @Override
      public void forEach(Consumer<Labelled> visitor) {
        outputs.forEach(
            batch -> {
              Output output = batch.output();
              visitor.accept(
                  new Labelled(
                      new Output(
                          LinearProbe.this.logits(output.features()),
                          output.features(),
                          output.maps()),
                      batch.labels()));
            });
      }

      @Override
      public void close() {
        head.weight().close();
        head.bias().close();
      }
    };
  }

  @Override
  public State state() {
    Fitted now = required();
    Map<String, Object> values = new LinkedHashMap<>();
    values.put("settings", Methods.values(settings));
    values.put("classes", now.classes());
    values.put("dimension", now.dimension());
    return new State(TYPE, 1, values, now.tensors());
  }

  @Override
  public void restore(State state) {
    state.expect(TYPE, 1);
    State saved = new State(TYPE, 1, state.map("settings"), Map.of());
    Settings restored =
        new Settings(
            saved.number("rate"),
            saved.number("momentum"),
            (int) saved.number("steps"),
            (int) saved.number("batch"),
            Boolean.TRUE.equals(saved.values().get("standardise")),
            saved.values().get("seed") instanceof Number seed ? seed.longValue() : 0);
    Fitted next = new Fitted((long) state.number("classes"), (long) state.number("dimension"));
    state.tensors().forEach(next::with);
    Shapes shapes =
        Shapes.check()
            .size("C", next.classes(), "the saved probe")
            .size("D", next.dimension(), "the saved probe")
            .tensor("The saved weight", next.tensor("weight"), "C", "D")
            .tensor("The saved bias", next.tensor("bias"), "C");
    if (restored.standardise) {
      shapes
          .tensor("The saved mean", next.tensor("mean"), "D")
          .tensor("The saved deviation", next.tensor("deviation"), "D");
    }
    Scopes.run(() -> replace(next, restored));
  }

  @Override
  public void close() {
    Fitted old = fitted;
    fitted = null;
    if (old != null) {
      old.release();
    }
  }
}
