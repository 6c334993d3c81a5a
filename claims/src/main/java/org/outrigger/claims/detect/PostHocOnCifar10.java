package org.outrigger.claims.detect;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.claims.Claim;
import org.outrigger.claims.DataFolder;
import org.outrigger.claims.Inequality;
import org.outrigger.claims.Scale;
import org.outrigger.core.data.ClassHoldOut;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.method.Methods;
import org.outrigger.core.method.Room;
import org.outrigger.core.metric.TopLabel;
import org.outrigger.core.model.Model;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.model.RecordedOutputs;
import org.outrigger.core.optim.CropAndFlip;
import org.outrigger.core.optim.Sgd;
import org.outrigger.core.optim.Trainer;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.datasets.DatasetCatalogue;
import org.outrigger.detect.Detector;
import org.outrigger.guard.DetectorComparison;
import org.outrigger.guard.DetectorComparison.Part;

/** All post-hoc detectors on photographs of held-out classes. */
public final class PostHocOnCifar10 implements Claim {
  private static final String DATA = "cifar-10";
  private static final int CLASSES = 10;
  private static final int HELD_OUT = 4;
  private static final int BATCH = 128;

  /** Where the paper's default is for larger networks than this one with its 64 features. */
  private static final Map<String, Map<String, ?>> CHANGES =
      Map.of(
          "vim", Map.of("dim", 32),
          "residual", Map.of("dim", 32),
          "nnguide", Map.of("k", 10, "alpha", 0.1),
          // All inner outputs of all images would fill gigabytes.
          "gram", Map.of("layers", "layer2+layer3"));

  @Override
  public String slug() {
    return "cifar10-post-hoc";
  }

  @Override
  public Room room() {
    return Room.DETECT;
  }

  @Override
  public String title() {
    return "Post-hoc detectors on photographs of held-out classes";
  }

  @Override
  public String promise() {
    return "The largest softmax probability tells held-out classes from known ones better than"
        + " chance, and the generalised entropy of the whole prediction tells them apart better than"
        + " that. The table shows all post-hoc detectors on the same networks.";
  }

  @Override
  public String paper() {
    return "Hendrycks and Gimpel, A Baseline for Detecting Misclassified and Out-of-Distribution"
        + " Examples in Neural Networks, ICLR 2017; Liu et al., GEN: Pushing the Limits of"
        + " Softmax-Based Out-of-Distribution Detection, CVPR 2023";
  }

  @Override
  public List<Inequality> statement() {
    return List.of(
        Inequality.atLeast("AUROC msp", 0.5), Inequality.above("AUROC gen", "AUROC msp"));
  }

  @Override
  public List<String> baselines() {
    return List.of("MSP", "every other post-hoc detector on the same network");
  }

  @Override
  public String protocol() {
    return "CIFAR-10, of which each seed draws 6 known classes and 4 unknown ones; 6,000 training"
        + " images of the known, drawn at random where there are more, and up to 6,000 test images"
        + " of either. ResNet-8, 8 epochs, SGD 0.1, Nesterov momentum 0.9, decay 5e-4, cosine,"
        + " batches of 64, shifts by up to 4 pixels and mirroring. Detectors are fitted on the"
        + " training images without these changes and have their papers' defaults; with 64"
        + " features, vim and residual keep a principal space of 32, nnguide looks at 10 neighbours"
        + " in a bank of a tenth and gram at the outputs of the last two stages. FPR95 is the share"
        + " of unknown images accepted where 95 % of the known ones are.";
  }

  @Override
  public String missing() {
    return DataFolder.missing(DATA);
  }

  @Override
  public Map<String, Double> run(long seed, Scale scale) {
    ClassHoldOut classes = ClassHoldOut.random(CLASSES, HELD_OUT, seed);
    try (TensorDataset train =
            copy(classes.known(images("train", seed, scale)).shuffled(seed), scale);
        TensorDataset known = copy(classes.known(images("test", seed, scale)), scale);
        TensorDataset unknown = copy(classes.unknown(images("test", seed, scale)), scale);
        NeuralModel model =
            NeuralModel.create("resnet8", Map.of(), train.inputShape(), CLASSES - HELD_OUT, seed)) {
      Trainer.of(model)
          .settings(
              Trainer.Settings.defaults()
                  .withEpochs(scale.pick(8, 1))
                  .withBatchSize(64)
                  .withSeed(seed))
          .optimiser(p -> new Sgd(p, Sgd.Settings.nesterov(0.1)))
          .augment(new CropAndFlip())
          .fit(train);
      return compare(model, train, known, unknown, seed);
    }
  }

  private static TensorDataset copy(IndexedDataset data, Scale scale) {
    return TensorDataset.copyOf(data.limit(scale.pick(1000, 12) * (CLASSES - HELD_OUT)));
  }

  private static IndexedDataset images(String part, long seed, Scale scale) {
    return scale == Scale.FULL
        ? DatasetCatalogue.open(DATA, part, DataFolder.of(DATA).orElse(null))
        : generated(part, seed);
  }

  /** For the smallest scale: 12 noisy images of each class around a pattern of its own. */
  private static IndexedDataset generated(String part, long seed) {
    return Scopes.scoped(
        () -> {
          try (Rng shapes = Rng.named(seed, "patterns");
              Rng noise = Rng.named(seed, "noise of " + part)) {
            Tensor labels =
                torch
                    .arange(new Scalar(12L * CLASSES), new TensorOptions(ScalarType.Long))
                    .remainder(new Scalar(CLASSES));
            Tensor patterns = shapes.uniform(CLASSES, 3, 4, 1, 4, 1).expand(CLASSES, 3, 4, 4, 4, 4);
            Tensor images = patterns.reshape(CLASSES, 3, 16, 16).index_select(0, labels);
            return TensorDataset.of(
                images.add(noise.normal(images.shape()).mul(new Scalar(0.1))), labels);
          }
        });
  }

  private static Map<String, Double> compare(
      Model model, TensorDataset train, TensorDataset known, TensorDataset unknown, long seed) {
    List<Detector> detectors = detectors();
    RecordedOutputs.Options options = RecordedOutputs.Options.defaults().withBatchSize(BATCH);
    try (RecordedOutputs fit = DetectorComparison.record(model, train, detectors, options);
        RecordedOutputs id = DetectorComparison.record(model, known, detectors, options);
        RecordedOutputs ood = DetectorComparison.record(model, unknown, detectors, options)) {
      Tensor probabilities = torch.softmax(id.logits().to(ScalarType.Double), 1);
      Map<String, Double> figures = new LinkedHashMap<>();
      figures.put("ID accuracy", 1 - TopLabel.of(probabilities, id.labels("Accuracy")).error());
      DetectorComparison comparison =
          DetectorComparison.of(
              model,
              new Part("train", train, fit),
              new Part("known", known, id),
              List.of(new Part("held-out classes", unknown, ood)),
              detectors,
              BATCH,
              seed,
              slug -> {});
      // In the order of the list, since the best first would be another order for each seed.
      for (Detector detector : detectors) {
        String slug = detector.card().slug();
        comparison.rows().stream()
            .filter(row -> row.slug().equals(slug))
            .forEach(
                row -> {
                  figures.put("AUROC " + slug, row.meanAuroc());
                  figures.put("FPR95 " + slug, row.meanFpr());
                });
      }
      return figures;
    } finally {
      detectors.forEach(Detector::close);
    }
  }

  private static List<Detector> detectors() {
    List<Detector> all = new ArrayList<>();
    Methods.cards(Detector.class).stream()
        // Its weights are learned in training by another method.
        .filter(card -> !card.slug().equals("weighted-energy"))
        .forEach(
            card ->
                all.add(
                    Methods.create(
                        Detector.class, card.slug(), CHANGES.getOrDefault(card.slug(), Map.of()))));
    return all;
  }
}
