package org.outrigger.calibrate.nngp;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.calibrate.nngp.ScaleMixture.Process;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

/**
 * A process conditioned on training rows. What it holds belongs to no scope.
 *
 * @param x standardised training inputs, float64 [N, ...]
 * @param columns how inputs are standardised
 * @param targetMean of the training targets
 * @param targetStd of the training targets, above 0
 * @param at the hyper-parameters
 * @param logMarginal per target after the fit, in nats; NaN if nothing was fitted
 * @param posterior of the standardised function
 * @param scales drawn scales of the Burr prior, [J]; empty otherwise
 * @param weights what they weigh in the posterior, [J]
 */
@SuppressWarnings("ArrayRecordComponent")
record FittedRegression(
    Tensor x,
    Columns columns,
    double targetMean,
    double targetStd,
    HyperParameters at,
    double logMarginal,
    Posterior posterior,
    double[] scales,
    double[] weights)
    implements AutoCloseable {
  /** Values of one block of test rows against the training rows. */
  private static final long BLOCK = 2_000_000;

  long rows() {
    return x.size(0);
  }

  /** The law of the standardised residuals. */
  PredictiveLaw law(Process process) {
    return switch (process) {
      case GAUSSIAN -> new PredictiveLaw.Normal();
      case STUDENT_T -> new PredictiveLaw.StudentT(2 * at.alpha() + rows());
      case BURR -> new PredictiveLaw.NormalMixture(weights, scales);
    };
  }

  /**
   * Predicts checked rows.
   *
   * @param noisy whether the noise is part of what is predicted
   */
  Prediction predict(NngpKernel kernel, Process process, boolean noisy, Tensor inputs) {
    List<Tensor> kept =
        Scopes.scoped(
            () -> {
              Posterior.Setting setting = new Posterior.Setting(kernel, at, x);
              double factor =
                  process == Process.STUDENT_T
                      ? ScaleMixture.studentTFactor(posterior.q(), rows(), at.alpha(), at.beta())
                      : 1;
              long step = Math.max(1, BLOCK / rows());
              List<Tensor> locations = new ArrayList<>();
              List<Tensor> deviations = new ArrayList<>();
              for (long from = 0; from < inputs.size(0); from += step) {
                try (PointerScope scope = new PointerScope()) {
                  Tensor rows =
                      columns.apply(inputs.narrow(0, from, Math.min(step, inputs.size(0) - from)));
                  Posterior.Moments moments = posterior.at(setting, rows);
                  Tensor variance =
                      moments
                          .variance()
                          .clamp_min(new Scalar(1e-14))
                          .add(new Scalar(noisy ? at.eps() : 0))
                          .mul(new Scalar(factor));
                  locations.add(
                      Scopes.keep(
                          moments.mean().mul(new Scalar(targetStd)).add(new Scalar(targetMean))));
                  deviations.add(Scopes.keep(variance.sqrt().mul(new Scalar(targetStd))));
                }
              }
              return List.of(
                  Scopes.keep(torch.cat(new TensorVector(locations.toArray(new Tensor[0])), 0)),
                  Scopes.keep(torch.cat(new TensorVector(deviations.toArray(new Tensor[0])), 0)));
            });
    return new Prediction(kept.get(0), kept.get(1), law(process));
  }

  Map<String, Object> values() {
    Map<String, Object> values = new LinkedHashMap<>();
    values.put("targetMean", targetMean);
    values.put("targetStd", targetStd);
    values.put("hyperParameters", at.values());
    values.put("logMarginal", logMarginal);
    values.put("q", posterior.q());
    return values;
  }

  /** By name; borrowed, but for the draws, which belong to the innermost scope or the caller. */
  Map<String, Tensor> tensors() {
    Map<String, Tensor> tensors = new LinkedHashMap<>();
    tensors.put("x", x);
    tensors.put("inputMean", columns.mean());
    tensors.put("inputDeviation", columns.deviation());
    posterior.tensors().forEach((name, tensor) -> tensors.put("posterior." + name, tensor));
    if (scales.length > 0) {
      tensors.put("scales", Tensors.of(scales, scales.length));
      tensors.put("weights", Tensors.of(weights, weights.length));
    }
    return tensors;
  }

  @Override
  public void close() {
    Scopes.release(x);
    columns.close();
    posterior.close();
  }
}
