package org.outrigger.claims.detect;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.claims.Claim;
import org.outrigger.claims.Inequality;
import org.outrigger.claims.Scale;
import org.outrigger.claims.setup.ClothesAndDigits;
import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.method.Room;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.torch.Scopes;
import org.outrigger.detect.MixOe;
import org.outrigger.detect.Msp;

/** The mechanism of MixOE: how confidence fades from the known images to the outliers. */
public final class MixOeConfidence implements Claim {
  private static final double[] SHARES = {1, 0.75, 0.5, 0.25, 0};

  @Override
  public String slug() {
    return "mixoe-confidence";
  }

  @Override
  public Room room() {
    return Room.DETECT;
  }

  @Override
  public String title() {
    return "With MixOE, confidence falls from the known images to the outliers";
  }

  @Override
  public String promise() {
    return "After fine-tuning with mixtures the mean confidence falls with the known share of a"
        + " mixture, down to about that of a guess where only the outlier is left.";
  }

  @Override
  public String paper() {
    return "Zhang et al., Mixture Outlier Exposure: Towards Out-of-Distribution Detection in"
        + " Fine-grained Environments, WACV 2023";
  }

  @Override
  public List<Inequality> statement() {
    return List.of(
        Inequality.above("confidence at 1", "confidence at 0.75"),
        Inequality.above("confidence at 0.75", "confidence at 0.5"),
        Inequality.above("confidence at 0.5", "confidence at 0.25"),
        Inequality.above("confidence at 0.25", "confidence at 0"),
        Inequality.below("confidence at 0", 0.25));
  }

  @Override
  public List<String> baselines() {
    return List.of("the base model before fine-tuning");
  }

  @Override
  public String protocol() {
    return "Data, network and fine-tuning as in the claim mixoe, with mixup (alpha = 1, beta = 5)."
        + " Confidence: the mean largest probability on mixtures of 1,000 test images and 1,000"
        + " digits that were no outliers to train with, by the known share; five classes, so that a"
        + " guess is 0.2. In batch statistics: with the batch norm's statistics of the mixtures"
        + " themselves, as in training, instead of its running ones.";
  }

  @Override
  public String tried() {
    return "In evaluation mode confidence rises again where hardly anything of the known image is"
        + " left. Three times as many epochs, cutmix, and digits that were trained with instead of"
        + " unseen ones show the same. With the statistics of the batch itself it falls to the end:"
        + " in training each batch has one known share, and batch norm adapts to it, which the"
        + " running statistics, a mean over all shares and the known images, do not.";
  }

  @Override
  public Map<String, Double> run(long seed, Scale scale) {
    try (ClothesAndDigits data = new ClothesAndDigits(seed, scale);
        NeuralModel base = data.base();
        NeuralModel mixed = base.deepCopy()) {
      data.tuning(mixed)
          .objective(new MixOe(MixOe.Settings.mixup()))
          .outliers(data.outliers(), 1)
          .fit(data.train());
      Map<String, Double> figures = new LinkedHashMap<>();
      measure(mixed, data, "", figures);
      measure(base, data, ", base", figures);
      try (NeuralModel training = mixed.deepCopy()) {
        training.train(true);
        measure(training, data, ", in batch statistics", figures);
      }
      return figures;
    }
  }

  private static void measure(
      NeuralModel model, ClothesAndDigits data, String suffix, Map<String, Double> figures) {
    try (TensorDataset known = TensorDataset.copyOf(data.test());
        TensorDataset digits = data.unseenDigits()) {
      int rows = (int) Math.min(known.size(), digits.size());
      for (double share : SHARES) {
        String name = share % 1 == 0 ? String.valueOf((int) share) : String.valueOf(share);
        figures.put(
            "confidence at " + name + suffix,
            Scopes.scoped(
                () -> {
                  Tensor mixture =
                      MixOe.mixup(
                          known.inputs().narrow(0, 0, rows),
                          digits.inputs().narrow(0, 0, rows),
                          share);
                  Tensor logits = Scopes.noGrad(() -> model.forward(mixture).logits());
                  return -Msp.score(logits, 1).mean().item_double();
                }));
      }
    }
  }
}
