package org.outrigger.claims.detect;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.outrigger.claims.Claim;
import org.outrigger.claims.Inequality;
import org.outrigger.claims.Scale;
import org.outrigger.claims.setup.ClothesAndDigits;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.method.Room;
import org.outrigger.core.model.Model;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.model.RecordedOutputs;
import org.outrigger.core.torch.Scopes;
import org.outrigger.detect.Detector;
import org.outrigger.detect.Energy;
import org.outrigger.detect.EnergyFineTuning;
import org.outrigger.detect.HardOutlierExposure;
import org.outrigger.detect.MixOe;
import org.outrigger.detect.Msp;
import org.outrigger.detect.OutlierExposure;
import org.outrigger.detect.TrainingObjective;

/** Mixtures of known images and outliers prepare a network for unknowns close to the known. */
public final class MixOeOnFineUnknowns implements Claim {
  @Override
  public String slug() {
    return "mixoe";
  }

  @Override
  public Room room() {
    return Room.DETECT;
  }

  @Override
  public String title() {
    return "MixOE detects unknown classes close to the known ones, where outlier exposure does not";
  }

  @Override
  public String promise() {
    return "Fine-tuning with mixtures of known images and outliers, whose target fades with the"
        + " known share, raises the detection of unknown classes close to the known ones and of far"
        + " unknown inputs alike, at almost the same accuracy.";
  }

  @Override
  public String paper() {
    return "Zhang et al., Mixture Outlier Exposure: Towards Out-of-Distribution Detection in"
        + " Fine-grained Environments, WACV 2023";
  }

  @Override
  public List<Inequality> statement() {
    return List.of(
        Inequality.above("fine TNR95 MixOE cutmix", "fine TNR95 OE"),
        Inequality.above("fine TNR95 MixOE cutmix", "fine TNR95 base"),
        Inequality.above("fine AUROC MixOE cutmix", "fine AUROC OE"),
        Inequality.above("fine AUROC MixOE cutmix", "fine AUROC base"),
        Inequality.above("coarse TNR95 MixOE cutmix", "coarse TNR95 base"),
        Inequality.atLeast("ID accuracy MixOE cutmix minus base", -0.015));
  }

  @Override
  public List<String> baselines() {
    return List.of(
        "the base model",
        "the base model fine-tuned just as long and alike, without outliers",
        "outlier exposure (OE)",
        "energy fine-tuning with outliers, scored with the energy (Energy-OE)",
        "outlier exposure with hard outliers (OE-M)");
  }

  @Override
  public String protocol() {
    return "Known: Fashion-MNIST classes 0, 1, 3, 5, 8 at 14x14 pixels, 3,000 images to train and"
        + " 2,000 to test. Fine unknown: the other five classes. Coarse unknown: 600 images of"
        + " uniform noise and 1,000 unseen digits, mirrored and shifted. Outliers to train with:"
        + " 4,000 MNIST digits. A small convolutional network (16, 32/2, 32, 64/2, global pooling)"
        + " learns the known classes (6 epochs, SGD 0.05, Nesterov momentum 0.9, cosine, batches of"
        + " 32), then is fine-tuned from the same weights for 3 epochs at 0.01 in each way. MixOE:"
        + " beta = 5 and alpha = 1 for mixup, 2 for cutmix, 32 outliers a batch. OE: weight 1, 64"
        + " outliers a batch. Energy-OE: weight 0.1, 64 outliers a batch, margins at the base"
        + " model's mean energies of training images and of outliers. OE-M: weight 1, 32 outliers a"
        + " batch, each epoch the 3,008 most confident of the 4,000. Score: MSP, unless said"
        + " otherwise. TNR95 is the share of unknown inputs detected where 95 % of known ones are"
        + " accepted.";
  }

  @Override
  public Map<String, Double> run(long seed, Scale scale) {
    Map<String, Double> figures = new LinkedHashMap<>();
    try (ClothesAndDigits data = new ClothesAndDigits(seed, scale);
        NeuralModel base = data.base()) {
      measure("base", base, data, figures);
      double accuracy = figures.getOrDefault("ID accuracy base", Double.NaN);
      try (NeuralModel plain = base.deepCopy()) {
        data.tuning(plain).fit(data.train());
        measure("fine-tuned without outliers", plain, data, figures);
      }
      tune(
          "OE",
          base,
          new OutlierExposure(new OutlierExposure.Settings(1, false)),
          2,
          data,
          figures);
      tune("Energy-OE", base, energyObjective(base, data), 2, data, figures);
      tune(
          "OE-M",
          base,
          new HardOutlierExposure(new HardOutlierExposure.Settings(1, 50_000)),
          1,
          data,
          figures);
      tune("MixOE mixup", base, new MixOe(MixOe.Settings.mixup()), 1, data, figures);
      tune("MixOE cutmix", base, new MixOe(MixOe.Settings.cutmix()), 1, data, figures);
      figures.put(
          "ID accuracy MixOE cutmix minus base",
          figures.getOrDefault("ID accuracy MixOE cutmix", Double.NaN) - accuracy);
    }
    return figures;
  }

  /** Fine-tunes a copy and measures it. */
  private static void tune(
      String name,
      NeuralModel base,
      TrainingObjective objective,
      double ratio,
      ClothesAndDigits data,
      Map<String, Double> figures) {
    try (NeuralModel model = base.deepCopy()) {
      data.tuning(model).objective(objective).outliers(data.outliers(), ratio).fit(data.train());
      measure(name, model, data, figures);
    }
  }

  private static void measure(
      String name, Model model, ClothesAndDigits data, Map<String, Double> figures) {
    try (Detector detector = name.equals("Energy-OE") ? new Energy() : new Msp()) {
      ClothesAndDigits.Figures measured = data.measure(model, detector);
      figures.put("fine TNR95 " + name, 1 - measured.near().fprIdPositive());
      figures.put("fine AUROC " + name, measured.near().auroc());
      figures.put("coarse TNR95 " + name, 1 - measured.far().fprIdPositive());
      figures.put("coarse AUROC " + name, measured.far().auroc());
      figures.put("ID accuracy " + name, measured.accuracy());
    }
  }

  /** Margins where the base model's energies are, as the paper of the energy score advises. */
  private static TrainingObjective energyObjective(Model base, ClothesAndDigits data) {
    double in = meanEnergy(base, data.train());
    double out = meanEnergy(base, data.outliers());
    return new EnergyFineTuning(new EnergyFineTuning.Settings(0.1, in, Math.max(in, out), false));
  }

  private static double meanEnergy(Model model, IndexedDataset data) {
    try (RecordedOutputs outputs =
        RecordedOutputs.record(model, data, RecordedOutputs.Options.defaults())) {
      return Scopes.scoped(() -> Energy.score(outputs.logits(), 1).mean().item_double());
    }
  }
}
