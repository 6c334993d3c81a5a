package org.outrigger.calibrate.conformal;

import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.function.Supplier;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;
import org.outrigger.calibrate.ConformalPredictor;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.State;
import org.outrigger.core.method.Methods;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The shell of split conformal prediction: it checks what comes in, keeps what was learned, saves
 * and restores it. A label is in a row's set if its {@linkplain #score score} is at most a
 * threshold; a method says what it learns and what the {@linkplain #thresholds thresholds} are.
 *
 * <p>Any number of threads may make sets at once; fitting, restoring and closing need exclusive
 * access.
 *
 * @param <S> the record of hyper-parameters
 */
public abstract class SplitConformal<S extends Record> implements ConformalPredictor {
  private static final Logger LOG = LoggerFactory.getLogger(SplitConformal.class);
  private static final int LAYOUT = 1;
  private static final double SUM_SLACK = 1e-4;

  private volatile S settings;
  private volatile @Nullable Learned learned;

  protected SplitConformal(S settings) {
    this.settings = Objects.requireNonNull(settings);
  }

  /** The share of sets that may miss the true label, in (0, 1). */
  protected abstract double alpha(S settings);

  /** Whether a set may be empty. */
  protected abstract boolean allowEmpty(S settings);

  /** The score of labels. */
  protected abstract LabelScore score(S settings, Learned learned);

  /**
   * Learns from checked rows, in a scope and without recording gradients: one threshold, unless a
   * method does otherwise.
   *
   * @param probabilities float64 [N, C]
   * @param labels int64 [N]
   * @param features [N, D] as they were given, or null
   */
  protected Learned learn(
      S settings, Tensor probabilities, Tensor labels, @Nullable Tensor features) {
    Learned next = new Learned(labels.size(0), probabilities.size(1), 0);
    return next.with("threshold", threshold(settings, next, probabilities, labels));
  }

  /**
   * Up to which score labels are in the sets.
   *
   * @param probabilities float64 [N, C], checked
   * @param features [N, D], checked, where the fit had them
   * @return float64 that broadcasts with [N, C]
   */
  protected Tensor thresholds(Learned learned, Tensor probabilities, @Nullable Tensor features) {
    return learned.tensor("threshold");
  }

  /** Checks the tensors of a restored state; C is bound to the size it was fitted for. */
  protected void check(Shapes shapes, Learned restored) {
    shapes.tensor("The saved threshold", restored.tensor("threshold"), "1");
  }

  /** What the promise is about, such as "on average over inputs like the 500 held-out ones". */
  protected String scope(Learned learned) {
    return "on average over inputs like the " + learned.rows() + " held-out ones";
  }

  /** One conformal quantile [1], with a warning if it is infinite. */
  protected final Tensor threshold(S now, Learned next, Tensor probabilities, Tensor labels) {
    Tensor scores = trueLabel(score(now, next).of(probabilities), labels);
    Tensor q = ConformalQuantile.of(scores, alpha(now)).reshape(1);
    if (Double.isInfinite(q.item_double())) {
      LOG.warn(
          "{} held-out rows are too few for {} with alpha = {}: every set will hold all labels."
              + " Give {} or more.",
          labels.size(0),
          who(),
          alpha(now),
          ConformalQuantile.fewest(alpha(now)));
    }
    return q;
  }

  /** The scores of the true labels, [N] of [N, C]. */
  static Tensor trueLabel(Tensor scores, Tensor labels) {
    return torch.gather(scores, 1, labels.unsqueeze(1)).squeeze(1);
  }

  /** Its name, for messages. */
  protected final String who() {
    return card().name();
  }

  @Override
  public final S settings() {
    return settings;
  }

  @Override
  public final void fit(Tensor probabilities, Tensor labels, @Nullable Tensor features) {
    S now = settings;
    take(
        () -> {
          Tensor p = checked(probabilities);
          Shapes.check().tensor("probabilities", p, "N", "C").tensor("labels", labels, "N");
          Shapes.labels("labels", labels, p.size(1), false);
          return learn(now, p, labels, features);
        });
  }

  /** Replaces what was learned; {@code next} runs in a scope, without recording gradients. */
  protected final void take(Supplier<Learned> next) {
    Scopes.run(
        () ->
            Scopes.grad(
                false,
                () -> {
                  replace(next.get(), settings);
                  return true;
                }));
  }

  /** Probabilities as float64 [N, C] in the caller's scope, or an error that says what is wrong. */
  protected static Tensor checked(Tensor probabilities) {
    Shapes.check().tensor("probabilities", probabilities, "N", "C");
    Shapes.notEmpty("probabilities", probabilities);
    Shapes.finite("probabilities", probabilities);
    Tensor p = probabilities.detach().to(ScalarType.Double);
    Scopes.run(
        () -> {
          double least = p.amin().item_double();
          double apart = p.sum(1).sub(new Scalar(1.0)).abs().amax().item_double();
          if (least < 0 || apart > SUM_SLACK) {
            throw new OutriggerException(
                "probabilities must be 0 or more and sum to one in each row, but "
                    + (least < 0 ? "the smallest is " + least : "a row's sum is off by " + apart)
                    + ": give the probabilities of a calibrator, or a softmax of the logits.");
          }
        });
    return p;
  }

  @Override
  public final boolean fitted() {
    return learned != null;
  }

  /** What was learned, or an error that says how to. */
  protected final Learned required() {
    Learned now = learned;
    if (now == null) {
      throw new OutriggerException(
          who()
              + " has not been fitted: call fit with held-out rows first, or restore a saved one.");
    }
    return now;
  }

  @Override
  public final Tensor sets(Tensor probabilities, @Nullable Tensor features) {
    return setsUpTo(probabilities, (now, p) -> thresholds(now, p, features));
  }

  /** Where thresholds come from. */
  @FunctionalInterface
  protected interface Thresholds {
    /** As {@link #thresholds}. */
    Tensor of(Learned learned, Tensor probabilities);
  }

  /** The sets with thresholds of another source. */
  protected final Tensor setsUpTo(Tensor probabilities, Thresholds thresholds) {
    Learned now = required();
    S with = settings;
    return Scopes.noGrad(
        () -> {
          Tensor p = checked(probabilities);
          Shapes.check()
              .size("C", now.classes(), "the data that " + who() + " was fitted on")
              .tensor("probabilities", p, "N", "C");
          Tensor sets = score(with, now).of(p).le(thresholds.of(now, p));
          return allowEmpty(with) ? sets : withTop(sets, p);
        });
  }

  /**
   * Adds the likeliest label to empty sets.
   *
   * @param sets bool [N, C]
   * @param probabilities [N, C]
   * @return bool [N, C]
   */
  public static Tensor withTop(Tensor sets, Tensor probabilities) {
    return Scopes.noGrad(
        () -> {
          Tensor top = LabelScore.ranks(probabilities).eq(new Scalar(1.0));
          Tensor empty = sets.any(1, true).logical_not();
          return sets.logical_or(top.logical_and(empty));
        });
  }

  @Override
  public final double coverage() {
    return 1 - alpha(settings);
  }

  @Override
  public String promise() {
    return percent(coverage()) + " of the sets hold the true label, " + scope(required()) + ".";
  }

  static String percent(double share) {
    return String.format(Locale.ROOT, "%.4f", 100 * share).replaceAll("\\.?0+$", "") + " %";
  }

  @Override
  public final State state() {
    Learned now = required();
    Map<String, Object> plain = new LinkedHashMap<>();
    Methods.values(settings)
        .forEach((name, value) -> plain.put(name, value instanceof Enum<?> e ? e.name() : value));
    Map<String, Object> values = new LinkedHashMap<>();
    values.put("settings", plain);
    values.put("rows", now.rows());
    values.put("classes", now.classes());
    values.put("dimension", now.dimension());
    values.put("numbers", new LinkedHashMap<>(now.numbers()));
    return new State(type(), LAYOUT, values, now.tensors());
  }

  @Override
  @SuppressWarnings("unchecked") // the registry makes the settings of this very class
  public final void restore(State state) {
    state.expect(type(), LAYOUT);
    S restored =
        (S)
            Methods.create(ConformalPredictor.class, card().slug(), state.map("settings"))
                .settings();
    Learned next =
        new Learned(
            (long) state.number("rows"),
            (long) state.number("classes"),
            (long) state.number("dimension"));
    state.tensors().forEach(next::with);
    state
        .map("numbers")
        .forEach(
            (name, value) -> {
              if (value instanceof Number number) {
                next.with(name, number.doubleValue());
              }
            });
    Scopes.run(
        () -> {
          check(
              Shapes.check()
                  .size("C", next.classes(), "the saved " + who())
                  .size("D", next.dimension(), "the saved " + who()),
              next);
          next.tensors()
              .forEach(
                  (name, tensor) -> {
                    if (tensor.isnan().any().item_bool()) {
                      throw new OutriggerException(
                          "The saved " + who() + " holds NaN in '" + name + "': it is damaged.");
                    }
                  });
          score(restored, next);
          replace(next, restored);
        });
  }

  private void replace(Learned next, S with) {
    Learned owned = next.owned();
    Learned old = learned;
    settings = with;
    learned = owned;
    if (old != null) {
      old.release();
    }
  }

  private String type() {
    return "conformal/" + card().slug();
  }

  @Override
  public void close() {
    Learned old = learned;
    learned = null;
    if (old != null) {
      old.release();
    }
  }
}
