package org.outrigger.serve.adaptation;

import java.time.Instant;
import java.util.LinkedHashMap;
import java.util.Map;
import org.bytedeco.pytorch.Tensor;
import org.jspecify.annotations.Nullable;
import org.outrigger.adapt.SafetyNet;
import org.outrigger.adapt.Snapshot;
import org.outrigger.core.io.State;
import org.outrigger.guard.Guard;
import org.outrigger.guard.GuardStream;

/** A stream in memory. What is shown of it is a copy, so that nobody has to wait to see it. */
final class LiveStream implements AutoCloseable {
  final String name;
  final Object version;
  private final GuardStream stream;
  private boolean changed;
  private long shownBatches = -1;
  private long bytes;
  private volatile Map<String, Object> shown = Map.of();
  private volatile @Nullable Instant written;
  private volatile boolean failedToWrite;

  LiveStream(String name, Object version, GuardStream stream) {
    this.name = name;
    this.version = version;
    this.stream = stream;
    show(null);
  }

  Guard.Answer answer(Tensor inputs, boolean watch) {
    changed = true;
    try {
      return stream.answer(inputs, watch);
    } finally {
      show(Instant.now());
    }
  }

  void reset() {
    stream.reset();
    changed = true;
    show(Instant.now());
  }

  /** Whether it holds what no checkpoint does. */
  boolean changed() {
    return changed;
  }

  /** What it is now, for a checkpoint. */
  Snapshot snapshot() {
    changed = false;
    State state = stream.state();
    Map<String, Object> values = new LinkedHashMap<>(state.values());
    values.put("stream", name);
    return Snapshot.of(new State(state.type(), state.version(), values, state.tensors()));
  }

  /** A checkpoint was written, or was not. */
  void wrote(boolean well) {
    if (well) {
      written = Instant.now();
    } else {
      failedToWrite = true;
    }
  }

  /** Whether the last checkpoint failed; asked once. */
  boolean takeFailure() {
    boolean failed = failedToWrite;
    failedToWrite = false;
    return failed;
  }

  private void show(@Nullable Instant seen) {
    if (stream.batches() != shownBatches) {
      shownBatches = stream.batches();
      bytes = stream.bytes();
    }
    SafetyNet.Health health = stream.health();
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("stream", name);
    json.put("batches", stream.batches());
    json.put("rows", stream.rows());
    json.put("pending", stream.pending());
    json.put("rollbacks", stream.rollbacks());
    json.put("failures", stream.failures());
    json.put("resting", stream.resting());
    json.put("entropy", finite(health.entropy()));
    json.put("agreement", finite(health.agreement()));
    json.put("confidence", finite(health.confidence()));
    json.put("bytes", bytes);
    json.put("lastSeen", seen == null ? null : seen.toString());
    shown = json;
  }

  private static @Nullable Double finite(double value) {
    return Double.isFinite(value) ? value : null;
  }

  /** How it is, as JSON types. */
  Map<String, Object> status() {
    Map<String, Object> json = new LinkedHashMap<>(shown);
    json.put("checkpoint", written == null ? null : String.valueOf(written));
    return json;
  }

  @Override
  public void close() {
    stream.close();
  }
}
