package org.outrigger.guard;

import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.TreeMap;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;
import org.outrigger.adapt.Adapter;
import org.outrigger.adapt.Adapters;
import org.outrigger.adapt.SafetyNet;
import org.outrigger.adapt.Snapshot;
import org.outrigger.calibrate.Calibrator;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Need;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

/**
 * Where the streams of a guard start: one stack of adapters on a safety net, as it is before any
 * stream. Each {@link #open} gives a {@link GuardStream} of its own; they share the model and
 * nothing else.
 *
 * <pre>{@code
 * try (GuardStreams streams = guard.streams(null, 64);
 *     GuardStream north = streams.open();
 *     GuardStream south = streams.open()) {
 *   for (Verdict v : north.answer(batch).verdicts()) { ... }
 * }
 * }</pre>
 */
public final class GuardStreams implements AutoCloseable {
  private final Guard guard;
  private final Supplier<SafetyNet> maker;
  private final String stack;
  private final int batch;
  private final Snapshot start;
  private final String fingerprint;

  private GuardStreams(
      Guard guard, Supplier<SafetyNet> maker, SafetyNet fresh, String stack, int batch) {
    this.guard = guard;
    this.maker = maker;
    this.stack = stack;
    this.batch = batch;
    start = fresh.snapshot();
    fingerprint = fingerprint();
  }

  static GuardStreams of(Guard guard, @Nullable String wanted, int batch) {
    Adapter own = guard.adapter();
    if (wanted == null && own == null) {
      throw new OutriggerException(
          "The guard on "
              + guard.model().name()
              + " holds no adapter: name a stack, such as eata:beta=0, or fit the guard with one"
              + " ('outrigger guard fit --adapter').");
    }
    String described = own == null ? "" : Adapters.describe(own);
    String named = wanted == null ? described : wanted;
    return of(guard, () -> onNet(Adapters.parse(named)), own, described, batch);
  }

  /** As {@link #of(Guard, String, int)}, from what makes the stack. */
  static GuardStreams of(Guard guard, Supplier<SafetyNet> maker, int batch) {
    return of(guard, maker, null, "", batch);
  }

  private static GuardStreams of(
      Guard guard, Supplier<SafetyNet> maker, @Nullable Adapter own, String ownStack, int batch) {
    HyperParameter.atLeast("batch", batch, 1);
    Calibrator calibrator = guard.calibrator();
    if (calibrator != null && calibrator.needs().contains(Need.INPUTS)) {
      throw new OutriggerException(
          calibrator.card().name()
              + " calibrates what the model itself makes of the inputs, not what an adapter says:"
              + " fit the guard with another calibrator, such as temperature.");
    }
    try (SafetyNet net = maker.get()) {
      String stack = Adapters.describe(net);
      if (own != null && stack.equals(ownStack)) {
        // What it learned from the source is in its state; what it learned since is not wanted.
        synchronized (own) {
          net.resume(guard.model(), own.state());
        }
        net.reset();
      } else {
        start(guard, net, stack);
      }
      if (batch < net.minimumBatch()) {
        throw new OutriggerException(
            stack
                + " takes statistics from each batch, so it needs batches of "
                + net.minimumBatch()
                + " rows or more, not of "
                + batch
                + ".");
      }
      return new GuardStreams(guard, maker, net, stack, batch);
    }
  }

  private static void start(Guard guard, SafetyNet net, String stack) {
    guard.model().require(net, Adapter.class);
    if (net.needs().contains(Need.SOURCE)) {
      throw new OutriggerException(
          stack
              + " learns from data that the model knows, which a fitted guard no longer has: fit"
              + " the guard with it ('outrigger guard fit --adapter'), or take a stack that needs"
              + " none, such as eata:beta=0.");
    }
    net.start(guard.model(), null);
  }

  /** A stack with a safety net outermost. */
  private static SafetyNet onNet(Adapter adapter) {
    return adapter instanceof SafetyNet net ? net : (SafetyNet) new SafetyNet().over(adapter);
  }

  /** A stream that starts from the source. */
  public GuardStream open() {
    SafetyNet net = maker.get();
    try {
      net.resume(guard.model(), start.state());
    } catch (RuntimeException e) {
      net.close();
      throw e;
    }
    return new GuardStream(guard, net, stack, fingerprint, batch);
  }

  /** The stack, as {@code Adapters.parse} reads it. */
  public String stack() {
    return stack;
  }

  /** How many rows a stream learns from at a time. */
  public int batch() {
    return batch;
  }

  /**
   * SHA-256 over the model, the stack and the state that streams start from; states go on only
   * where it is the same.
   */
  public String id() {
    return fingerprint;
  }

  private String fingerprint() {
    try {
      MessageDigest digest = MessageDigest.getInstance("SHA-256");
      String model = guard.info().modelSha256();
      digest.update((stack + "\n" + model + "\n").getBytes(StandardCharsets.UTF_8));
      Scopes.run(
          () ->
              new TreeMap<>(start.state().tensors())
                  .forEach(
                      (name, tensor) -> {
                        digest.update((name + "\n").getBytes(StandardCharsets.UTF_8));
                        digest.update(Tensors.bytes(tensor.detach().cpu().contiguous()));
                      }));
      return HexFormat.of().formatHex(digest.digest());
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException(e);
    }
  }

  /** Streams that are open go on. */
  @Override
  public void close() {
    start.close();
  }
}
