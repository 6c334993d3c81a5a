package org.outrigger.serve.monitor;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Objects;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.io.State;
import org.outrigger.guard.Change;
import org.outrigger.guard.Guard;
import org.outrigger.guard.GuardMonitor;
import org.outrigger.guard.GuardReference;
import org.outrigger.guard.MonitorSettings;
import org.outrigger.guard.MonitoredWindow;
import org.outrigger.serve.JudgedBatch;
import org.outrigger.serve.ServedGuard;

/** The monitor that a guard's reference gives. */
public final class ReferenceMonitor implements Monitor {
  private final GuardMonitor monitor;
  private final String fingerprint;

  private ReferenceMonitor(Guard guard, GuardReference reference, MonitorSettings settings) {
    monitor = GuardMonitor.of(guard, settings);
    fingerprint = fingerprint(reference);
  }

  /**
   * The monitor of a served guard.
   *
   * @return null if the guard has no reference
   */
  public static @Nullable Monitor of(ServedGuard served, MonitorSettings settings) {
    GuardReference reference = served.guard().reference();
    if (reference == null) {
      return null;
    }
    ReferenceMonitor monitor = new ReferenceMonitor(served.guard(), reference, settings);
    served.watch();
    return monitor;
  }

  private static String fingerprint(GuardReference reference) {
    MessageDigest digest;
    try {
      digest = MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException(e);
    }
    digest.update(String.join("\n", reference.features()).getBytes(StandardCharsets.UTF_8));
    float[] values = reference.values();
    double[] scores = reference.scores();
    int[] predicted = reference.predicted();
    ByteBuffer bytes =
        ByteBuffer.allocate(4 * values.length + 8 * scores.length + 4 * predicted.length);
    for (float value : values) {
      bytes.putFloat(value);
    }
    for (double score : scores) {
      bytes.putDouble(score);
    }
    for (int label : predicted) {
      bytes.putInt(label);
    }
    digest.update(bytes.flip());
    return HexFormat.of().formatHex(digest.digest());
  }

  @Override
  public String fingerprint() {
    return fingerprint;
  }

  @Override
  public List<Window> observe(JudgedBatch batch) {
    List<Window> windows = new ArrayList<>();
    for (JudgedBatch.Request request : batch.requests()) {
      if (request.watched() == null) {
        // Judged in the moment before the monitor was there.
        continue;
      }
      long before = monitor.windows();
      monitor.observe(request.watched(), request.rows(), request.verdicts(), batch.at());
      if (monitor.windows() > before) {
        windows.addAll(since(before));
      }
    }
    return windows;
  }

  private List<Window> since(long before) {
    return monitor.summary().history().stream()
        .filter(window -> window.number() >= before)
        .map(ReferenceMonitor::window)
        .toList();
  }

  private static Window window(MonitoredWindow window) {
    return new Window(
        window.to(),
        window.rows(),
        window.unknownRate(),
        window.meanScore(),
        window.channels().stream().map(each -> channel(each.change(), each.drift())).toList());
  }

  private static Channel channel(Change change, boolean drifting) {
    return new Channel(
        change.channel(),
        change.method(),
        change.statistic(),
        change.pValue(),
        change.threshold(),
        change.effect(),
        drifting,
        change.features().stream()
            .map(each -> new Feature(each.name(), each.before(), each.after(), each.effect()))
            .toList(),
        change.message());
  }

  @Override
  public List<Window> errors(boolean[] wrong, Instant at) {
    List<Window> windows = new ArrayList<>();
    int size = monitor.settings().windowRows();
    int count = 0;
    int errors = 0;
    long before = monitor.summary().labels();
    // One at a time, so that each window of labels is told, those that are as they should too.
    for (boolean each : wrong) {
      count++;
      errors += each ? 1 : 0;
      List<Change> changes = monitor.errors(new boolean[] {each}, at);
      boolean full = (before + count) % size == 0;
      if (!changes.isEmpty()) {
        Change last = changes.get(changes.size() - 1);
        windows.add(labels(at, full ? size : count, channel(last, true)));
      } else if (full) {
        double effect = errors / (double) count - monitor.summary().expectedErrorRate();
        Channel quiet =
            new Channel(
                "errors",
                "error-rate",
                errors / (double) count,
                Double.NaN,
                Double.NaN,
                effect,
                false,
                List.of(),
                "The error rate is as it was.");
        windows.add(labels(at, size, quiet));
      }
    }
    return windows;
  }

  private static Window labels(Instant at, int rows, Channel channel) {
    return new Window(at, rows, Double.NaN, Double.NaN, List.of(channel));
  }

  @Override
  public int pending() {
    return monitor.waiting();
  }

  @Override
  public State state() {
    return monitor.state();
  }

  @Override
  public void restore(State state) {
    monitor.restore(Objects.requireNonNull(state));
  }

  @Override
  public void close() {
    monitor.close();
  }
}
