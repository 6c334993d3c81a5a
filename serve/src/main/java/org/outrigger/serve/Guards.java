package org.outrigger.serve;

import java.nio.file.Path;
import java.time.Instant;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.guard.Guard;
import org.outrigger.serve.protocol.Refusal;

/**
 * The guards of a server by name. A bundle is exchanged under traffic without a dropped request:
 * the new version opens beside the old one, takes over, and the old one answers what it had
 * accepted. The version before stays open, so that going back is quick; so two versions of a guard
 * may be in memory at a time, and a shadow beside them.
 */
public final class Guards implements AutoCloseable {
  private static final Pattern NAME = Pattern.compile("[A-Za-z0-9][A-Za-z0-9._-]{0,99}");

  /**
   * One name.
   *
   * @param current answers clients
   * @param before what answered before, to go back to; null at first
   * @param shadow sees the traffic and answers nobody; null for none
   */
  private record Slot(Source current, @Nullable Source before, @Nullable ServedGuard shadow) {}

  /** A guard's bundle, and the guard while it is open. */
  private record Source(Path bundle, ServedGuard guard) {}

  private final ServerSettings settings;
  private final Hooks hooks;
  private final Map<String, Slot> slots = new ConcurrentHashMap<>();
  private final Map<String, Integer> versions = new ConcurrentHashMap<>();
  private final String device;

  /** Is told what happens to guards. */
  interface Hooks extends TrafficListener {
    /** What watches the forward passes of a guard. */
    ServedGuard.Watch watch(String guard);

    /** A version was opened; it has not answered yet. */
    void opened(ServedGuard guard);

    /** A guard was exchanged. */
    void happened(ServerEvent event);
  }

  Guards(ServerSettings settings, String device, Hooks hooks) {
    this.settings = settings;
    this.device = device;
    this.hooks = hooks;
  }

  /** The names, sorted. */
  public List<String> names() {
    return List.copyOf(new TreeMap<>(slots).keySet());
  }

  /**
   * Opens a bundle under a name, or exchanges what is there.
   *
   * @return the version it got
   * @throws OutriggerException if it is no guard; what was served goes on
   */
  public synchronized String load(String name, Path bundle) {
    if (!NAME.matcher(name).matches()) {
      throw new OutriggerException(
          "'" + name + "' is no name for a guard: use letters, digits, '.', '_' and '-'.");
    }
    ServedGuard opened = open(name, bundle, false);
    Slot old = slots.get(name);
    ServedGuard shadow = old == null ? null : old.shadow;
    opened.follow(shadow);
    slots.put(name, new Slot(new Source(bundle, opened), old == null ? null : old.current, shadow));
    if (old != null) {
      old.current.guard.follow(null);
      if (old.before != null) {
        retire(old.before.guard);
      }
    }
    tell(ServerEvent.Kind.LOADED, opened, "It answers now, from " + bundle + ".");
    return opened.version();
  }

  /** Reads the bundle of a name again. */
  public String reload(String name) {
    return load(name, slot(name).current.bundle);
  }

  private ServedGuard open(String name, Path bundle, boolean shadow) {
    Guard guard = Guard.load(bundle, device);
    String version = Integer.toString(versions.merge(name, 1, Integer::sum));
    ServedGuard opened =
        new ServedGuard(name, version, guard, settings, shadow, hooks, hooks.watch(name));
    try {
      hooks.opened(opened);
    } catch (RuntimeException e) {
      opened.close();
      throw e;
    }
    return opened;
  }

  private void tell(ServerEvent.Kind kind, ServedGuard guard, String what) {
    hooks.happened(
        new ServerEvent(
            Instant.now(),
            kind,
            guard.name(),
            guard.version(),
            guard.name() + " version " + guard.version() + ": " + what,
            Map.of()));
  }

  /**
   * Goes back to the version before.
   *
   * @return the version that answers now
   */
  public synchronized String rollBack(String name) {
    Slot slot = slot(name);
    Source before = slot.before;
    if (before == null) {
      throw Refusal.bad("There is no version before the one that serves " + name + ".");
    }
    before.guard.follow(slot.shadow);
    slots.put(name, new Slot(before, null, slot.shadow));
    slot.current.guard.follow(null);
    retire(slot.current.guard);
    tell(
        ServerEvent.Kind.ROLLED_BACK,
        before.guard,
        "Went back from version " + slot.current.guard.version() + " to this one.");
    return before.guard.version();
  }

  /** Lets a second guard see the traffic of the first; null ends that. */
  public synchronized void shadow(String name, @Nullable Path bundle) {
    Slot slot = slot(name);
    ServedGuard watcher = bundle == null ? null : open(name, bundle, true);
    if (watcher != null && watcher.rowLength() != slot.current.guard.rowLength()) {
      watcher.close();
      throw Refusal.bad("The shadow takes inputs of another size than " + name + ".");
    }
    slot.current.guard.follow(watcher);
    slots.put(name, new Slot(slot.current, slot.before, watcher));
    if (watcher != null) {
      tell(ServerEvent.Kind.SHADOWED, watcher, "It watches as a shadow, from " + bundle + ".");
    }
    if (slot.shadow != null) {
      retire(slot.shadow);
    }
  }

  /** Takes a guard out. */
  public synchronized void unload(String name) {
    Slot slot = slot(name);
    slots.remove(name);
    tell(ServerEvent.Kind.UNLOADED, slot.current.guard, "It was taken out.");
    retire(slot);
  }

  private static void retire(Slot slot) {
    retire(slot.current.guard);
    if (slot.before != null) {
      retire(slot.before.guard);
    }
    if (slot.shadow != null) {
      retire(slot.shadow);
    }
  }

  private static void retire(ServedGuard guard) {
    Thread closer = new Thread(guard::close, "close " + guard.name() + " " + guard.version());
    closer.setDaemon(true);
    closer.start();
  }

  private Slot slot(String name) {
    Slot slot = slots.get(name);
    if (slot == null) {
      throw Refusal.missing(
          "There is no guard of that name here; there are: " + String.join(", ", names()) + ".");
    }
    return slot;
  }

  /**
   * The guard that answers.
   *
   * @param version of it; null for whichever answers
   */
  public ServedGuard get(String name, @Nullable String version) {
    ServedGuard guard = slot(name).current.guard;
    if (version != null && !version.equals(guard.version())) {
      throw Refusal.missing(
          String.format(
              Locale.ROOT, "%s has no version of that number; %s answers.", name, guard.version()));
    }
    return guard;
  }

  /** Which versions of a guard there are, as JSON types. */
  public Map<String, Object> status(String name) {
    Slot slot = slot(name);
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("version", slot.current.guard.version());
    json.put("bundle", String.valueOf(slot.current.bundle.getFileName()));
    json.put("waitingRows", slot.current.guard.waiting());
    json.put("before", slot.before == null ? null : slot.before.guard.version());
    json.put("shadow", slot.shadow == null ? null : slot.shadow.version());
    return json;
  }

  /** The shadow of a guard, or null. */
  public @Nullable ServedGuard shadow(String name) {
    return slot(name).shadow;
  }

  /** Queues rows with the guard that answers, also while it is exchanged. */
  CompletableFuture<ServedGuard.Result> submit(ServedGuard guard, ServedGuard.Rows rows) {
    ServedGuard asked = guard;
    while (true) {
      CompletableFuture<ServedGuard.Result> result = asked.submit(rows);
      if (result != null) {
        return result;
      }
      ServedGuard next = get(guard.name(), null);
      if (next == asked) {
        throw new Refusal(503, "The server stops.");
      }
      if (next.rowLength() != guard.rowLength()) {
        throw new Refusal(409, "The guard was exchanged for one that takes other inputs.");
      }
      asked = next;
    }
  }

  /** Closes all, each after it has answered what it accepted. */
  @Override
  public synchronized void close() {
    List<Slot> all = List.copyOf(slots.values());
    for (Slot slot : all) {
      slot.current.guard.close();
      if (slot.before != null) {
        slot.before.guard.close();
      }
      if (slot.shadow != null) {
        slot.shadow.close();
      }
    }
    slots.clear();
  }
}
