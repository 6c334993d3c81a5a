package org.outrigger.adapt;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.LongOptional;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.ScalarOptional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.adapt.FineTuner.Part;
import org.outrigger.adapt.FineTuner.Rule;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.Batch;
import org.outrigger.core.data.Batches;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Methods;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.model.Output;
import org.outrigger.core.optim.CrossEntropy;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;
import org.outrigger.core.torch.Tensors;

/**
 * SHOT: fits the features of an unlabelled target set to a frozen head. Rows are to be certain and
 * the batch as a whole diverse, and each row is to belong to the class whose centroid in feature
 * space is nearest: {@code L = mean H + sum_c pbar_c log pbar_c + beta CE(f(x), yhat)}.
 *
 * <p>Pseudo-labels yhat are renewed between epochs, from all rows: centroids are means of the
 * features weighted with the predictions, then, once more, means over the rows that were nearest to
 * each; the distance is the cosine of features with a 1 appended. Liang, Hu and Feng, "Do We Really
 * Need to Access the Source Data?", ICML 2020. Its labels follow the predictions: a target that
 * lacks classes or holds other things misleads it.
 */
@Card(
    slug = "shot",
    name = "SHOT",
    summary = "Fits the features of an unlabelled target set to the frozen head.",
    paper =
        "Liang, Hu, Feng. Do We Really Need to Access the Source Data? Source Hypothesis Transfer"
            + " for Unsupervised Domain Adaptation. ICML 2020",
    year = 2020,
    room = Room.ADAPT,
    needs = {
      Need.LOGITS,
      Need.FEATURES,
      Need.PARAMETER_GRADIENTS,
      Need.SWAPPABLE_LAYERS,
      Need.TRAINING
    },
    state = "the adapted model")
public final class Shot implements OfflineAdapter {
  private static final int BATCH = 256;

  /**
   * @param lr the learning rate, above 0; falls as {@code (1 + 10 p)^-power} with the progress p
   * @param power how fast it falls, 0 or more
   * @param backbone the factor on the learning rate of all that is below the head and its
   *     bottleneck, above 0
   * @param beta the weight of the pseudo-labels, 0 or more
   * @param epochs how often pseudo-labels are renewed, 1 or more
   * @param stepsPerEpoch steps between two renewals; 0 for a pass over all rows
   * @param batch rows a step, 2 or more
   * @param optimiser the base optimiser
   * @param weightDecay 0 or more
   * @param seed of the order of the rows
   */
  public record Settings(
      double lr,
      double power,
      double backbone,
      double beta,
      int epochs,
      int stepsPerEpoch,
      int batch,
      Rule optimiser,
      double weightDecay,
      long seed) {
    public Settings {
      HyperParameter.positive("lr", lr);
      HyperParameter.notNegative("power", power);
      HyperParameter.positive("backbone", backbone);
      HyperParameter.notNegative("beta", beta);
      HyperParameter.atLeast("epochs", epochs, 1);
      HyperParameter.atLeast("stepsPerEpoch", stepsPerEpoch, 0);
      HyperParameter.atLeast("batch", batch, 2);
      Objects.requireNonNull(optimiser);
      HyperParameter.notNegative("weightDecay", weightDecay);
    }

    public static Settings defaults() {
      return new Settings(0.01, 0.75, 0.1, 0.3, 15, 0, 64, Rule.SGD, 1e-3, 0);
    }

    FineTuner.Settings tuning() {
      return new FineTuner.Settings(Part.FEATURES, optimiser, lr, weightDecay, 0, 0, List.of());
    }
  }

  private record Adapted(NeuralModel model, Map<String, Object> report) implements Result {
    @Override
    public void close() {
      model.close();
    }
  }

  private final Settings settings;

  public Shot() {
    this(Settings.defaults());
  }

  public Shot(Settings settings) {
    this.settings = Objects.requireNonNull(settings);
  }

  @Override
  public Settings settings() {
    return settings;
  }

  /**
   * The pseudo-labels of all rows.
   *
   * @param features [N, D]
   * @param probabilities [N, C]
   * @return int64 [N]
   */
  public static Tensor pseudoLabels(Tensor features, Tensor probabilities) {
    return Scopes.noGrad(
        () -> {
          Tensor one = torch.ones(new long[] {features.size(0), 1}, features.options());
          Tensor rows = unit(torch.cat(new TensorVector(features, one), 1));
          // A class that nothing was predicted as has no centroid.
          Tensor predicted =
              oneHot(probabilities.argmax(new LongOptional(1), false), rows, probabilities);
          Tensor absent = predicted.sum(0).eq(new Scalar(0.0));
          Tensor labels = nearest(rows, probabilities, absent);
          return nearest(rows, oneHot(labels, rows, probabilities), absent);
        });
  }

  private static Tensor nearest(Tensor rows, Tensor weights, Tensor absent) {
    Tensor centroids = unit(weights.t().matmul(rows));
    return rows.matmul(centroids.t())
        .masked_fill(absent.unsqueeze(0), new Scalar(Double.NEGATIVE_INFINITY))
        .argmax(new LongOptional(1), false);
  }

  private static Tensor unit(Tensor rows) {
    return rows.div(
        rows.norm(new ScalarOptional(new Scalar(2)), new long[] {1}, true)
            .clamp_min(new Scalar(1e-8)));
  }

  private static Tensor oneHot(Tensor labels, Tensor type, Tensor classes) {
    return torch
        .zeros(classes.shape(), type.options())
        .scatter(1, labels.unsqueeze(1), new Scalar(1.0));
  }

  /**
   * The loss of a batch.
   *
   * @param logits [N, C]
   * @param pseudoLabels int64 [N]
   * @return a scalar
   */
  public static Tensor loss(Tensor logits, Tensor pseudoLabels, double beta) {
    return Scopes.tensor(
        () ->
            ShotIm.loss(logits, torch.ones_like(pseudoLabels))
                .add(CrossEntropy.loss(logits, pseudoLabels, 0), new Scalar(beta)));
  }

  @Override
  public Result adapt(NeuralModel source, IndexedDataset target, Listener listener) {
    FineTuner.requireDirections(source);
    FineTuner.select(source, settings.tuning());
    if (target.size() < 2) {
      throw new OutriggerException(
          target.name() + " has " + target.size() + " rows: SHOT needs two or more.");
    }
    NeuralModel model = source.deepCopy();
    List<Double> losses = new ArrayList<>();
    try (FineTuner tuner = new FineTuner(model, settings.tuning(), settings.backbone)) {
      int rows = Math.toIntExact(target.size());
      int batch = Math.min(settings.batch, rows);
      int steps = settings.stepsPerEpoch > 0 ? settings.stepsPerEpoch : Math.max(1, rows / batch);
      long total = (long) steps * settings.epochs;
      for (int epoch = 0; epoch < settings.epochs; epoch++) {
        try (PointerScope scope = new PointerScope()) {
          losses.add(epoch(model, tuner, target, epoch, steps, batch, total, listener));
        }
      }
    } catch (RuntimeException e) {
      model.close();
      throw e;
    }
    Map<String, Object> report = new LinkedHashMap<>();
    report.put("method", "shot");
    report.put("settings", Methods.values(settings));
    report.put("source", source.name());
    report.put("rows", target.size());
    report.put("epochLosses", losses);
    return new Adapted(model, report);
  }

  private double epoch(
      NeuralModel model,
      FineTuner tuner,
      IndexedDataset target,
      int epoch,
      int steps,
      int batch,
      long total,
      Listener listener) {
    Tensor labels = labels(model, target);
    double sum = 0;
    int[] order = {};
    int pass = 0;
    int next = 0;
    for (int i = 0; i < steps; i++) {
      if (next + batch > order.length) {
        order = order(target, epoch, pass++);
        next = 0;
      }
      long step = (long) epoch * steps + i;
      tuner.pace(Math.pow(1 + 10.0 * step / total, -settings.power));
      try (PointerScope scope = new PointerScope()) {
        int[] rows = Arrays.copyOfRange(order, next, next + batch);
        Tensor inputs = target.read(rows).inputs();
        Tensor pseudo =
            labels.index_select(0, Tensors.of(Arrays.stream(rows).asLongStream().toArray(), batch));
        double loss = tuner.step(() -> loss(model.forward(inputs).logits(), pseudo, settings.beta));
        sum += loss;
        listener.stepped(step + 1, total, loss);
      }
      next += batch;
    }
    return sum / steps;
  }

  private int[] order(IndexedDataset target, int epoch, int pass) {
    return Scopes.scoped(
        () -> {
          try (Rng rng = Rng.named(settings.seed, "shot/" + epoch + "/" + pass)) {
            return Tensors.ints(rng.permutation(target.size()));
          }
        });
  }

  /** Pseudo-labels of all rows by the model as it is, int64 [N]. */
  private static Tensor labels(NeuralModel model, IndexedDataset target) {
    return Scopes.noGrad(
        () -> {
          List<Tensor> features = new ArrayList<>();
          List<Tensor> logits = new ArrayList<>();
          try (Batches batches = target.strict().batches(BATCH)) {
            while (batches.hasNext()) {
              try (Batch batch = batches.next()) {
                Shapes.finite("The rows of " + target.name(), batch.inputs());
                Output output = model.predict(batch.inputs());
                features.add(output.features());
                logits.add(output.logits());
              }
            }
          }
          return pseudoLabels(
              torch.cat(new TensorVector(features.toArray(new Tensor[0])), 0),
              torch.softmax(torch.cat(new TensorVector(logits.toArray(new Tensor[0])), 0), 1));
        });
  }
}
