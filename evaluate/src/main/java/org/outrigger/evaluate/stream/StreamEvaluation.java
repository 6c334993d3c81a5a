package org.outrigger.evaluate.stream;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.BiConsumer;
import java.util.function.Consumer;
import java.util.stream.IntStream;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.metric.Accuracy;
import org.outrigger.core.model.Output;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;
import org.outrigger.core.torch.Tensors;

/**
 * Leads a predictor through a stream and measures it, by domain and round. Memory does not grow
 * with the stream, but for a few numbers a round and point of the curve.
 *
 * <pre>{@code
 * StreamReport report =
 *     StreamEvaluation.of(stream).run(StreamPredictor.of(adapter::adapt, adapter::reset));
 * double error = report.error();
 * }</pre>
 */
public final class StreamEvaluation {
  /**
   * How far a run is.
   *
   * @param rows how many are done
   * @param of how many there are
   * @param domain that of the last row
   * @param accuracy so far; NaN if no row had a label
   */
  public record Progress(long rows, long of, String domain, double accuracy) {}

  private final TestStream stream;
  private Consumer<Progress> progress = done -> {};
  private BiConsumer<StreamBatch, Output> observer = (batch, output) -> {};
  private long curveRows = Long.MAX_VALUE;

  private StreamEvaluation(TestStream stream) {
    this.stream = stream;
  }

  public static StreamEvaluation of(TestStream stream) {
    return new StreamEvaluation(stream);
  }

  /** Is told after every batch. */
  public StreamEvaluation progress(Consumer<Progress> value) {
    progress = value;
    return this;
  }

  /**
   * Sees every batch with its predictions, for figures of one's own; both are closed afterwards.
   */
  public StreamEvaluation observe(BiConsumer<StreamBatch, Output> value) {
    observer = value;
    return this;
  }

  /**
   * Records accuracy over time.
   *
   * @param rows a point after every so many rows, at the end of their batch; 1 or more
   */
  public StreamEvaluation curve(long rows) {
    HyperParameter.atLeast("rows", rows, 1);
    curveRows = rows;
    return this;
  }

  /**
   * Runs once. The predictor is reset before the first batch and wherever the stream says so.
   *
   * @throws OutriggerException if its predictions do not fit or are no numbers
   */
  public StreamReport run(StreamPredictor predictor) {
    Run run = new Run();
    try (StreamWalk walk = stream.walk()) {
      while (walk.hasNext()) {
        Scopes.run(() -> run.batch(walk.next(), predictor));
      }
    }
    return run.report();
  }

  /** What one run has counted. */
  private final class Run {
    private final List<String> names = stream.domains();
    private final StreamTally[] tallies = tallies();
    private final List<List<StreamReport.Figures>> rounds = new ArrayList<>();
    private final List<StreamReport.Point> curve = new ArrayList<>();
    private final long size = stream.rows();
    private StreamTally[] current = tallies();
    private Accuracy soFar = new Accuracy();
    private Accuracy recent = new Accuracy();
    private long since;
    private int round;

    private StreamTally[] tallies() {
      return names.stream().map(name -> new StreamTally()).toArray(StreamTally[]::new);
    }

    void batch(StreamBatch batch, StreamPredictor predictor) {
      if (batch.round() > round) {
        endRound();
      }
      if (batch.reset()) {
        predictor.reset();
      }
      long begin = System.nanoTime();
      Output output = predictor.predict(batch.inputs());
      double nanos = System.nanoTime() - begin;
      count(batch, output, nanos);
      observer.accept(batch, output);
      long done = batch.start() + batch.size();
      since += batch.size();
      if (since >= curveRows || (done == size && curveRows < Long.MAX_VALUE)) {
        curve.add(new StreamReport.Point(done, share(recent)));
        recent = new Accuracy();
        since = 0;
      }
      String last = names.get(batch.domains()[batch.size() - 1]);
      progress.accept(new Progress(done, size, last, share(soFar)));
    }

    private void count(StreamBatch batch, Output output, double nanos) {
      Shapes.check()
          .size("N", batch.size(), "the batch")
          .tensor("The predicted logits", output.logits(), "N", "C");
      Tensor probabilities =
          Scopes.noGrad(() -> torch.softmax(output.logits().to(ScalarType.Double), 1));
      if (probabilities.isnan().any().item_bool()) {
        throw new OutriggerException(
            "The predictions of rows "
                + batch.start()
                + " to "
                + (batch.start() + batch.size() - 1)
                + " of the stream, in the domain '"
                + names.get(batch.domains()[0])
                + "', are no numbers (NaN): the predictor has broken down; try a smaller learning"
                + " rate.");
      }
      Tensor given = batch.labels();
      int[] labels = new int[batch.size()];
      if (given == null) {
        Arrays.fill(labels, -1);
      } else {
        labels = Tensors.ints(given);
        soFar.add(output.logits(), given);
        recent.add(output.logits(), given);
      }
      double[][] rows = Tensors.rows(probabilities);
      Map<Integer, IntStream.Builder> byDomain = new TreeMap<>();
      for (int i = 0; i < batch.size(); i++) {
        byDomain.computeIfAbsent(batch.domains()[i], d -> IntStream.builder()).add(i);
      }
      for (Map.Entry<Integer, IntStream.Builder> domain : byDomain.entrySet()) {
        int[] chosen = domain.getValue().build().toArray();
        double time = nanos * chosen.length / batch.size();
        current[domain.getKey()].add(rows, labels, chosen, time);
      }
    }

    private void endRound() {
      rounds.add(figures(current));
      for (int i = 0; i < tallies.length; i++) {
        tallies[i].merge(current[i]);
      }
      current = tallies();
      round++;
    }

    StreamReport report() {
      endRound();
      StreamTally total = new StreamTally();
      Arrays.stream(tallies).forEach(total::merge);
      return new StreamReport(total.figures("all"), figures(tallies), rounds, curve);
    }

    private List<StreamReport.Figures> figures(StreamTally... counted) {
      return IntStream.range(0, counted.length)
          .mapToObj(i -> counted[i].figures(names.get(i)))
          .toList();
    }

    private static double share(Accuracy accuracy) {
      return accuracy.count() == 0 ? Double.NaN : accuracy.value();
    }
  }
}
