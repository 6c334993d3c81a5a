package org.outrigger.guard;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.BiConsumer;
import java.util.function.LongConsumer;
import org.bytedeco.pytorch.Tensor;
import org.jspecify.annotations.Nullable;
import org.outrigger.adapt.Adapter;
import org.outrigger.adapt.Adapters;
import org.outrigger.adapt.SafetyNet;
import org.outrigger.adapt.Usage;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.io.Json;
import org.outrigger.core.model.Capabilities;
import org.outrigger.core.model.Model;
import org.outrigger.core.torch.ResidentMemory;
import org.outrigger.evaluate.stream.StreamEvaluation;
import org.outrigger.evaluate.stream.StreamPredictor;
import org.outrigger.evaluate.stream.StreamReport;
import org.outrigger.evaluate.stream.TestStream;

/**
 * Adapters side by side on the same stream: how well each follows it, what its probabilities are
 * worth then, and what it costs.
 *
 * @param rows one an adapter that could be used, in the order of their accuracy, best first
 * @param left adapters that could not be used, and why
 */
public record AdapterComparison(List<Row> rows, List<Left> left) {
  private static final int POINTS = 60;

  /**
   * One adapter.
   *
   * @param adapter the stack with what differs from its defaults
   * @param report accuracy, calibration error and time, by domain and round
   * @param usage what it did with the stream; of a protocol that starts over, since the last start
   * @param backward rows that gradients were computed for, over the whole stream
   * @param resets how many times it went back by itself, over the whole stream
   * @param parameters how many values it moves
   * @param peakMegabytes how much the process grew at most while it ran, garbage included
   * @param events what a safety net did
   */
  public record Row(
      String adapter,
      StreamReport report,
      Usage usage,
      long backward,
      long resets,
      long parameters,
      double peakMegabytes,
      List<String> events) {
    public Row {
      events = List.copyOf(events);
    }
  }

  /**
   * An adapter that was left out.
   *
   * @param adapter its name
   * @param reason in one line
   */
  public record Left(String adapter, String reason) {}

  /**
   * Leads each adapter through the stream, one after the other.
   *
   * @param source data that the model knows, for adapters that learn from some; may be null
   * @param adapters are closed when they are done
   * @param progress is told which adapter is at work and how many rows it has seen
   */
  public static AdapterComparison of(
      Model model,
      @Nullable IndexedDataset source,
      TestStream stream,
      List<Adapter> adapters,
      BiConsumer<String, Long> progress) {
    List<Row> rows = new ArrayList<>();
    List<Left> left = new ArrayList<>();
    for (Adapter adapter : adapters) {
      String name = Adapters.describe(adapter);
      try (adapter) {
        adapter.start(model, source);
        rows.add(run(name, adapter, stream, seen -> progress.accept(name, seen)));
      } catch (OutriggerException e) {
        left.add(new Left(name, e.firstLine()));
      }
    }
    rows.sort((a, b) -> Double.compare(b.report().accuracy(), a.report().accuracy()));
    return new AdapterComparison(rows, left);
  }

  private static Row run(String name, Adapter adapter, TestStream stream, LongConsumer progress) {
    double before = ResidentMemory.megabytes();
    double[] peak = {before};
    long[] counts = new long[2];
    StreamPredictor predictor =
        StreamPredictor.of(
            adapter::adapt,
            () -> {
              counts[0] += adapter.usage().backward();
              counts[1] += adapter.usage().resets();
              adapter.reset();
            });
    StreamReport report =
        StreamEvaluation.of(stream)
            .curve(Math.max(1, stream.rows() / POINTS))
            .progress(
                done -> {
                  peak[0] = Math.max(peak[0], ResidentMemory.megabytes());
                  progress.accept(done.rows());
                })
            .run(predictor);
    return new Row(
        name,
        report,
        adapter.usage(),
        counts[0] + adapter.usage().backward(),
        counts[1] + adapter.usage().resets(),
        moved(adapter),
        peak[0] - before,
        adapter instanceof SafetyNet net
            ? net.events().stream().map(SafetyNet.Event::toString).toList()
            : List.of());
  }

  private static long moved(Adapter adapter) {
    Map<String, Tensor> parameters =
        adapter
            .model()
            .as(Capabilities.Differentiable.class)
            .map(Capabilities.Differentiable::parameters)
            .orElse(Map.of());
    return adapter.trained().stream()
        .mapToLong(parameter -> Objects.requireNonNull(parameters.get(parameter)).numel())
        .sum();
  }

  /** All figures, for a JSON file. */
  public Map<String, Object> toJson() {
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("adapters", Json.mapper().convertValue(rows, List.class));
    json.put("leftOut", Json.mapper().convertValue(left, List.class));
    return json;
  }
}
