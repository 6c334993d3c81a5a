package org.outrigger.claims.detect;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.outrigger.claims.Claim;
import org.outrigger.claims.Inequality;
import org.outrigger.claims.Scale;
import org.outrigger.claims.setup.SmallImages;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.method.Room;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.optim.Adam;
import org.outrigger.core.optim.Schedule;
import org.outrigger.core.optim.Trainer;
import org.outrigger.datasets.Mnist;
import org.outrigger.detect.Discrepancy;
import org.outrigger.detect.Energy;
import org.outrigger.detect.ModalityReport;
import org.outrigger.detect.MultiOod;

/** Two halves of a digit as modalities: what A2D does to their discrepancy. */
public final class MultiOodOnHalves implements Claim {
  private static final int[] CLASSES = {0, 1, 2, 3, 4};
  private static final String BASE = "joint head alone";
  private static final String UNI = "control";
  private static final String A2D = "A2D";
  private static final String MIX = "A2D and NP-Mix";

  @Override
  public String slug() {
    return "multiood";
  }

  @Override
  public Room room() {
    return Room.DETECT;
  }

  @Override
  public String title() {
    return "A2D makes modalities contradict each other on unknown inputs more than on known ones";
  }

  @Override
  public String promise() {
    return "Training modalities to disagree on all but the true class enlarges their discrepancy on"
        + " unknown inputs more than on known ones without costing accuracy, and several modalities"
        + " detect unknown inputs better than each alone.";
  }

  @Override
  public String paper() {
    return "Dong, Zhao, Chatzi, Fink, MultiOOD: Scaling Out-of-Distribution Detection for Multiple"
        + " Modalities, NeurIPS 2024";
  }

  @Override
  public List<Inequality> statement() {
    List<Inequality> all = new ArrayList<>();
    all.add(Inequality.atLeast("unknown discrepancy, A2D minus control", 0.05));
    all.add(Inequality.above("discrepancy gap " + A2D, "discrepancy gap " + UNI));
    all.add(new Inequality("accuracy lost by " + A2D, Inequality.Relation.AT_MOST, 0.01, null));
    for (String half : List.of("upper", "lower")) {
      all.add(Inequality.above("energy AUROC joint " + A2D, "energy AUROC " + half + " " + A2D));
    }
    return List.copyOf(all);
  }

  @Override
  public List<String> baselines() {
    return List.of(
        "the joint head alone, trained with cross-entropy just as long",
        "control: the same loss with the modalities' own heads, without A2D (a2dRatio = 0)");
  }

  @Override
  public String protocol() {
    return "Modalities: the upper and the lower half of MNIST digits at 14x14 pixels, each through"
        + " an MLP 98-128-32 with a head of its own, and a joint head. Known: the digits 0 to 4,"
        + " 3,000 images to train and those of 2,000 to test. Near unknown: the other digits of the"
        + " same 2,000. 20 epochs, Adam 1e-3, batches of 64; NP-Mix with weights 0.5, 65 features a"
        + " class, from epoch 4 on. Discrepancy: mean Hellinger distance of the two halves'"
        + " predictions; its gap is the mean on unknown minus that on known inputs. That energy on"
        + " the joint head improves is not part of the statement: the paper shows it on videos, and"
        + " at this size A2D and NP-Mix lower it a little.";
  }

  @Override
  public Map<String, Double> run(long seed, Scale scale) {
    try (TensorDataset most = SmallImages.half(Mnist::train, scale.pick(8000, 300), seed);
        TensorDataset rest = SmallImages.half(Mnist::test, scale.pick(2000, 100), seed)) {
      IndexedDataset train = most.keepClasses(CLASSES).limit(3000);
      IndexedDataset test = rest.keepClasses(CLASSES);
      IndexedDataset near = rest.onlyUnknown(5, 6, 7, 8, 9);
      int epochs = scale.pick(20, 3);
      int size = scale.pick(65, 5);
      int start = scale.pick(4, 1);
      Map<String, Double> figures = new LinkedHashMap<>();
      Map<String, ModalityReport> reports = new LinkedHashMap<>();
      reports.put(BASE, report(train, test, near, null, epochs, seed));
      reports.put(UNI, report(train, test, near, settings(0, 0, size, start), epochs, seed));
      reports.put(A2D, report(train, test, near, settings(1, 0, size, start), epochs, seed));
      reports.put(MIX, report(train, test, near, settings(0.5, 0.5, size, start), epochs, seed));
      reports.forEach((name, report) -> add(name, report, figures));
      figures.put(
          "unknown discrepancy, A2D minus control",
          value(reports, A2D).discrepancyUnknown() - value(reports, UNI).discrepancyUnknown());
      figures.put(
          "accuracy lost by " + A2D,
          value(reports, BASE).joint().accuracy() - value(reports, A2D).joint().accuracy());
      figures.put(
          "accuracy lost by " + MIX,
          value(reports, BASE).joint().accuracy() - value(reports, MIX).joint().accuracy());
      return figures;
    }
  }

  private static ModalityReport value(Map<String, ModalityReport> reports, String name) {
    ModalityReport report = reports.get(name);
    if (report == null) {
      throw new IllegalStateException(name);
    }
    return report;
  }

  private static MultiOod.Settings settings(double a2d, double ood, int size, int start) {
    return new MultiOod.Settings(a2d, ood, ood, Discrepancy.HELLINGER, 3, 10, size, start, true, 0);
  }

  private static ModalityReport report(
      IndexedDataset train,
      IndexedDataset test,
      IndexedDataset near,
      MultiOod.@Nullable Settings settings,
      int epochs,
      long seed) {
    try (NeuralModel model =
            NeuralModel.create(
                "multimodal",
                Map.of("parts", "upper:1x7x14+lower:1x7x14", "encoders", "mlp:hidden=128x32"),
                SmallImages.shape(),
                CLASSES.length,
                seed);
        MultiOod objective = new MultiOod(settings == null ? MultiOod.Settings.a2d() : settings);
        Energy energy = new Energy()) {
      Trainer trainer =
          Trainer.of(model)
              .settings(
                  Trainer.Settings.defaults().withEpochs(epochs).withBatchSize(64).withSeed(seed))
              .schedule(Schedule.constant())
              .optimiser(p -> new Adam(p, Adam.Settings.of(1e-3)));
      if (settings != null) {
        objective.attach(model);
        trainer.objective(objective);
      }
      trainer.fit(train);
      return ModalityReport.of(model, test, near, energy, 128);
    }
  }

  private static void add(String name, ModalityReport report, Map<String, Double> figures) {
    figures.put("accuracy " + name, report.joint().accuracy());
    figures.put("discrepancy known " + name, report.discrepancyKnown());
    figures.put("discrepancy unknown " + name, report.discrepancyUnknown());
    figures.put("discrepancy gap " + name, report.discrepancyUnknown() - report.discrepancyKnown());
    figures.put("discrepancy AUROC " + name, report.discrepancyAuroc());
    figures.put("energy AUROC joint " + name, report.joint().auroc());
    report
        .modalities()
        .forEach(each -> figures.put("energy AUROC " + each.name() + " " + name, each.auroc()));
    figures.put("energy FPR95 joint " + name, report.joint().fpr95());
  }
}
