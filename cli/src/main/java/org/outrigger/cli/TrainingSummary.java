package org.outrigger.cli;

import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.bytedeco.javacpp.PointerScope;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.data.Batch;
import org.outrigger.core.data.Batches;
import org.outrigger.core.data.Dataset;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.io.Json;
import org.outrigger.core.metric.Accuracy;
import org.outrigger.core.metric.DetectionMetrics;
import org.outrigger.core.model.Model;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.model.RecordedOutputs;
import org.outrigger.core.optim.TrainingListener;
import org.outrigger.core.torch.Scopes;
import org.outrigger.detect.Msp;
import org.outrigger.evaluate.report.ReportPage;

/**
 * What training came to.
 *
 * @param file where the model was saved
 * @param recipe as it was given
 * @param accuracy on data that was not trained on
 * @param measured the name of that data
 * @param heldOut on classes that were left out, if any were
 * @param meta instead of epochs, if it was meta-trained
 */
record TrainingSummary(
    NeuralModel model,
    Path file,
    String recipe,
    TrainingListener.Report report,
    double accuracy,
    String measured,
    @Nullable HeldOut heldOut,
    @Nullable MetaTraining meta) {
  /**
   * How well the largest probability tells held-out classes from known ones.
   *
   * @param classes their names
   * @param rows of these classes
   */
  record HeldOut(List<String> classes, long rows, DetectionMetrics metrics) {
    static HeldOut measure(
        Model model, Dataset known, IndexedDataset unknown, List<String> classes, int batchSize) {
      RecordedOutputs.Options options = RecordedOutputs.Options.defaults().withBatchSize(batchSize);
      try (RecordedOutputs id = RecordedOutputs.record(model, known, options);
          RecordedOutputs ood = RecordedOutputs.record(model, unknown, options)) {
        return Scopes.scoped(
            () ->
                new HeldOut(
                    classes,
                    ood.size(),
                    DetectionMetrics.of(Msp.score(id.logits(), 1), Msp.score(ood.logits(), 1))));
      }
    }
  }

  /** The share of the labelled rows that the model tells right. */
  static double accuracy(Model model, Dataset held, int batchSize) {
    Accuracy accuracy = new Accuracy();
    try (Batches batches = held.batches(batchSize)) {
      while (batches.hasNext()) {
        try (PointerScope scope = new PointerScope();
            Batch batch = batches.next()) {
          if (batch.labels() != null) {
            accuracy.add(model.predict(batch.inputs()).logits(), batch.labels());
          }
        }
      }
    }
    return accuracy.value();
  }

  void printJson(PrintWriter to) {
    Map<String, Object> all = new LinkedHashMap<>();
    all.put("model", file.toString());
    all.put("architecture", model.architecture());
    all.put("recipe", recipe);
    all.put("validationAccuracy", accuracy);
    if (heldOut != null) {
      Map<String, Object> held = new LinkedHashMap<>();
      held.put("classes", heldOut.classes());
      held.put("rows", heldOut.rows());
      held.put("aurocMsp", heldOut.metrics().auroc());
      held.put("fpr95IdPositiveMsp", heldOut.metrics().fprIdPositive());
      all.put("heldOut", held);
    }
    all.put("stoppedEarly", report.stoppedEarly());
    all.put("epochs", report.epochs());
    if (meta != null) {
      all.put("meta", meta.figures());
    }
    to.println(Json.pretty(all));
  }

  /**
   * Prints it for people.
   *
   * @param best whether the best epoch's weights were kept
   */
  void print(PrintWriter to, boolean best) {
    TextTable table = new TextTable("epoch", "loss", "accuracy", "validation loss", "validation");
    int every = Math.max(1, (report.epochs().size() + 9) / 10);
    for (TrainingListener.Epoch epoch : report.epochs()) {
      TrainingListener.Validation each = epoch.validation();
      boolean last = epoch.epoch() == report.epochs().size() - 1;
      if ((epoch.epoch() + 1) % every == 0 || last) {
        table.row(
            Integer.toString(epoch.epoch() + 1),
            ReportPage.number(epoch.loss()),
            ReportPage.percent(epoch.accuracy()),
            each == null ? "-" : ReportPage.number(each.loss()),
            each == null ? "-" : ReportPage.percent(each.accuracy()));
      }
    }
    if (meta != null) {
      meta.print(to);
    } else {
      table.print(to);
      to.println();
    }
    if (best) {
      to.println("best epoch            " + (report.bestEpoch() + 1) + ", whose weights are kept");
    }
    to.println("validation accuracy   " + ReportPage.percent(accuracy) + " (" + measured + ")");
    if (heldOut != null) {
      to.println("held-out classes      " + String.join(", ", heldOut.classes()));
      to.println(
          "told apart by msp     AUROC "
              + ReportPage.number(heldOut.metrics().auroc())
              + ", FPR95 "
              + ReportPage.percent(heldOut.metrics().fprIdPositive())
              + " ("
              + heldOut.rows()
              + " rows)");
    }
    to.println("model                 " + file);
  }
}
