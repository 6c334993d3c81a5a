package org.outrigger.claims.detect;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import org.outrigger.claims.Claim;
import org.outrigger.claims.Inequality;
import org.outrigger.claims.Scale;
import org.outrigger.claims.setup.SmallImages;
import org.outrigger.core.data.Batch;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.data.Shift;
import org.outrigger.core.data.Splits;
import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.method.Methods;
import org.outrigger.core.method.Room;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.datasets.Mnist;
import org.outrigger.detect.Energy;
import org.outrigger.detect.MetaTasks;
import org.outrigger.detect.Mol;
import org.outrigger.detect.ShiftedTasks;
import org.outrigger.evaluate.shift.Rotation;
import org.outrigger.evaluate.shift.ShiftSequence;
import org.outrigger.evaluate.shift.ShiftSequence.Curve;

/** Meta-learned weights adapt to rotations beyond those of training from a few labelled rows. */
public final class MolOnRotatingDigits implements Claim {
  private static final int[] KNOWN = {0, 1, 2, 3, 4, 5};
  private static final String GAIN_OVER_JOINT = "ID accuracy gain MOL adapted over joint adapted";
  private static final String GAIN_OF_ADAPTING = "ID accuracy gain MOL adapted over not adapted";

  @Override
  public String slug() {
    return "mol";
  }

  @Override
  public Room room() {
    return Room.DETECT;
  }

  @Override
  public String title() {
    return "MOL adapts classification and detection to rotations it has not seen";
  }

  @Override
  public String promise() {
    return "Learning to adapt keeps ID accuracy and OOD detection on distributions that shift"
        + " continuously, with few labelled ID samples of each.";
  }

  @Override
  public String paper() {
    return "Wu, Lu, Fang, Zhang, Meta OOD Learning for Continuously Adaptive OOD Detection, ICCV"
        + " 2023";
  }

  @Override
  public List<Inequality> statement() {
    return List.of(
        Inequality.atLeast(GAIN_OVER_JOINT, 0.02),
        Inequality.above("AUROC MOL adapted", "AUROC joint adapted"),
        Inequality.atLeast(GAIN_OF_ADAPTING, 0.15));
  }

  @Override
  public List<String> baselines() {
    return List.of(
        "joint training on the same tasks: the same losses, outer steps and number of ID samples,"
            + " without inner steps; not adapted, and adapted like MOL",
        "a source model of upright digits alone, trained as the joint one, frozen");
  }

  @Override
  public String protocol() {
    return "MNIST at 14x14 pixels. Known: digits 0 to 5; training outliers: digits 6 and 7; unknown"
        + " in the test: digits 8 and 9; all turned by the same angle. An MLP of 196-64-64-6 units is"
        + " trained for 1,000 outer steps (Adam 1e-3) on angles from 0, 5, ..., 60 degrees, with 5"
        + " support and 10 query rows of each class and 50 outliers a task, two tasks a step, three"
        + " inner steps of 0.2, second order, lambda 0.1, margins -6 and -2. Then it meets 60, 70,"
        + " ..., 150 degrees in turn, each with 5 labelled rows of each class, continuing from where"
        + " it is; figures are means over the ten angles. Score: energy.";
  }

  @Override
  public Map<String, Double> run(long seed, Scale scale) {
    try (TensorDataset train = SmallImages.half(Mnist::train, scale.pick(8000, 800), seed);
        TensorDataset test = SmallImages.half(Mnist::test, scale.pick(2000, 200), seed);
        NeuralModel start =
            NeuralModel.create(
                "mlp", Map.of("hidden", List.of(64, 64)), SmallImages.shape(), 6, seed)) {
      Splits known = train.keepClasses(KNOWN).splitStratified(0.9, seed);
      IndexedDataset outliers = train.onlyUnknown(6, 7);
      ShiftSequence sequence =
          new ShiftSequence(
              known.second(),
              test.keepClasses(KNOWN),
              test.onlyUnknown(8, 9),
              Rotation.range(60, scale.pick(150, 70), 10),
              settings(scale, seed, Map.of()).support(),
              seed);
      List<Shift> angles = Rotation.range(0, 60, 5);
      Map<String, Double> figures = new LinkedHashMap<>();
      try (NeuralModel source =
              joint(start, known.first(), outliers, List.of(Rotation.by(0)), scale, seed);
          NeuralModel joint = joint(start, known.first(), outliers, angles, scale, seed);
          Mol adaptedJoint = new Mol(settings(scale, seed, Map.of()));
          Mol mol = new Mol(settings(scale, seed, Map.of()));
          Mol always = new Mol(settings(scale, seed, Map.of("mode", Mol.Mode.RESET)))) {
        adaptedJoint.attach(joint);
        mol.attach(start);
        mol.train(mol.tasks(known.first(), outliers, angles));
        try (NeuralModel initial = mol.model()) {
          always.attach(initial);
        }
        measure("source, not adapted", frozen(sequence, source), figures);
        measure("joint, not adapted", frozen(sequence, joint), figures);
        measure("joint adapted", adapted(sequence, adaptedJoint), figures);
        try (NeuralModel initial = mol.model()) {
          measure("MOL, not adapted", frozen(sequence, initial), figures);
        }
        measure("MOL adapted", adapted(sequence, mol), figures);
        measure("MOL adapted, always from the start", adapted(sequence, always), figures);
      }
      difference(figures, GAIN_OVER_JOINT, "MOL adapted", "joint adapted");
      difference(figures, GAIN_OF_ADAPTING, "MOL adapted", "MOL, not adapted");
      return figures;
    }
  }

  private static Mol.Settings settings(Scale scale, long seed, Map<String, ?> changes) {
    Map<String, Object> all = new LinkedHashMap<>(changes);
    all.put("iterations", scale.pick(1000, 5));
    all.put("seed", seed);
    try (Mol mol = Methods.create(Mol.class, "mol", all)) {
      return mol.settings();
    }
  }

  /** The same losses on as many rows, with no steps in between. */
  private static NeuralModel joint(
      NeuralModel start,
      IndexedDataset known,
      IndexedDataset outliers,
      List<Shift> shifts,
      Scale scale,
      long seed) {
    Mol.Settings settings = settings(scale, seed, Map.of("innerSteps", 0));
    MetaTasks tasks =
        new ShiftedTasks(
            known, outliers, shifts, 1, settings.support() + settings.query(), settings.outliers());
    try (Mol joint = new Mol(settings)) {
      joint.attach(start);
      joint.train(tasks);
      return joint.model();
    }
  }

  private static Curve frozen(ShiftSequence sequence, NeuralModel model) {
    Consumer<Batch> ignore = support -> {};
    return sequence.run(ignore, model::predict, output -> Energy.score(output.logits(), 1));
  }

  private static Curve adapted(ShiftSequence sequence, Mol mol) {
    return sequence.run(mol::adapt, mol::predict, output -> Energy.score(output.logits(), 1));
  }

  private static void measure(String name, Curve curve, Map<String, Double> figures) {
    figures.put("ID accuracy " + name, curve.accuracy());
    figures.put("AUROC " + name, curve.auroc());
    figures.put("FPR95 " + name, curve.fpr95());
  }

  private static void difference(
      Map<String, Double> figures, String name, String better, String worse) {
    figures.put(
        name,
        figures.getOrDefault("ID accuracy " + better, Double.NaN)
            - figures.getOrDefault("ID accuracy " + worse, Double.NaN));
  }
}
