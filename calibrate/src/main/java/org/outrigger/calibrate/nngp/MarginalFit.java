package org.outrigger.calibrate.nngp;

import java.util.Map;
import java.util.function.ToDoubleFunction;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.optim.Adam;
import org.outrigger.core.optim.Lbfgs;
import org.outrigger.core.torch.Tensors;

/**
 * Learns the hyper-parameters of a process by its marginal likelihood: by L-BFGS, or by Adam with a
 * learning rate that follows a validation loss.
 *
 * @param at what was learned
 * @param logMarginal per training target, in nats
 * @param steps evaluations of the gradient
 */
record MarginalFit(HyperParameters at, double logMarginal, int steps) {
  private static final int HISTORY = 20;
  private static final double TOLERANCE = 1e-5;
  private static final int PATIENCE = 5;

  /** Hears of progress. */
  @FunctionalInterface
  interface Listener {
    void step(int done, int most, double loss);
  }

  /** By L-BFGS with strong Wolfe conditions. */
  static MarginalFit lbfgs(MarginalLikelihood likelihood, int iterations, Listener listener) {
    int[] steps = {0};
    Lbfgs.Result result =
        new Lbfgs(HISTORY, iterations, TOLERANCE)
            .minimise(
                likelihood.start(),
                (u, gradient) -> {
                  steps[0]++;
                  try {
                    MarginalLikelihood.Value value = likelihood.value(u);
                    System.arraycopy(value.gradient(), 0, gradient, 0, gradient.length);
                    listener.step(steps[0], 2 * iterations, value.loss());
                    return value.loss();
                  } catch (OutriggerException e) {
                    if (steps[0] == 1) {
                      throw e;
                    }
                    // Not positive definite there: the search turns back.
                    return Double.POSITIVE_INFINITY;
                  }
                });
    return new MarginalFit(likelihood.at(result.x()), -result.value(), steps[0]);
  }

  /**
   * By Adam: the learning rate is halved when the validation loss has not improved for five checks,
   * and the model of the best check is kept.
   *
   * @param rate the first learning rate
   * @param most steps
   * @param every steps between checks
   * @param validation the loss on held-out rows; null: the training loss takes its place
   */
  static MarginalFit adam(
      MarginalLikelihood likelihood,
      double rate,
      int most,
      int every,
      @Nullable ToDoubleFunction<HyperParameters> validation,
      Listener listener) {
    try (PointerScope scope = new PointerScope()) {
      double[] start = likelihood.start();
      Tensor u = Tensors.of(start, start.length);
      PlateauRule rule = new PlateauRule(rate, PATIENCE);
      double[] best = start;
      double bestLoss = Double.NaN;
      int step = 0;
      try (Adam adam = new Adam(Map.of("u", u), Adam.Settings.of(rate))) {
        while (true) {
          double[] now = Tensors.doubles(u);
          MarginalLikelihood.Value value = likelihood.value(now);
          if (step % every == 0 || step == most) {
            double loss =
                validation == null ? value.loss() : validation.applyAsDouble(likelihood.at(now));
            if (rule.check(loss)) {
              best = now;
              bestLoss = value.loss();
            }
            adam.pace(rule.rate() / rate);
            listener.step(step, most, loss);
          }
          if (step == most || rule.ended()) {
            break;
          }
          try (PointerScope inner = new PointerScope()) {
            adam.step(Map.of("u", Tensors.of(value.gradient(), now.length)));
          }
          step++;
        }
      }
      return new MarginalFit(likelihood.at(best), -bestLoss, step);
    }
  }
}
