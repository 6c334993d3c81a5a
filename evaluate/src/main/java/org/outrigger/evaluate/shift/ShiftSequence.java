package org.outrigger.evaluate.shift;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.Consumer;
import java.util.function.Function;
import java.util.function.ToDoubleFunction;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.Batch;
import org.outrigger.core.data.Batches;
import org.outrigger.core.data.ClassRows;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.data.Shift;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.metric.Accuracy;
import org.outrigger.core.metric.DetectionMetrics;
import org.outrigger.core.model.Output;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

/**
 * Continuously adaptive detection: known and unknown inputs drift together through a sequence of
 * shifts. At each step a model gets a few labelled known rows of the new distribution to adapt to,
 * then all of the test data is measured under the same shift. What it learned stays for the next
 * step, unless it forgets by itself.
 *
 * <p>After Wu et al., "Meta OOD Learning for Continuously Adaptive OOD Detection", ICCV 2023.
 *
 * <pre>{@code
 * Curve curve =
 *     new ShiftSequence(pool, test, unknown, Rotation.range(60, 150, 10), 5, 0)
 *         .run(mol::adapt, mol::predict, output -> Energy.score(output.logits(), 1));
 * Curve frozen = sequence.run(support -> {}, model::predict, ...);
 * }</pre>
 */
public final class ShiftSequence {
  private static final int BATCH = 512;

  /**
   * What one step came to.
   *
   * @param shift its name
   * @param accuracy the share of known rows that are classified right
   * @param auroc the area under the ROC curve of known against unknown rows
   * @param fpr95 the share of unknown rows that are accepted where 95 % of the known ones are
   */
  public record Point(String shift, double accuracy, double auroc, double fpr95) {}

  /** The steps in order, and their means. */
  public record Curve(List<Point> points) {
    public Curve {
      points = List.copyOf(points);
    }

    /** The mean accuracy over the sequence. */
    public double accuracy() {
      return mean(Point::accuracy);
    }

    /** The mean AUROC over the sequence. */
    public double auroc() {
      return mean(Point::auroc);
    }

    /** The mean false-positive rate over the sequence. */
    public double fpr95() {
      return mean(Point::fpr95);
    }

    private double mean(ToDoubleFunction<Point> figure) {
      return points.stream().mapToDouble(figure).average().orElse(Double.NaN);
    }
  }

  private final IndexedDataset pool;
  private final IndexedDataset known;
  private final IndexedDataset unknown;
  private final List<Shift> shifts;
  private final int perClass;
  private final long seed;
  private final ClassRows rows;

  /**
   * @param pool labelled rows to draw support sets from; none of them among the test rows
   * @param known labelled test rows
   * @param unknown test rows of no class
   * @param shifts at least one, in order
   * @param perClass rows of each class in a support set, 1 or more
   * @param seed of the support sets, which are the same for every model
   */
  public ShiftSequence(
      IndexedDataset pool,
      IndexedDataset known,
      IndexedDataset unknown,
      List<Shift> shifts,
      int perClass,
      long seed) {
    HyperParameter.atLeast("perClass", perClass, 1);
    if (shifts.isEmpty()) {
      throw new OutriggerException("The sequence has no shift: give at least one.");
    }
    if (!known.labelled() || known.size() < 1 || unknown.size() < 1) {
      throw new OutriggerException(
          "A sequence needs labelled known test rows and unknown ones, but "
              + known.name()
              + " has "
              + known.size()
              + (known.labelled() ? " and " : " without labels and ")
              + unknown.name()
              + " has "
              + unknown.size()
              + ".");
    }
    this.rows = ClassRows.of(pool, perClass);
    this.pool = pool;
    this.known = known;
    this.unknown = unknown;
    this.shifts = List.copyOf(shifts);
    this.perClass = perClass;
    this.seed = seed;
  }

  /**
   * Leads a model through the sequence.
   *
   * @param adapt is given the support set of each step before the test rows are predicted
   * @param predict inputs [N, ...] to an output that its caller closes
   * @param score an output to scores [N]; larger means less familiar
   */
  public Curve run(
      Consumer<Batch> adapt, Function<Tensor, Output> predict, Function<Output, Tensor> score) {
    List<Point> points = new ArrayList<>();
    for (int t = 0; t < shifts.size(); t++) {
      Shift shift = shifts.get(t);
      try (PointerScope scope = new PointerScope();
          Rng rng = Rng.named(seed, "shift sequence/" + t)) {
        adapt.accept(shift.of(pool).read(rows.draw(rng, perClass).get(0)));
      }
      Accuracy accuracy = new Accuracy();
      double[] familiar = scores(shift.of(known), predict, score, accuracy);
      double[] strange = scores(shift.of(unknown), predict, score, null);
      DetectionMetrics metrics = DetectionMetrics.of(familiar, strange);
      points.add(
          new Point(shift.name(), accuracy.value(), metrics.auroc(), metrics.fprIdPositive()));
    }
    return new Curve(points);
  }

  private static double[] scores(
      IndexedDataset data,
      Function<Tensor, Output> predict,
      Function<Output, Tensor> score,
      @Nullable Accuracy accuracy) {
    List<double[]> parts = new ArrayList<>();
    try (Batches batches = data.strict().batches(BATCH)) {
      while (batches.hasNext()) {
        Scopes.run(
            () -> {
              Batch batch = batches.next();
              Output output = predict.apply(batch.inputs());
              Tensor labels = batch.labels();
              if (accuracy != null && labels != null) {
                accuracy.add(output.logits(), labels);
              }
              parts.add(Tensors.doubles(score.apply(output)));
            });
      }
    }
    return parts.stream().flatMapToDouble(Arrays::stream).toArray();
  }
}
