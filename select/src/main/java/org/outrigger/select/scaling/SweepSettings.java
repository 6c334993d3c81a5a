package org.outrigger.select.scaling;

import java.util.List;
import java.util.Map;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.Json;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Methods;
import org.outrigger.core.optim.Schedule;
import tools.jackson.core.JacksonException;

/**
 * How every run of a sweep is trained and measured.
 *
 * @param patch points a patch, P
 * @param tokens patches of a sequence
 * @param components of the mixture, K
 * @param batch sequences a step
 * @param steps of the optimiser
 * @param warmUp steps until the full learning rate
 * @param learningRate of AdamW
 * @param beta1 of AdamW
 * @param beta2 of AdamW
 * @param epsilon of AdamW
 * @param weightDecay of the weights of linear layers, and of nothing else
 * @param clip limit on the norm of all gradients
 * @param lowest least share of a window's patches that is predicted
 * @param highest largest share
 * @param minPatches of a window, at least 2
 * @param maxPatches of a window, at most {@code tokens}
 * @param records how often a run is measured, at even distances up to its end
 * @param context patches that an evaluation gives
 * @param horizon patches that it asks for
 * @param evaluations windows of each data set that are measured, at most
 * @param samples paths drawn of a forecast for point metrics at the end of a run; 0 for none
 */
public record SweepSettings(
    int patch,
    int tokens,
    int components,
    int batch,
    int steps,
    int warmUp,
    double learningRate,
    double beta1,
    double beta2,
    double epsilon,
    double weightDecay,
    double clip,
    double lowest,
    double highest,
    int minPatches,
    int maxPatches,
    int records,
    int context,
    int horizon,
    int evaluations,
    int samples) {
  public SweepSettings {
    HyperParameter.atLeast("patch", patch, 1);
    HyperParameter.atLeast("tokens", tokens, 2);
    HyperParameter.atLeast("components", components, 1);
    HyperParameter.atLeast("batch", batch, 1);
    HyperParameter.atLeast("steps", steps, 1);
    HyperParameter.require(
        warmUp >= 0 && warmUp < steps, "warmUp", warmUp, "0 or more and below steps = " + steps);
    HyperParameter.positive("learningRate", learningRate);
    HyperParameter.require(beta1 >= 0 && beta1 < 1, "beta1", beta1, "0 or more and below 1");
    HyperParameter.require(beta2 >= 0 && beta2 < 1, "beta2", beta2, "0 or more and below 1");
    HyperParameter.positive("epsilon", epsilon);
    HyperParameter.notNegative("weightDecay", weightDecay);
    HyperParameter.positive("clip", clip);
    HyperParameter.inside("lowest", lowest, 0, 1);
    HyperParameter.require(
        highest >= lowest && highest < 1, "highest", highest, "from lowest = " + lowest + " to 1");
    HyperParameter.require(
        minPatches >= 2 && minPatches <= tokens,
        "minPatches",
        minPatches,
        "between 2 and tokens = " + tokens);
    HyperParameter.require(
        maxPatches >= minPatches && maxPatches <= tokens,
        "maxPatches",
        maxPatches,
        "between minPatches = " + minPatches + " and tokens = " + tokens);
    HyperParameter.require(
        records >= 1 && records <= steps, "records", records, "between 1 and steps = " + steps);
    HyperParameter.atLeast("context", context, 1);
    HyperParameter.atLeast("horizon", horizon, 1);
    HyperParameter.require(
        context + horizon <= Math.max(tokens, 512),
        "context + horizon",
        context + horizon,
        "at most " + Math.max(tokens, 512) + " patches");
    HyperParameter.atLeast("evaluations", evaluations, 1);
    HyperParameter.atLeast("samples", samples, 0);
  }

  /** The paper's: 100,000 steps of 128 sequences of 512 patches of 32 points, 100 records. */
  public static SweepSettings defaults() {
    return new SweepSettings(
        32, 512, 4, 128, 100_000, 10_000, 1e-3, 0.9, 0.98, 1e-6, 0.1, 1, 0.15, 0.5, 2, 512, 100, 36,
        12, 512, 100);
  }

  /**
   * What runs on one core in minutes: 300 steps of 64 sequences of 10 patches of 8 points, one
   * series a sequence, of which the last fifth is predicted; a mixture of 3; 10 records.
   */
  public static SweepSettings small() {
    return new SweepSettings(
        8, 10, 3, 64, 300, 30, 2e-3, 0.9, 0.98, 1e-6, 0.1, 1, 0.2, 0.2, 10, 10, 10, 8, 2, 512, 100);
  }

  /**
   * With some settings changed by name.
   *
   * @param changes values as text
   * @throws OutriggerException if a name is unknown (with the nearest), or a value no number or out
   *     of range
   */
  public SweepSettings with(Map<String, String> changes) {
    Map<String, Object> values = Methods.values(this);
    changes.forEach(
        (name, text) -> {
          Object now = values.get(name);
          if (now == null) {
            List<String> near = Methods.nearest(name, values.keySet());
            throw new OutriggerException(
                "There is no setting '"
                    + name
                    + "'."
                    + (near.isEmpty() ? "" : " Did you mean " + String.join(" or ", near) + "?")
                    + " All: "
                    + String.join(", ", values.keySet())
                    + ".");
          }
          try {
            if (now instanceof Integer) {
              values.put(name, Integer.parseInt(text));
            } else {
              values.put(name, Double.parseDouble(text));
            }
          } catch (NumberFormatException e) {
            throw new OutriggerException(
                name + " = '" + text + "' is no number such as " + now + ".", e);
          }
        });
    try {
      return Json.mapper().convertValue(values, SweepSettings.class);
    } catch (JacksonException e) {
      for (Throwable cause = e; cause != null; cause = cause.getCause()) {
        if (cause instanceof OutriggerException ours) {
          throw ours;
        }
      }
      throw e;
    }
  }

  /** With other amounts of training. */
  public SweepSettings withTraining(int newSteps, int newWarmUp, int newBatch, int newRecords) {
    return new SweepSettings(
        patch,
        tokens,
        components,
        newBatch,
        newSteps,
        newWarmUp,
        learningRate,
        beta1,
        beta2,
        epsilon,
        weightDecay,
        clip,
        lowest,
        highest,
        minPatches,
        maxPatches,
        newRecords,
        context,
        horizon,
        evaluations,
        samples);
  }

  /** With other amounts of evaluation. */
  public SweepSettings withEvaluation(int newEvaluations, int newSamples) {
    return new SweepSettings(
        patch,
        tokens,
        components,
        batch,
        steps,
        warmUp,
        learningRate,
        beta1,
        beta2,
        epsilon,
        weightDecay,
        clip,
        lowest,
        highest,
        minPatches,
        maxPatches,
        records,
        context,
        horizon,
        newEvaluations,
        newSamples);
  }

  Schedule schedule() {
    return Schedule.warmUpCosine(warmUp, steps, 1);
  }

  /** Whether a record is due after that many steps. */
  boolean recordAfter(long done) {
    return done * records / steps > (done - 1) * records / steps;
  }
}
