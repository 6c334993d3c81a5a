package org.outrigger.claims.detect;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.outrigger.claims.Claim;
import org.outrigger.claims.Inequality;
import org.outrigger.claims.Scale;
import org.outrigger.claims.setup.ClothesAndDigits;
import org.outrigger.core.method.Room;
import org.outrigger.core.model.Model;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.detect.Msp;
import org.outrigger.detect.OutlierExposure;

/** Training with outliers makes unknown inputs that resemble them stand out. */
public final class OutlierExposureOnFarOutliers implements Claim {
  private static final double LAMBDA = 1;

  @Override
  public String slug() {
    return "outlier-exposure";
  }

  @Override
  public Room room() {
    return Room.DETECT;
  }

  @Override
  public String title() {
    return "Outlier exposure detects far unknown inputs that resemble the outliers";
  }

  @Override
  public String promise() {
    return "Fine-tuning with auxiliary outliers, on which predictions are pushed towards uniform,"
        + " raises the share of unknown inputs that the top softmax probability detects.";
  }

  @Override
  public String paper() {
    return "Hendrycks, Mazeika, Dietterich, Deep Anomaly Detection with Outlier Exposure, ICLR 2019";
  }

  @Override
  public List<Inequality> statement() {
    return List.of(
        Inequality.above("far TNR95 outlier exposure", "far TNR95 base"),
        Inequality.above("far TNR95 outlier exposure", "far TNR95 fine-tuned without outliers"));
  }

  @Override
  public List<String> baselines() {
    return List.of(
        "the base model", "the base model fine-tuned just as long and alike, without outliers");
  }

  @Override
  public String protocol() {
    return "Known: Fashion-MNIST classes 0, 1, 3, 5, 8 at 14x14 pixels, 3,000 images to train and"
        + " 2,000 to test. A small convolutional network (16, 32/2, 32, 64/2, global pooling) learns"
        + " them (6 epochs, SGD 0.05, Nesterov momentum 0.9, cosine, batches of 32), then is"
        + " fine-tuned from the same weights for 3 epochs at 0.01, with lambda = 1 and 64 outliers a"
        + " batch from 4,000 MNIST digits, or without. Far unknown: 600 images of uniform noise and"
        + " 1,000 unseen digits, mirrored and shifted. Near unknown: the other five classes. Score:"
        + " MSP. TNR95 is the share of unknown inputs detected where 95 % of known ones are"
        + " accepted.";
  }

  @Override
  public Map<String, Double> run(long seed, Scale scale) {
    try (ClothesAndDigits data = new ClothesAndDigits(seed, scale);
        NeuralModel base = data.base();
        NeuralModel tuned = base.deepCopy();
        NeuralModel exposed = base.deepCopy()) {
      data.tuning(tuned).fit(data.train());
      data.tuning(exposed)
          .objective(new OutlierExposure(new OutlierExposure.Settings(LAMBDA, false)))
          .outliers(data.outliers(), 2)
          .fit(data.train());
      Map<String, Double> figures = new LinkedHashMap<>();
      measure("base", base, data, figures);
      measure("fine-tuned without outliers", tuned, data, figures);
      measure("outlier exposure", exposed, data, figures);
      return figures;
    }
  }

  private static void measure(
      String name, Model model, ClothesAndDigits data, Map<String, Double> figures) {
    try (Msp msp = new Msp()) {
      ClothesAndDigits.Figures measured = data.measure(model, msp);
      figures.put("far TNR95 " + name, 1 - measured.far().fprIdPositive());
      figures.put("far AUROC " + name, measured.far().auroc());
      figures.put("near TNR95 " + name, 1 - measured.near().fprIdPositive());
      figures.put("near AUROC " + name, measured.near().auroc());
      figures.put("ID accuracy " + name, measured.accuracy());
    }
  }
}
