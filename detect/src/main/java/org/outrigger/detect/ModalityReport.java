package org.outrigger.detect;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.Dataset;
import org.outrigger.core.metric.Accuracy;
import org.outrigger.core.metric.Auroc;
import org.outrigger.core.metric.DetectionMetrics;
import org.outrigger.core.model.Capabilities.HasModalities;
import org.outrigger.core.model.Capabilities.Modality;
import org.outrigger.core.model.Model;
import org.outrigger.core.model.Output;
import org.outrigger.core.model.RecordedOutputs;
import org.outrigger.core.torch.Scopes;

/**
 * What each modality of a model is worth: how often it alone is right and how well it alone tells
 * unknown inputs, beside all of them together, and how much modalities contradict each other on
 * known and unknown inputs.
 *
 * @param detector the slug of the detector that scored logits
 * @param knownCount known rows
 * @param unknownCount unknown rows
 * @param modalities each alone, in the model's order
 * @param joint all together
 * @param discrepancyKnown the mean {@link ModalityDiscrepancy} on known rows, in [0, 1]
 * @param discrepancyUnknown the same on unknown rows
 * @param discrepancyAuroc how well the discrepancy itself tells them apart
 */
public record ModalityReport(
    String detector,
    long knownCount,
    long unknownCount,
    List<Part> modalities,
    Part joint,
    double discrepancyKnown,
    double discrepancyUnknown,
    double discrepancyAuroc) {
  /**
   * One modality, or all together.
   *
   * @param name of the modality
   * @param accuracy on the known rows, in [0, 1]
   * @param auroc of the detector on its logits
   * @param fpr95 the share of unknown rows accepted where 95 % of known ones are
   */
  public record Part(String name, double accuracy, double auroc, double fpr95) {}

  public ModalityReport {
    modalities = List.copyOf(modalities);
  }

  /**
   * Measures a model.
   *
   * @param model with modalities, see {@link HasModalities}
   * @param known labelled rows of the model's classes
   * @param unknown rows of other kinds
   * @param detector one that reads logits alone, such as {@link Energy}
   * @param batchSize rows a forward pass
   * @throws OutriggerException if the model has no modalities or the known rows have no labels
   */
  public static ModalityReport of(
      Model model, Dataset known, Dataset unknown, Detector detector, int batchSize) {
    List<Modality> parts =
        model
            .as(HasModalities.class)
            .map(HasModalities::modalities)
            .orElseThrow(
                () ->
                    new OutriggerException(
                        "The model "
                            + model.name()
                            + " has no modalities to compare: train one with the architecture"
                            + " multimodal."));
    if (!(detector instanceof LogitDetector<?>)) {
      throw new OutriggerException(
          detector.card().name()
              + " reads more than logits, which is all that a modality alone has: use msp, maxlogit,"
              + " energy, entropy or gen.");
    }
    RecordedOutputs.Options options =
        RecordedOutputs.Options.defaults()
            .withBatchSize(batchSize)
            .withMaps(List.of(HasModalities.HEADS));
    try (RecordedOutputs id = RecordedOutputs.record(model, known, options);
        RecordedOutputs ood = RecordedOutputs.record(model, unknown, options)) {
      return Scopes.scoped(() -> of(parts, id, ood, detector));
    }
  }

  private static ModalityReport of(
      List<Modality> parts, RecordedOutputs id, RecordedOutputs ood, Detector detector) {
    Tensor labels = id.requireLabels("The accuracy of modalities");
    List<Part> modalities = new ArrayList<>();
    for (Modality part : parts) {
      modalities.add(
          part(
              part.name(),
              part.logits(id.output().features()),
              part.logits(ood.output().features()),
              labels,
              detector));
    }
    Part joint = part("joint", id.output().logits(), ood.output().logits(), labels, detector);
    try (ModalityDiscrepancy discrepancy = new ModalityDiscrepancy()) {
      Tensor inside = discrepancy.score(id.output());
      Tensor outside = discrepancy.score(ood.output());
      return new ModalityReport(
          detector.card().slug(),
          id.size(),
          ood.size(),
          modalities,
          joint,
          inside.mean().item_double(),
          outside.mean().item_double(),
          Auroc.of(inside, outside));
    }
  }

  private static Part part(
      String name, Tensor known, Tensor unknown, Tensor labels, Detector detector) {
    DetectionMetrics metrics =
        DetectionMetrics.of(
            detector.score(new Output(known, null)), detector.score(new Output(unknown, null)));
    return new Part(name, Accuracy.of(known, labels), metrics.auroc(), metrics.fprIdPositive());
  }

  /** As JSON-able values. */
  public Map<String, Object> toMap() {
    Map<String, Object> map = new LinkedHashMap<>();
    map.put("detector", detector);
    map.put("known", knownCount);
    map.put("unknown", unknownCount);
    map.put("modalities", modalities.stream().map(ModalityReport::values).toList());
    map.put("joint", values(joint));
    Map<String, Object> discrepancy = new LinkedHashMap<>();
    discrepancy.put("known", discrepancyKnown);
    discrepancy.put("unknown", discrepancyUnknown);
    discrepancy.put("auroc", discrepancyAuroc);
    map.put("discrepancy", discrepancy);
    return map;
  }

  private static Map<String, Object> values(Part part) {
    Map<String, Object> map = new LinkedHashMap<>();
    map.put("name", part.name());
    map.put("accuracy", part.accuracy());
    map.put("auroc", part.auroc());
    map.put("fpr95", part.fpr95());
    return map;
  }

  /** As a table in plain text, with a line on the discrepancy. */
  public String text() {
    List<Part> all = new ArrayList<>(modalities);
    all.add(joint);
    int width = all.stream().mapToInt(part -> part.name().length()).max().orElse(0);
    String format = "%-" + Math.max(8, width) + "s  %8s  %12s  %12s%n";
    StringBuilder text = new StringBuilder();
    text.append(
        String.format(
            Locale.ROOT, format, "modality", "accuracy", detector + " AUROC", detector + " FPR95"));
    for (Part part : all) {
      text.append(
          String.format(
              Locale.ROOT,
              format,
              part.name(),
              percent(part.accuracy()),
              String.format(Locale.ROOT, "%.3f", part.auroc()),
              percent(part.fpr95())));
    }
    return text.append(
            String.format(
                Locale.ROOT,
                "discrepancy: %.3f on known rows, %.3f on unknown ones; its AUROC is %.3f",
                discrepancyKnown,
                discrepancyUnknown,
                discrepancyAuroc))
        .toString();
  }

  private static String percent(double share) {
    return String.format(Locale.ROOT, "%.1f %%", 100 * share);
  }
}
