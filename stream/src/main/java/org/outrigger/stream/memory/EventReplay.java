package org.outrigger.stream.memory;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.IntConsumer;
import java.util.stream.IntStream;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.metric.Auroc;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;
import org.outrigger.core.torch.Tensors;

/**
 * Replays a log of labelled events in time slots: each slot is predicted with the memory as it is,
 * and written once its labels are known, {@code delay} slots later. No prediction uses a label of
 * its own slot.
 */
public final class EventReplay {
  private EventReplay() {}

  /** Trains the served model on a slot that has passed, for incremental training. */
  @FunctionalInterface
  public interface Learner {
    /**
     * @param inputs rows as the scorer takes them
     * @param labels float64 [N]
     */
    void learn(Tensor inputs, Tensor labels);
  }

  /**
   * How events were predicted.
   *
   * @param auc area under the ROC curve of the model alone; NaN if all labels are the same
   * @param correctedAuc of the corrected probabilities
   * @param logLoss mean negative log-likelihood of the model alone
   * @param correctedLogLoss of the corrected probabilities
   * @param positives the share of positive labels
   * @param filled the mean share of neighbours or buckets that held something
   */
  public record Figures(
      long events,
      double auc,
      double correctedAuc,
      double logLoss,
      double correctedLogLoss,
      double positives,
      double filled) {
    /** The figures by name, for JSON. */
    public Map<String, Object> toJson() {
      Map<String, Object> all = new LinkedHashMap<>();
      all.put("events", events);
      all.put("positives", positives);
      all.put("auc", auc);
      all.put("correctedAuc", correctedAuc);
      all.put("logLoss", logLoss);
      all.put("correctedLogLoss", correctedLogLoss);
      all.put("filled", filled);
      return all;
    }
  }

  /**
   * A replayed log.
   *
   * @param slots one a time slot, in order
   * @param warm all events after the first slot, when the memory held something
   */
  public record Report(List<Figures> slots, Figures warm) {}

  /**
   * Replays.
   *
   * @param scorer the served model
   * @param memory started; it is written to
   * @param inputs rows as the scorer takes them, in the order of time
   * @param labels 0 or 1, [N]
   * @param slots how many slots of equal length, 2 or more
   * @param delay slots between a prediction and its label, 0: at the slot's end
   * @param learner trains the model after each slot; the memory is then filled again with keys of
   *     the new model. null: the model stays
   * @param progress told the slots that are done
   */
  public static Report of(
      Scorer scorer,
      ReLoop2 memory,
      Tensor inputs,
      Tensor labels,
      int slots,
      int delay,
      @Nullable Learner learner,
      IntConsumer progress) {
    long rows = inputs.size(0);
    Shapes.check().size("N", rows, "the inputs").tensor("labels", labels, "N");
    HyperParameter.between("slots", slots, 2, rows);
    HyperParameter.between("delay", delay, 0, slots);
    double[] y = Tensors.doubles(labels);
    if (Arrays.stream(y).anyMatch(v -> v != 0 && v != 1)) {
      throw new OutriggerException(
          "A log is replayed with labels 0 and 1: name the column that says whether an event was"
              + " positive.");
    }
    double[] base = new double[y.length];
    double[] served = new double[y.length];
    double[] filled = new double[y.length];
    List<Figures> all = new ArrayList<>();
    for (int s = 0; s < slots; s++) {
      int from = (int) (rows * s / slots);
      int to = (int) (rows * (s + 1) / slots);
      int slot = s;
      Scopes.run(
          () -> {
            Scorer.Scored scored = scorer.score(inputs.narrow(0, from, to - from));
            Correction correction = memory.correct(scored.keys(), scored.base());
            put(scored.base(), base, from);
            put(correction.probabilities(), served, from);
            put(
                correction
                    .filled()
                    .to(ScalarType.Double)
                    .div(Tensors.number(correction.attention().size(1))),
                filled,
                from);
            remember(scorer, memory, inputs, labels, slot - delay, slots, learner);
          });
      all.add(figures(y, base, served, filled, from, to));
      progress.accept(s + 1);
    }
    int warm = (int) (rows / slots);
    return new Report(List.copyOf(all), figures(y, base, served, filled, warm, y.length));
  }

  private static void put(Tensor values, double[] into, int at) {
    double[] from = Tensors.doubles(values);
    System.arraycopy(from, 0, into, at, from.length);
  }

  private static void remember(
      Scorer scorer,
      ReLoop2 memory,
      Tensor inputs,
      Tensor labels,
      int slot,
      int slots,
      @Nullable Learner learner) {
    if (slot < 0) {
      return;
    }
    long rows = inputs.size(0);
    long from = rows * slot / slots;
    long to = rows * (slot + 1) / slots;
    if (learner != null) {
      learner.learn(
          inputs.narrow(0, from, to - from),
          labels.narrow(0, from, to - from).to(ScalarType.Double));
      // Keys of the model as it was are of no use: what is to be remembered is encoded again.
      from = Math.max(0, to - memory.settings().capacity());
      Tensor known = inputs.narrow(0, from, to - from);
      memory.start(scorer.score(known).keys(), memory.version() + "+");
    }
    Scorer.Scored scored = scorer.score(inputs.narrow(0, from, to - from));
    memory.write(scored.keys(), labels.narrow(0, from, to - from), scored.base());
  }

  private static Figures figures(
      double[] y, double[] base, double[] served, double[] filled, int from, int to) {
    int[] rows = IntStream.range(from, to).toArray();
    return new Figures(
        rows.length,
        auc(y, base, rows),
        auc(y, served, rows),
        logLoss(y, base, rows),
        logLoss(y, served, rows),
        Arrays.stream(rows).mapToDouble(i -> y[i]).average().orElse(Double.NaN),
        Arrays.stream(rows).mapToDouble(i -> filled[i]).average().orElse(Double.NaN));
  }

  private static double auc(double[] y, double[] p, int[] rows) {
    double[] negative = Arrays.stream(rows).filter(i -> y[i] == 0).mapToDouble(i -> p[i]).toArray();
    double[] positive = Arrays.stream(rows).filter(i -> y[i] == 1).mapToDouble(i -> p[i]).toArray();
    return negative.length == 0 || positive.length == 0 ? Double.NaN : Auroc.of(negative, positive);
  }

  /** Probabilities are kept 1e-6 away from 0 and 1, where the loss has no bound. */
  private static double logLoss(double[] y, double[] p, int[] rows) {
    return Arrays.stream(rows)
        .mapToDouble(
            i -> {
              double right = y[i] == 1 ? p[i] : 1 - p[i];
              return -Math.log(Math.min(Math.max(right, 1e-6), 1 - 1e-6));
            })
        .average()
        .orElse(Double.NaN);
  }
}
