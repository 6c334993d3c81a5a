package org.outrigger.claims;

import java.time.Duration;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.Bundle;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Torch;

/** Runs claims, seed by seed. */
public final class ClaimRunner {
  /** Follows a run. */
  public interface Listener {
    /** A seed begins. */
    default void started(Claim claim, long seed) {}

    /** A seed is done. */
    default void measured(Claim claim, Measurements.Run run) {}
  }

  private final Scale scale;
  private final Listener listener;

  public ClaimRunner(Scale scale, Listener listener) {
    this.scale = scale;
    this.listener = listener;
  }

  /** Whether all that the claim needs at this scale is there. */
  public boolean ready(Claim claim) {
    return scale == Scale.SMOKE || claim.missing().isEmpty();
  }

  /** Runs a claim with its own seeds. */
  public ClaimReport run(Claim claim) {
    return run(claim, claim.seeds());
  }

  /**
   * Runs a claim.
   *
   * @param seeds at least one, no two alike
   * @throws OutriggerException if data that it needs is not there, or a figure is not a finite
   *     number
   */
  public ClaimReport run(Claim claim, List<Long> seeds) {
    if (seeds.isEmpty() || seeds.stream().distinct().count() < seeds.size()) {
      throw new OutriggerException(
          "seeds = " + seeds + " cannot be used: give at least one, and each once.");
    }
    if (!ready(claim)) {
      throw new OutriggerException(
          "The claim " + claim.slug() + " cannot be measured. " + claim.missing());
    }
    String started = Instant.now().truncatedTo(ChronoUnit.SECONDS).toString();
    List<Measurements.Run> runs = new ArrayList<>();
    for (long seed : seeds) {
      listener.started(claim, seed);
      long clock = System.nanoTime();
      Map<String, Double> figures = Scopes.scoped(() -> claim.run(seed, scale));
      Duration time = Duration.ofNanos(System.nanoTime() - clock);
      Measurements.Run run = new Measurements.Run(seed, figures, time);
      runs.add(run);
      listener.measured(claim, run);
    }
    Measurements measured = new Measurements(runs);
    return new ClaimReport(claim, scale, measured, claim.holds(measured), started, provenance());
  }

  private static Map<String, String> provenance() {
    Map<String, String> versions = new TreeMap<>();
    versions.put("outrigger", Bundle.version());
    versions.put("libtorch presets", Torch.version());
    versions.put("java", System.getProperty("java.version"));
    versions.put("platform", System.getProperty("os.name") + " " + System.getProperty("os.arch"));
    versions.put("threads", Integer.toString(Torch.threads()));
    return versions;
  }
}
