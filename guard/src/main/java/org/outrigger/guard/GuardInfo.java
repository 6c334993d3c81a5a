package org.outrigger.guard;

import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * Where a guard comes from and how it did when it was fitted; saved with it.
 *
 * @param model the model's name
 * @param modelSha256 of the model's file in the bundle; null before the guard was saved
 * @param classNames by class index
 * @param inputShape of one input
 * @param features the columns that the validation data's inputs came from, in order; empty if it
 *     was no table
 * @param created an ISO-8601 instant
 * @param versions of Outrigger, libtorch and Java
 * @param data the validation data's name
 * @param dataSha256 fingerprint of the validation inputs, labels and ids in order
 * @param rows how many rows that data had
 * @param skipped how many more could not be read
 * @param fitRows rows the detectors and the calibrator were fitted on
 * @param holdOutRows rows the threshold and the metrics come from
 * @param seed of the split
 * @param detectors each detector's slug and hyper-parameters
 * @param calibrator the calibrator's slug and hyper-parameters; null if there is none
 * @param labelSets the slug and hyper-parameters of what gives label sets; null if nothing does
 * @param promise what the label sets promise, in one sentence; null without label sets
 * @param adapter the stack of adapters, as {@code Adapters.parse} reads it; null if there is none
 * @param threshold the acceptance threshold
 * @param metrics measured on the hold-out: accuracy, expected calibration error and negative
 *     log-likelihood before and after calibration, and the mean size of the label sets
 * @param selection why the detector was chosen, if it was chosen automatically
 */
public record GuardInfo(
    String model,
    @Nullable String modelSha256,
    List<String> classNames,
    long[] inputShape,
    List<String> features,
    String created,
    Map<String, String> versions,
    String data,
    String dataSha256,
    long rows,
    long skipped,
    long fitRows,
    long holdOutRows,
    long seed,
    List<Part> detectors,
    @Nullable Part calibrator,
    @Nullable Part labelSets,
    @Nullable String promise,
    @Nullable String adapter,
    Threshold threshold,
    Map<String, Double> metrics,
    @Nullable String selection) {

  public GuardInfo {
    // Guards that were saved before it was noted have none.
    features = Objects.requireNonNullElse(features, List.of());
  }

  /**
   * A method and its hyper-parameters.
   *
   * @param slug its short name
   * @param settings its hyper-parameters by name
   */
  public record Part(String slug, Map<String, Object> settings) {}

  GuardInfo withModelSha256(String sha256) {
    return new GuardInfo(
        model,
        sha256,
        classNames,
        inputShape,
        features,
        created,
        versions,
        data,
        dataSha256,
        rows,
        skipped,
        fitRows,
        holdOutRows,
        seed,
        detectors,
        calibrator,
        labelSets,
        promise,
        adapter,
        threshold,
        metrics,
        selection);
  }
}
