package org.outrigger.guard;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.LongConsumer;
import java.util.stream.DoubleStream;
import java.util.stream.IntStream;
import org.bytedeco.javacpp.PointerScope;
import org.jspecify.annotations.Nullable;
import org.outrigger.calibrate.ConformalPredictor;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.Batch;
import org.outrigger.core.data.Batches;
import org.outrigger.core.data.Dataset;
import org.outrigger.core.metric.Auroc;
import org.outrigger.core.metric.Bootstrap;
import org.outrigger.core.metric.ConfusionMatrix;
import org.outrigger.core.metric.DetectionMetrics;
import org.outrigger.core.metric.EceAccumulator;
import org.outrigger.core.metric.Fpr;
import org.outrigger.core.metric.Interval;
import org.outrigger.core.metric.Rate;
import org.outrigger.core.metric.RiskCoverage;
import org.outrigger.core.metric.ScoreTable;
import org.outrigger.core.metric.TopLabel;
import org.outrigger.core.torch.Tensors;
import org.outrigger.evaluate.report.ReportPage;

/**
 * A guard measured on data it was not fitted on: known inputs, and any number of kinds of unknown
 * inputs.
 *
 * @param guard its provenance
 * @param known what it did on known inputs
 * @param unknown what it did on each kind of unknown inputs
 */
public record GuardEvaluation(GuardInfo guard, Known known, List<Unknown> unknown) {

  /**
   * Known inputs.
   *
   * @param name of the data
   * @param rows judged
   * @param skipped could not be read
   * @param accepted the share that the guard took for known, with its interval
   * @param scores of all rows
   * @param predictions what labelled rows show; null without labels
   * @param familiar pictures with the smallest scores
   * @param unfamiliar pictures with the largest scores
   */
  @SuppressWarnings("ArrayRecordComponent")
  public record Known(
      String name,
      long rows,
      List<Batches.Skipped> skipped,
      Interval accepted,
      double[] scores,
      @Nullable Predictions predictions,
      List<ReportPage.Picture> familiar,
      List<ReportPage.Picture> unfamiliar) {}

  /**
   * Predictions on labelled known inputs.
   *
   * @param accuracy with its interval
   * @param before confidence without calibration
   * @param after confidence with calibration
   * @param risk error against coverage, by calibrated confidence
   * @param confusion counts by class
   * @param labelSets how the label sets kept their promise; null without label sets
   */
  public record Predictions(
      Interval accuracy,
      EceAccumulator before,
      EceAccumulator after,
      RiskCoverage risk,
      ConfusionMatrix confusion,
      @Nullable LabelSetFigures labelSets) {}

  /**
   * Label sets on labelled known inputs.
   *
   * @param promise in words
   * @param promised the probability that a set holds the true label
   * @param coverage the share that does, with its interval
   * @param meanSize labels a set
   * @param empty the share of empty sets
   * @param certain the share of sets of one label
   * @param sizes how many sets have 0, 1, .. C labels
   */
  @SuppressWarnings("ArrayRecordComponent")
  public record LabelSetFigures(
      String promise,
      double promised,
      Interval coverage,
      double meanSize,
      double empty,
      double certain,
      long[] sizes) {}

  /**
   * One kind of unknown inputs.
   *
   * @param name of the data
   * @param rows judged
   * @param skipped could not be read
   * @param flagged the share that the guard took for unknown, with its interval
   * @param metrics of the scores against those of the known inputs
   * @param auroc its bootstrap interval
   * @param fpr of the false-positive rate at 95 % known inputs accepted
   * @param scores of all rows
   * @param familiar pictures with the smallest scores: the ones most easily taken for known
   * @param unfamiliar pictures with the largest scores
   */
  @SuppressWarnings("ArrayRecordComponent")
  public record Unknown(
      String name,
      long rows,
      List<Batches.Skipped> skipped,
      Interval flagged,
      DetectionMetrics metrics,
      Interval auroc,
      Interval fpr,
      double[] scores,
      List<ReportPage.Picture> familiar,
      List<ReportPage.Picture> unfamiliar) {}

  /**
   * Measures.
   *
   * @param known inputs of the kind it was fitted on, preferably labelled
   * @param unknown kinds of inputs that it should flag
   * @param batchSize rows a forward pass
   * @param seed of the bootstrap
   * @param progress is told the number of rows judged so far, over all data sets
   */
  public static GuardEvaluation of(
      Guard guard,
      Dataset known,
      List<? extends Dataset> unknown,
      int batchSize,
      long seed,
      LongConsumer progress) {
    Walk first = new Walk(guard, known, batchSize, 0, progress);
    List<Unknown> kinds = new ArrayList<>();
    long done = first.scores.length;
    Bootstrap bootstrap = Bootstrap.of(seed);
    for (Dataset each : unknown) {
      Walk walk = new Walk(guard, each, batchSize, done, progress);
      done += walk.scores.length;
      ScoreTable table = ScoreTable.of(first.scores, walk.scores);
      kinds.add(
          new Unknown(
              each.name(),
              walk.scores.length,
              walk.skipped,
              Rate.wilson(walk.unknown, walk.scores.length, 0.95),
              DetectionMetrics.of(table, 0.95),
              bootstrap.detection(table, Auroc::of),
              bootstrap.detection(table, scores -> Fpr.idPositive(scores, 0.95)),
              walk.scores,
              walk.extremes.lowest(),
              walk.extremes.highest()));
    }
    return new GuardEvaluation(
        guard.info(),
        new Known(
            known.name(),
            first.scores.length,
            first.skipped,
            Rate.wilson(first.scores.length - first.unknown, first.scores.length, 0.95),
            first.scores,
            first.predictions(),
            first.extremes.lowest(),
            first.extremes.highest()),
        kinds);
  }

  /** One pass of the guard over a data set. */
  private static final class Walk {
    final double[] scores;
    final List<Batches.Skipped> skipped;
    final Extremes extremes = new Extremes(12);
    long unknown;
    private final double[] raw;
    private final double[] calibrated;
    private final int[] right;
    private final ConfusionMatrix confusion;
    private final int labelled;
    private final @Nullable ConformalPredictor labelSets;
    private final long[] sizes;
    private long covered;

    Walk(Guard guard, Dataset data, int batchSize, long done, LongConsumer progress) {
      DoubleStream.Builder all = DoubleStream.builder();
      DoubleStream.Builder before = DoubleStream.builder();
      DoubleStream.Builder after = DoubleStream.builder();
      IntStream.Builder correct = IntStream.builder();
      long rows = 0;
      int classes = guard.info().classNames().size();
      confusion = new ConfusionMatrix(classes);
      labelSets = guard.labelSets();
      sizes = new long[classes + 1];
      try (Batches batches = data.batches(batchSize)) {
        while (batches.hasNext()) {
          try (PointerScope scope = new PointerScope();
              Batch batch = batches.next()) {
            Guard.Judged judged = guard.judge(batch.inputs(), batch.ids(), null);
            int[] labels = batch.labels() == null ? null : Tensors.ints(batch.labels());
            double[] confidence = Guard.confidences(judged.logits(), classes, judged.predicted());
            for (int i = 0; i < judged.score().length; i++) {
              double score = judged.score()[i];
              int predicted = judged.predicted()[i];
              boolean flagged = !(score <= guard.info().threshold().value());
              all.add(score);
              unknown += flagged ? 1 : 0;
              if (labels != null && labels[i] >= 0 && labels[i] < classes) {
                before.add(confidence[i]);
                after.add(judged.probability()[i]);
                correct.add(predicted == labels[i] ? 1 : 0);
                confusion.add(new int[] {predicted}, new int[] {labels[i]});
                if (judged.sets() != null) {
                  count(judged.sets()[i], labels[i]);
                }
              }
              extremes.offer(batch.inputs(), i, score, guard.info().classNames().get(predicted));
            }
            rows += batch.size();
            progress.accept(done + rows);
          }
        }
        skipped = List.copyOf(batches.skipped());
      }
      if (rows == 0) {
        throw new OutriggerException(
            "No row of " + data.name() + " could be judged: it is empty or unreadable.");
      }
      scores = all.build().toArray();
      raw = before.build().toArray();
      calibrated = after.build().toArray();
      right = correct.build().toArray();
      labelled = right.length;
    }

    private void count(boolean[] set, int label) {
      int size = 0;
      for (boolean member : set) {
        size += member ? 1 : 0;
      }
      sizes[size]++;
      covered += set[label] ? 1 : 0;
    }

    private @Nullable LabelSetFigures labelSetFigures() {
      if (labelSets == null) {
        return null;
      }
      double sum = 0;
      for (int size = 0; size < sizes.length; size++) {
        sum += size * (double) sizes[size];
      }
      return new LabelSetFigures(
          labelSets.promise(),
          labelSets.coverage(),
          Rate.wilson(covered, labelled, 0.95),
          sum / labelled,
          sizes[0] / (double) labelled,
          sizes[1] / (double) labelled,
          sizes);
    }

    @Nullable Predictions predictions() {
      if (labelled == 0) {
        return null;
      }
      boolean[] hit = new boolean[labelled];
      int hits = 0;
      for (int i = 0; i < labelled; i++) {
        hit[i] = right[i] == 1;
        hits += right[i];
      }
      TopLabel before = new TopLabel(raw, hit);
      TopLabel after = new TopLabel(calibrated, hit);
      return new Predictions(
          Rate.wilson(hits, labelled, 0.95),
          new EceAccumulator().add(before),
          new EceAccumulator().add(after),
          RiskCoverage.of(after),
          confusion,
          labelSetFigures());
    }
  }

  /** The figures as JSON types. */
  public Map<String, Object> toJson() {
    Map<String, Object> json = new LinkedHashMap<>();
    Map<String, Object> id = new LinkedHashMap<>();
    id.put("name", known.name());
    id.put("rows", known.rows());
    id.put("skipped", known.skipped().size());
    id.put("accepted", known.accepted());
    if (known.predictions() != null) {
      id.put("accuracy", known.predictions().accuracy());
      id.put("eceBefore", known.predictions().before().ece());
      id.put("eceAfter", known.predictions().after().ece());
      id.put("aurc", known.predictions().risk().aurc());
      id.put("reliabilityBefore", known.predictions().before().diagram());
      id.put("reliabilityAfter", known.predictions().after().diagram());
      if (known.predictions().labelSets() != null) {
        id.put("labelSets", known.predictions().labelSets());
      }
      id.put("classes", classes(known.predictions().confusion(), guard.classNames()));
    }
    json.put("known", id);
    List<Object> kinds = new ArrayList<>();
    for (Unknown each : unknown) {
      Map<String, Object> one = new LinkedHashMap<>();
      one.put("name", each.name());
      one.put("rows", each.rows());
      one.put("skipped", each.skipped().size());
      one.put("flagged", each.flagged());
      one.put("auroc", each.auroc());
      one.put("fpr95IdPositive", each.fpr());
      one.put("fpr95OodPositive", each.metrics().fprOodPositive());
      one.put("auprIn", each.metrics().auprIn());
      one.put("auprOut", each.metrics().auprOut());
      kinds.add(one);
    }
    json.put("unknown", kinds);
    json.put("guard", guard);
    return json;
  }

  private static List<Object> classes(ConfusionMatrix confusion, List<String> names) {
    List<Object> classes = new ArrayList<>();
    for (int c = 0; c < names.size(); c++) {
      Map<String, Object> one = new LinkedHashMap<>();
      one.put("name", names.get(c));
      one.put("recall", confusion.recall(c));
      one.put("precision", confusion.precision(c));
      one.put("f1", confusion.f1(c));
      classes.add(one);
    }
    return classes;
  }
}
