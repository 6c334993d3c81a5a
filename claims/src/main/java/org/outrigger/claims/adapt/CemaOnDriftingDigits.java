package org.outrigger.claims.adapt;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.LongStream;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.adapt.Adapter;
import org.outrigger.adapt.Adapters;
import org.outrigger.adapt.edge.Cema;
import org.outrigger.adapt.edge.CemaCloud;
import org.outrigger.adapt.edge.CemaDevice;
import org.outrigger.claims.Claim;
import org.outrigger.claims.Inequality;
import org.outrigger.claims.Scale;
import org.outrigger.claims.setup.EdgeStream;
import org.outrigger.claims.setup.EdgeStream.Run;
import org.outrigger.claims.setup.SmallConvNet;
import org.outrigger.claims.setup.SmallConvNet.Block;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.data.Splits;
import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.method.Methods;
import org.outrigger.core.method.Room;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.nn.AvgPool2d;
import org.outrigger.core.optim.Adam;
import org.outrigger.core.optim.Augmentation;
import org.outrigger.core.optim.Schedule;
import org.outrigger.core.optim.Trainer;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.datasets.Digits;

/** A forward-only device learns from a filtered upload almost what it would learn from all. */
public final class CemaOnDriftingDigits implements Claim {
  private static final int BATCH = 32;
  private static final String SOURCE = "accuracy source";
  private static final String CEMA = "accuracy CEMA";
  private static final String STATIC = "accuracy static threshold";
  private static final String ALL = "accuracy upload all";
  private static final String UPLOAD_CEMA = "upload CEMA";
  private static final String UPLOAD_STATIC = "upload static threshold";
  private static final String GAIN = "accuracy CEMA over source";
  private static final String LOSS = "accuracy CEMA over static threshold";

  @Override
  public String slug() {
    return "cema";
  }

  @Override
  public Room room() {
    return Room.ADAPT;
  }

  @Override
  public String title() {
    return "CEMA adapts a forward-only device from part of its stream";
  }

  @Override
  public String promise() {
    return "A device that only predicts follows a shifting stream through a cloud that teaches it,"
        + " and excluding unreliable and uninformative rows saves communication without losing"
        + " accuracy.";
  }

  @Override
  public String paper() {
    return "Chen et al., Towards Robust and Efficient Cloud-Edge Elastic Model Adaptation via"
        + " Selective Entropy Distillation, ICLR 2024";
  }

  @Override
  public List<Inequality> statement() {
    return List.of(
        Inequality.atLeast(GAIN, 0.10),
        new Inequality(CEMA, Inequality.Relation.AT_LEAST, 0.95, ALL),
        new Inequality(UPLOAD_CEMA, Inequality.Relation.AT_MOST, 0.8, UPLOAD_STATIC),
        Inequality.atLeast(LOSS, -0.01));
  }

  @Override
  public List<String> baselines() {
    return List.of(
        "source: the device's model as it is",
        "static threshold: uploads all rows of entropy below 0.4 ln C, with the same cloud",
        "upload all, and a random choice of as many rows as CEMA uploads, with the same cloud",
        "batch statistics and TENT on the device, which a forward-only device cannot run");
  }

  @Override
  public String protocol() {
    return "UCI digits, 1,000 rows to train, 797 to stream. Device: three 3x3 convolutions (8, 16/2,"
        + " 16/2) with batch norm; cloud: the same with 32, 64 and 64 channels; both trained for 25"
        + " epochs of clean digits with a little noise (Adam 2e-3, batches of 64). The stream: three"
        + " phases (0.4 x + 0.4 and noise 0.2; a horizontal ramp to 1.4 and noise 0.2; 3 x - 1.1"
        + " clipped to 0 .. 1 and noise 0.3) of 60 batches of 32 rows. CEMA has its defaults: the paper's moving"
        + " threshold from 0.4 ln C, lambda 1, and E_min 0.02 ln C. Accuracy is that of predictions"
        + " before learning from their batch; upload is the share of rows sent.";
  }

  @Override
  public String tried() {
    return "Accuracy falls 0.012 behind the static threshold instead of at most 0.010; the other"
        + " three inequalities hold. With a weaker shift, where the source model reaches 0.742 on"
        + " two seeds, it falls 0.007 behind, but then the gain over the source is 0.084. The rows"
        + " that are left out are about a fifth of the stream, and a random choice of as many rows"
        + " does as well as CEMA at this scale.";
  }

  @Override
  public List<Long> seeds() {
    return LongStream.range(0, 4).boxed().toList();
  }

  @Override
  public Map<String, Double> run(long seed, Scale scale) {
    try (TensorDataset digits = Digits.images();
        NeuralModel device = network(List.of(8, 16, 16), seed);
        NeuralModel teacher = network(List.of(32, 64, 64), seed)) {
      Splits parts = digits.splitStratified(1000.0 / 1797, seed);
      train(device, parts.first(), scale, seed);
      train(teacher, parts.first(), scale, seed);
      int rows = BATCH * scale.pick(60, 4);
      try (TensorDataset stream = EdgeStream.through(parts.second(), environments(), rows, seed)) {
        return measure(stream, device, teacher, seed);
      }
    }
  }

  private static Map<String, Double> measure(
      TensorDataset stream, NeuralModel device, NeuralModel teacher, long seed) {
    Map<String, Double> figures = new LinkedHashMap<>();
    double source = EdgeStream.accuracy(stream, BATCH, device::predict);
    figures.put(SOURCE, source);
    Run cema = cema(stream, device, teacher, Map.of("seed", seed));
    Run fixed =
        cema(
            stream,
            device,
            teacher,
            Map.of("seed", seed, "threshold", Cema.Threshold.STATIC, "entLowMargin", 0.0));
    figures.put(CEMA, cema.accuracy());
    figures.put(STATIC, fixed.accuracy());
    figures.put(ALL, other(stream, device, teacher, seed, BATCH).accuracy());
    long share = Math.round(cema.uploaded() * BATCH);
    figures.put("accuracy random choice", other(stream, device, teacher, seed, share).accuracy());
    figures.put("accuracy batch statistics", alone(stream, device, "bn-adapt"));
    figures.put("accuracy TENT", alone(stream, device, "tent"));
    figures.put(UPLOAD_CEMA, cema.uploaded());
    figures.put(UPLOAD_STATIC, fixed.uploaded());
    double batches = (double) stream.size() / BATCH;
    figures.put("bytes sent a batch CEMA", cema.traffic().sent() / batches);
    figures.put("bytes sent a batch static threshold", fixed.traffic().sent() / batches);
    figures.put("bytes received a batch CEMA", cema.traffic().received() / batches);
    figures.put(GAIN, cema.accuracy() - source);
    figures.put(LOSS, cema.accuracy() - fixed.accuracy());
    return figures;
  }

  private static Run cema(
      TensorDataset stream, NeuralModel model, NeuralModel teacher, Map<String, ?> changes) {
    Cema.Settings settings = settings(changes);
    try (CemaDevice device = new CemaDevice(settings, model);
        CemaCloud cloud = new CemaCloud(settings, model, teacher)) {
      return EdgeStream.run(stream, BATCH, device, cloud, device::choose);
    }
  }

  /** The same cloud with so many rows of each batch at random. */
  private static Run other(
      TensorDataset stream, NeuralModel model, NeuralModel teacher, long seed, long rows) {
    Cema.Settings settings = settings(Map.of("seed", seed));
    try (CemaDevice device = new CemaDevice(settings, model);
        CemaCloud cloud = new CemaCloud(settings, model, teacher);
        Rng rng = Rng.named(seed, "random uploads")) {
      return EdgeStream.run(
          stream,
          BATCH,
          device,
          cloud,
          (inputs, output) -> device.upload(inputs, EdgeStream.random(rng, inputs.size(0), rows)));
    }
  }

  private static double alone(TensorDataset stream, NeuralModel model, String name) {
    try (Adapter adapter = Adapters.parse(name)) {
      adapter.start(model, null);
      return EdgeStream.accuracy(stream, BATCH, adapter::adapt);
    }
  }

  private static Cema.Settings settings(Map<String, ?> changes) {
    try (Cema cema = Methods.create(Cema.class, "cema", changes)) {
      return cema.settings();
    }
  }

  private static NeuralModel network(List<Integer> widths, long seed) {
    return SmallConvNet.create(
        List.of(
            new Block(widths.get(0), 1), new Block(widths.get(1), 2), new Block(widths.get(2), 2)),
        new AvgPool2d(1),
        4 * widths.get(2),
        10,
        new long[] {1, 8, 8},
        seed);
  }

  private static void train(NeuralModel model, IndexedDataset data, Scale scale, long seed) {
    Trainer.of(model)
        .settings(
            Trainer.Settings.defaults()
                .withEpochs(scale.pick(25, 1))
                .withBatchSize(64)
                .withSeed(seed))
        .optimiser(p -> new Adam(p, Adam.Settings.of(2e-3)))
        .schedule(Schedule.constant())
        .augment((inputs, rng) -> noisy(inputs, 0.08, rng))
        .fit(data);
  }

  private static List<Augmentation> environments() {
    return List.of(
        (inputs, rng) -> noisy(inputs.mul(new Scalar(0.4)).add(new Scalar(0.4)), 0.2, rng),
        (inputs, rng) -> noisy(inputs.add(ramp()), 0.2, rng),
        (inputs, rng) -> noisy(clipped(inputs), 0.3, rng));
  }

  private static Tensor clipped(Tensor inputs) {
    return inputs
        .mul(new Scalar(3.0))
        .sub(new Scalar(1.1))
        .clamp_min(new Scalar(0))
        .clamp_max(new Scalar(1));
  }

  private static Tensor ramp() {
    return torch.linspace(new Scalar(0.0), new Scalar(1.4), 8);
  }

  private static Tensor noisy(Tensor inputs, double deviation, Rng rng) {
    return Scopes.tensor(() -> inputs.add(rng.normal(inputs.shape()), new Scalar(deviation)));
  }
}
