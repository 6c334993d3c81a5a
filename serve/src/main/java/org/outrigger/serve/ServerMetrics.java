package org.outrigger.serve;

import io.micrometer.core.instrument.Counter;
import io.micrometer.core.instrument.DistributionSummary;
import io.micrometer.core.instrument.Gauge;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.Timer;
import io.micrometer.core.instrument.binder.jvm.JvmMemoryMetrics;
import io.micrometer.core.instrument.binder.jvm.JvmThreadMetrics;
import io.micrometer.core.instrument.binder.system.ProcessorMetrics;
import io.micrometer.prometheusmetrics.PrometheusConfig;
import io.micrometer.prometheusmetrics.PrometheusMeterRegistry;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;
import org.outrigger.core.torch.ResidentMemory;
import org.outrigger.guard.Verdict;

/** The server's metrics, in Prometheus' text format at {@code /metrics}. */
final class ServerMetrics implements AutoCloseable {
  private final PrometheusMeterRegistry registry =
      new PrometheusMeterRegistry(PrometheusConfig.DEFAULT);

  private final Set<String> queues = ConcurrentHashMap.newKeySet();

  ServerMetrics() {
    new JvmMemoryMetrics().bindTo(registry);
    new JvmThreadMetrics().bindTo(registry);
    new ProcessorMetrics().bindTo(registry);
    Gauge.builder("outrigger.process.resident", () -> 1e6 * ResidentMemory.megabytes())
        .baseUnit("bytes")
        .description("Memory of the process, native memory included")
        .register(registry);
  }

  /** A request was answered. */
  void answered(String route, int status, long nanos) {
    Timer.builder("outrigger.requests")
        .description("Requests and how long they took")
        .tag("route", route)
        .tag("status", Integer.toString(status))
        .publishPercentileHistogram()
        .register(registry)
        .record(nanos, TimeUnit.NANOSECONDS);
  }

  /** Watches the forward passes of a guard. */
  ServedGuard.Watch watch(String guard) {
    Timer passes =
        Timer.builder("outrigger.passes")
            .description("Forward passes and how long they took")
            .tag("guard", guard)
            .register(registry);
    DistributionSummary sizes =
        DistributionSummary.builder("outrigger.batch.rows")
            .description("Rows of a forward pass")
            .tag("guard", guard)
            .register(registry);
    return (rows, nanos) -> {
      passes.record(nanos, TimeUnit.NANOSECONDS);
      sizes.record(rows);
    };
  }

  /** Shows how many rows wait for a guard, whichever version answers. */
  void queue(String guard, Supplier<Number> rows) {
    if (!queues.add(guard)) {
      return;
    }
    Gauge.builder("outrigger.queue.rows", rows)
        .description("Rows that wait")
        .tag("guard", guard)
        .register(registry);
  }

  /** Counts verdicts. */
  void judged(JudgedBatch batch) {
    long unknown = 0;
    for (JudgedBatch.Request request : batch.requests()) {
      unknown += request.verdicts().stream().filter(Verdict::unknown).count();
    }
    rows(batch.guard(), batch.shadow(), "known").increment(batch.rows() - unknown);
    rows(batch.guard(), batch.shadow(), "unknown").increment(unknown);
  }

  /** For metrics of the server's parts. */
  MeterRegistry registry() {
    return registry;
  }

  private Counter rows(String guard, boolean shadow, String verdict) {
    return Counter.builder("outrigger.rows")
        .description("Rows judged")
        .tag("guard", guard)
        .tag("shadow", Boolean.toString(shadow))
        .tag("verdict", verdict)
        .register(registry);
  }

  /** The text that Prometheus reads. */
  String scrape() {
    return registry.scrape();
  }

  @Override
  public void close() {
    registry.close();
  }
}
