package org.outrigger.adapt.edge;

import java.util.Map;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.State;
import org.outrigger.core.io.Stateful;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;

/**
 * Which rows of a batch a CEMA device uploads: not the unreliable ones (entropy at least E_max),
 * not those that teach little (entropy at most E_min), and, if wanted, not those that are like what
 * was uploaded before. E_max follows the running mean of the entropy over all rows so far.
 */
public final class UploadCriteria implements Stateful, AutoCloseable {
  private static final String TYPE = "edge/criteria";

  /** How far above E_min the threshold stays, as a share of ln C. */
  private static final double SMALL = 1e-3;

  /** How much of the history stays. */
  private static final double PAST = 0.9;

  /**
   * What was chosen of a batch.
   *
   * @param entropy [N]
   * @param threshold the E_max that was in force
   * @param reliable rows that pass both bounds of the entropy, int64, ascending
   * @param kept rows to upload, int64, ascending
   */
  public record Selection(Tensor entropy, double threshold, Tensor reliable, Tensor kept) {}

  private final Cema.Settings settings;
  private final int classes;
  private final double first;
  private final double least;
  private double sum;
  private long count;
  private double threshold;
  private double warm = Double.NaN;
  private @Nullable Tensor history;

  /**
   * @param classes C, 2 or more
   */
  public UploadCriteria(Cema.Settings settings, int classes) {
    HyperParameter.atLeast("classes", classes, 2);
    this.settings = settings;
    this.classes = classes;
    first = settings.entHighMargin() * Math.log(classes);
    least = settings.entLowMargin() * Math.log(classes);
    threshold = first;
  }

  /** E_max0 in nats. */
  public double entropyMax() {
    return first;
  }

  /** The mean of what was kept before, [C]; null while nothing was, or without that filter. */
  public @Nullable Tensor history() {
    return history;
  }

  /**
   * Chooses rows of the next batch; its tensors belong to the enclosing scope.
   *
   * @param logits [N, C], finite
   */
  public Selection select(Tensor logits) {
    Shapes.check().size("C", classes, "the model").tensor("The logits", logits, "N", "C");
    Shapes.notEmpty("The batch of logits", logits);
    Shapes.finite("The batch of logits", logits);
    Tensor entropy = SelectiveDistillation.entropy(logits);
    double before = count == 0 ? Double.NaN : sum / count;
    sum += entropy.to(ScalarType.Double).sum().item_double();
    count += logits.size(0);
    threshold = next(before, sum / count);
    Tensor reliable =
        Scopes.tensor(
            () -> {
              Tensor pass = entropy.lt(new Scalar(threshold));
              if (least > 0) {
                pass = pass.logical_and(entropy.gt(new Scalar(least)));
              }
              return pass.nonzero().flatten();
            });
    Tensor kept = settings.dMargin() == 0 ? reliable : unlike(logits, reliable);
    return new Selection(entropy, threshold, reliable, kept);
  }

  private double next(double before, double now) {
    double lambda = settings.lambda();
    switch (settings.threshold()) {
      case PAPER -> {
        if (Double.isNaN(before)) {
          return first;
        }
        double low = least + SMALL * Math.log(classes);
        double moved = before > 0 ? lambda * threshold * now / before : threshold;
        return Math.max(low, Math.min(Math.log(classes), moved));
      }
      case CODE -> {
        if (Double.isNaN(warm) && count >= settings.warmUp()) {
          warm = now;
        }
        return warm > 0 ? lambda * first * (now / warm) : first;
      }
      default -> {
        return first;
      }
    }
  }

  /** Of the reliable rows those that are unlike the history, which then moves towards them. */
  private Tensor unlike(Tensor logits, Tensor reliable) {
    return Scopes.tensor(
        () -> {
          Tensor p = torch.softmax(logits.index_select(0, reliable).to(ScalarType.Double), 1);
          if (p.size(0) == 0) {
            return reliable;
          }
          Tensor past = history;
          if (past == null) {
            history = Scopes.own(p.mean(0));
            return reliable;
          }
          Tensor cosine = p.mv(past).div(p.square().sum(1).sqrt().mul(past.norm()));
          Tensor pass = cosine.abs().lt(new Scalar(settings.dMargin())).nonzero().flatten();
          if (pass.size(0) > 0) {
            Tensor mean = p.index_select(0, pass).mean(0);
            past.mul_(new Scalar(PAST)).add_(mean, new Scalar(1 - PAST));
          }
          return reliable.index_select(0, pass);
        });
  }

  @Override
  public State state() {
    return new State(
        TYPE,
        1,
        Map.of("sum", sum, "count", count, "threshold", threshold, "warm", warm),
        history == null ? Map.of() : Map.of("history", history));
  }

  @Override
  public void restore(State state) {
    state.expect(TYPE, 1);
    double newSum = state.number("sum");
    double newCount = state.number("count");
    double newThreshold = state.number("threshold");
    double newWarm = state.number("warm");
    Tensor saved = state.tensors().get("history");
    if (saved != null) {
      Shapes.check().size("C", classes, "the model").tensor("The saved history", saved, "C");
      Shapes.finite("The saved history", saved);
    }
    if (!(newCount >= 0) || !Double.isFinite(newSum) || !Double.isFinite(newThreshold)) {
      throw new OutriggerException(
          "The saved running entropy is no number or its count is below 0: the file is damaged.");
    }
    Tensor copy =
        saved == null
            ? null
            : Scopes.scoped(() -> Scopes.own(saved.detach().to(ScalarType.Double).clone()));
    Scopes.release(history);
    sum = newSum;
    count = (long) newCount;
    threshold = newThreshold;
    warm = newWarm;
    history = copy;
  }

  @Override
  public void close() {
    Scopes.release(history);
    history = null;
  }
}
