package org.outrigger.claims.adapt;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.LongStream;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.adapt.edge.DropoutUncertainty;
import org.outrigger.adapt.edge.UVpa;
import org.outrigger.adapt.edge.UVpaCloud;
import org.outrigger.adapt.edge.UVpaDevice;
import org.outrigger.claims.Claim;
import org.outrigger.claims.Inequality;
import org.outrigger.claims.Measurements;
import org.outrigger.claims.Scale;
import org.outrigger.claims.setup.EdgeStream;
import org.outrigger.claims.setup.EdgeStream.Run;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.data.Splits;
import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.method.Methods;
import org.outrigger.core.method.Room;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.optim.Adam;
import org.outrigger.core.optim.Augmentation;
import org.outrigger.core.optim.Schedule;
import org.outrigger.core.optim.Trainer;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;
import org.outrigger.datasets.Digits;

/** A prompt of 64 values, learned from a quarter of the frames, brings a small model through. */
public final class UVpaOnDriftingDigits implements Claim {
  private static final int BATCH = 64;
  private static final String GAIN = "accuracy U-VPA over device alone";
  private static final String CHOICE = "accuracy U-VPA over least uncertain uploads";
  private static final String UVPA = "accuracy U-VPA";
  private static final String FIXED = "accuracy fixed momentum";

  @Override
  public String slug() {
    return "u-vpa";
  }

  @Override
  public Room room() {
    return Room.ADAPT;
  }

  @Override
  public String title() {
    return "U-VPA brings a frozen device through changing environments with a prompt";
  }

  @Override
  public String promise() {
    return "Uploading the frames that a device is most uncertain of, and learning a visual prompt"
        + " for it in the cloud, adapts it to environments that keep changing with little traffic.";
  }

  @Override
  public String paper() {
    return "Gan et al., Cloud-Device Collaborative Adaptation to Continual Changing Environments in"
        + " the Real-world, CVPR 2023";
  }

  @Override
  public List<Inequality> statement() {
    return List.of(
        new Inequality(GAIN, Inequality.Relation.GREATER, 0.15, null),
        new Inequality(CHOICE, Inequality.Relation.GREATER, 0.02, null),
        new Inequality(UVPA, Inequality.Relation.AT_LEAST, 1, FIXED));
  }

  /** The first two hold in every seed, the last of the means. */
  @Override
  public Finding holds(Measurements measured) {
    Finding means = Claim.super.holds(measured);
    List<String> missed = new ArrayList<>();
    miss(missed, measured, GAIN, 0.15);
    miss(missed, measured, CHOICE, 0.02);
    return missed.isEmpty()
        ? means
        : new Finding(false, means.words() + "; in every seed: " + String.join(", ", missed));
  }

  private static void miss(List<String> missed, Measurements measured, String name, double bound) {
    double[] values = measured.values(name);
    for (double value : values) {
      if (!(value > bound)) {
        missed.add("not " + name + ", " + Measurements.number(value));
      }
    }
  }

  @Override
  public List<String> baselines() {
    return List.of(
        "device alone: the small model as it is",
        "random and least uncertain uploads of as many frames, with the same cloud",
        "a fixed momentum (scale 0)",
        "the cloud's model on every frame");
  }

  @Override
  public String protocol() {
    return "UCI digits as rows of 64 values, 1,000 to train, 797 to stream. Device: an MLP of 64-48-10"
        + " units with dropout 0.3, trained on clean digits; cloud: 64-256-128-10, trained with the"
        + " four corruptions at random strengths (40 epochs, Adam 2e-3, batches of 64). Four"
        + " environments (a brightness offset, a ramp, stripes, fog) of 12 batches of 64 frames. A"
        + " dense prompt, 10 passes, a quarter uploaded, 10 steps of Adam 0.03 a batch, m0 = 0.6,"
        + " scale = 2, teacher's labels unweighted, no restart. Every seed must pass the first two inequalities.";
  }

  @Override
  public String tried() {
    return "With brightness, ramp and stripes a fifth weaker, where the device alone reaches 0.546, U-VPA reaches"
        + " 0.895 and a fixed momentum 0.897, and with labels weighted by the teacher's confidence"
        + " 0.890 and 0.896: which momentum is ahead depends on how far the environments lie apart,"
        + " and the difference is within a standard deviation either way.";
  }

  @Override
  public List<Long> seeds() {
    return LongStream.range(0, 4).boxed().toList();
  }

  @Override
  public Map<String, Double> run(long seed, Scale scale) {
    try (TensorDataset digits = Digits.all();
        NeuralModel device =
            NeuralModel.create(
                "mlp", Map.of("hidden", List.of(48), "dropout", 0.3), new long[] {64}, 10, seed);
        NeuralModel teacher =
            NeuralModel.create(
                "mlp", Map.of("hidden", List.of(256, 128)), new long[] {64}, 10, seed)) {
      Splits parts = digits.splitStratified(1000.0 / 1797, seed);
      train(device, parts.first(), (inputs, rng) -> inputs, scale, seed);
      train(teacher, parts.first(), UVpaOnDriftingDigits::corrupted, scale, seed);
      int rows = BATCH * scale.pick(12, 2);
      try (TensorDataset stream = EdgeStream.through(parts.second(), environments(), rows, seed)) {
        return measure(stream, device, teacher, seed);
      }
    }
  }

  private static Map<String, Double> measure(
      TensorDataset stream, NeuralModel model, NeuralModel teacher, long seed) {
    Map<String, Double> figures = new LinkedHashMap<>();
    double alone = EdgeStream.accuracy(stream, BATCH, model::predict);
    figures.put("accuracy device alone", alone);
    UVpa.Settings settings = settings(Map.of("seed", seed));
    Run run;
    try (UVpaDevice device = new UVpaDevice(settings, model);
        UVpaCloud cloud = new UVpaCloud(settings, model, teacher)) {
      run = EdgeStream.run(stream, BATCH, device, cloud, device::choose);
      figures.put("restarts", (double) device.restarts());
    }
    UVpa.Settings fixed = settings(Map.of("seed", seed, "scale", 0.0));
    figures.put(UVPA, run.accuracy());
    try (UVpaDevice device = new UVpaDevice(fixed, model);
        UVpaCloud cloud = new UVpaCloud(fixed, model, teacher)) {
      figures.put(FIXED, EdgeStream.run(stream, BATCH, device, cloud, device::choose).accuracy());
    }
    try (Rng rng = Rng.named(seed, "random uploads")) {
      figures.put(
          "accuracy random uploads",
          chosen(
              stream,
              model,
              teacher,
              settings,
              u -> EdgeStream.random(rng, u.size(0), u.size(0) / 4)));
    }
    double least =
        chosen(stream, model, teacher, settings, u -> DropoutUncertainty.most(u.neg(), 0.25));
    figures.put("accuracy least uncertain uploads", least);
    figures.put("accuracy cloud", EdgeStream.accuracy(stream, BATCH, teacher::predict));
    figures.put("uploaded", run.uploaded());
    double batches = (double) stream.size() / BATCH;
    figures.put("bytes sent a batch", run.traffic().sent() / batches);
    figures.put("bytes received a batch", run.traffic().received() / batches);
    figures.put(GAIN, run.accuracy() - alone);
    figures.put(CHOICE, run.accuracy() - least);
    return figures;
  }

  /** Chooses rows of a batch by their uncertainty. */
  private interface Choice {
    Tensor of(Tensor uncertainty);
  }

  private static double chosen(
      TensorDataset stream,
      NeuralModel model,
      NeuralModel teacher,
      UVpa.Settings settings,
      Choice choice) {
    try (UVpaDevice device = new UVpaDevice(settings, model);
        UVpaCloud cloud = new UVpaCloud(settings, model, teacher)) {
      return EdgeStream.run(
              stream,
              BATCH,
              device,
              cloud,
              (inputs, output) -> {
                Tensor uncertainty = device.uncertainty(inputs);
                return device.upload(inputs, choice.of(uncertainty), uncertainty, false);
              })
          .accuracy();
    }
  }

  private static UVpa.Settings settings(Map<String, ?> changes) {
    Map<String, Object> all = new LinkedHashMap<>();
    all.put("rate", 0.6);
    all.put("scale", 2.0);
    all.put("promptRate", 0.03);
    all.put("weighted", false);
    all.put("restart", false);
    all.putAll(changes);
    try (UVpa method = Methods.create(UVpa.class, "u-vpa", all)) {
      return method.settings();
    }
  }

  private static void train(
      NeuralModel model, IndexedDataset data, Augmentation change, Scale scale, long seed) {
    Trainer.of(model)
        .settings(
            Trainer.Settings.defaults()
                .withEpochs(scale.pick(40, 1))
                .withBatchSize(64)
                .withSeed(seed))
        .optimiser(p -> new Adam(p, Adam.Settings.of(2e-3)))
        .schedule(Schedule.constant())
        .augment(change)
        .fit(data);
  }

  /** Each batch in one of the environments, at a random strength. */
  private static Tensor corrupted(Tensor inputs, Rng rng) {
    return Scopes.tensor(
        () -> {
          double[] draws = Tensors.doubles(rng.uniform(2));
          int which = (int) (draws[0] * ENVIRONMENTS);
          return environment(which, inputs, 1.2 * draws[1]);
        });
  }

  private static final int ENVIRONMENTS = 4;

  private static List<Augmentation> environments() {
    List<Augmentation> all = new ArrayList<>();
    for (int i = 0; i < ENVIRONMENTS; i++) {
      int which = i;
      all.add((inputs, rng) -> environment(which, inputs, 1));
    }
    return all;
  }

  private static Tensor environment(int which, Tensor inputs, double strength) {
    return Scopes.tensor(
        () -> {
          Tensor column = torch.arange(new Scalar(64)).remainder(new Scalar(8));
          return switch (which) {
            case 0 -> inputs.add(new Scalar(0.75 * strength));
            case 1 -> inputs.add(column.div(new Scalar(7.0)), new Scalar(1.5 * strength));
            case 2 -> inputs.add(column.remainder(new Scalar(2)), new Scalar(strength));
            default ->
                inputs
                    .mul(new Scalar(1 - 0.5 * strength))
                    .add(torch.arange(new Scalar(64)).div(new Scalar(64.0)), new Scalar(strength));
          };
        });
  }
}
