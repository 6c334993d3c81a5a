package org.outrigger.serve.adaptation;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.locks.ReentrantLock;
import org.bytedeco.pytorch.Tensor;
import org.jspecify.annotations.Nullable;
import org.outrigger.adapt.SafetyNet;
import org.outrigger.adapt.Snapshot;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.State;
import org.outrigger.core.torch.Scopes;
import org.outrigger.guard.Guard;
import org.outrigger.guard.GuardStream;
import org.outrigger.guard.GuardStreams;
import org.outrigger.serve.ServedGuard;
import org.outrigger.serve.StreamAnswers;

/**
 * The streams of one served name, over all of its versions. A stream belongs to one version at a
 * time: it moves to the version that answers with its first request there. What an older version
 * still has to answer after that is answered by its model.
 */
final class FollowedGuard {
  /** What operators are told. */
  interface Reports {
    void rolledBack(String version, String stream, SafetyNet.Event event);

    void failed(String version, String stream, Throwable failure);

    void trouble(String version, String stream, String message);

    /** Null when checkpoints are written again. */
    void writing(@Nullable Throwable failure);
  }

  private final AdaptationSettings settings;
  private final Checkpoints checkpoints;
  private final Reports reports;
  private final ReentrantLock lock = new ReentrantLock();
  private final Map<String, LiveStream> live = new LinkedHashMap<>(16, 0.75f, true);
  private final Map<String, Version> versions = new ConcurrentHashMap<>();
  private volatile List<LiveStream> shown = List.of();
  private volatile @Nullable Version answering;

  FollowedGuard(AdaptationSettings settings, Checkpoints checkpoints, Reports reports) {
    this.settings = settings;
    this.checkpoints = checkpoints;
    this.reports = reports;
  }

  /** A version of the guard, and where its streams start. */
  private final class Version implements StreamAnswers {
    private final ServedGuard served;
    private final GuardStreams start;

    Version(ServedGuard served, GuardStreams start) {
      this.served = served;
      this.start = start;
    }

    @Override
    public boolean follows(String stream) {
      return !named(stream).isEmpty();
    }

    private String named(String stream) {
      return stream.isEmpty() ? settings.defaultStream() : stream;
    }

    @Override
    public Guard.Answer answer(String stream, Tensor inputs, boolean watch) {
      lock.lock();
      try {
        LiveStream found = find(this, named(stream));
        return found == null
            ? served.guard().modelAnswer(inputs, watch)
            : found.answer(inputs, watch);
      } finally {
        lock.unlock();
      }
    }

    /** A stream that starts from the source and reports what befalls it. */
    GuardStream open(String name) {
      return start
          .open()
          .onRollback(event -> reports.rolledBack(served.version(), name, event))
          .onFailure(failure -> reports.failed(served.version(), name, failure));
    }

    void trouble(String stream, String message) {
      reports.trouble(served.version(), stream, message);
    }

    @Override
    public void close() {
      lock.lock();
      try {
        for (LiveStream each : List.copyOf(live.values())) {
          if (each.version == this) {
            letGo(each);
          }
        }
        versions.remove(served.version(), this);
        start.close();
      } finally {
        lock.unlock();
      }
    }
  }

  /** A version is about to answer. */
  void opened(ServedGuard served, GuardStreams start) {
    Version version = new Version(served, start);
    versions.put(served.version(), version);
    served.answerStreams(version);
    answering = version;
  }

  /** A version is about to answer that does not adapt. */
  void stops() {
    answering = null;
  }

  /** That version answers now. */
  void answers(String version) {
    answering = versions.get(version);
  }

  /** The stream, in memory; null if the model has to answer. */
  private @Nullable LiveStream find(Version version, String name) {
    LiveStream found = live.get(name);
    if (found != null && (found.version == version || version != answering)) {
      return found.version == version ? found : null;
    }
    try {
      LiveStream opened = found == null ? resume(version, name) : move(version, found);
      live.put(name, opened);
      shown = List.copyOf(live.values());
      return opened;
    } catch (RuntimeException | OutOfMemoryError e) {
      reports.failed(version.served.version(), name, e);
      return null;
    }
  }

  private LiveStream resume(Version version, String name) {
    while (live.size() >= settings.streams()) {
      letGo(live.values().iterator().next());
    }
    GuardStream stream = version.open(name);
    Scopes.run(
        () -> {
          try {
            State saved = checkpoints.read(name);
            if (saved != null) {
              goOn(version, name, stream, saved);
            }
          } catch (OutriggerException e) {
            Path aside = checkpoints.setAside(name, "damaged");
            version.trouble(
                name,
                "The checkpoint is damaged and was set aside as "
                    + aside.getFileName()
                    + "; the stream starts anew: "
                    + e.firstLine());
          }
        });
    return new LiveStream(name, version, stream);
  }

  private LiveStream move(Version version, LiveStream from) {
    GuardStream stream = version.open(from.name);
    try (Snapshot now = from.snapshot()) {
      Scopes.run(() -> goOn(version, from.name, stream, now.state()));
    }
    from.close();
    return new LiveStream(from.name, version, stream);
  }

  private void goOn(Version version, String name, GuardStream stream, State saved) {
    if (saved.text("id").equals(version.start.id())) {
      stream.restore(saved);
    } else {
      version.trouble(
          name,
          "The stream starts anew: what it learned was with "
              + saved.text("stack")
              + " on another model or from another start.");
    }
  }

  /** Writes a stream and takes it out of memory. */
  private void letGo(LiveStream stream) {
    // Waits for a checkpoint that is under way, which may fail.
    boolean kept = checkpoints.has(stream.name);
    if (stream.takeFailure() || stream.changed() || !kept) {
      write(stream);
    }
    stream.close();
    live.remove(stream.name);
    shown = List.copyOf(live.values());
  }

  private void write(LiveStream stream) {
    checkpoints.write(
        stream.name,
        stream.snapshot(),
        failure -> {
          stream.wrote(failure == null);
          reports.writing(failure);
        });
  }

  /** Writes what changed since the last time; one stream at a time is held up, for a copy of it. */
  void checkpoint() {
    for (LiveStream each : shown) {
      lock.lock();
      try {
        if (live.containsValue(each) && (each.takeFailure() | each.changed())) {
          write(each);
        }
      } finally {
        lock.unlock();
      }
    }
  }

  /** Lets a stream start over; whether there was one. */
  boolean reset(String name) {
    lock.lock();
    try {
      LiveStream found = live.get(name);
      if (found != null) {
        found.reset();
        write(found);
      }
      return found != null || checkpoints.delete(name);
    } finally {
      lock.unlock();
    }
  }

  /** Forgets a stream; whether there was one. */
  boolean delete(String name) {
    lock.lock();
    try {
      LiveStream found = live.remove(name);
      if (found != null) {
        found.close();
        shown = List.copyOf(live.values());
      }
      return checkpoints.delete(name) | found != null;
    } finally {
      lock.unlock();
    }
  }

  int size() {
    return shown.size();
  }

  /** How its streams are, as JSON types. */
  Map<String, Object> status() {
    Version version = answering;
    List<Map<String, Object>> streams = new ArrayList<>();
    shown.forEach(each -> streams.add(each.status()));
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("enabled", version != null);
    json.put("stack", version == null ? null : version.start.stack());
    json.put("batch", settings.batch());
    json.put("stored", checkpoints.size());
    json.put("streams", streams);
    return json;
  }
}
