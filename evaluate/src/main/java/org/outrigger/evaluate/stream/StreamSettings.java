package org.outrigger.evaluate.stream;

import java.util.List;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.evaluate.corruption.Corruption;

/**
 * What can be chosen of any stream.
 *
 * @param corruptions what the domains are where none are given, in this order
 * @param severity of the corruptions, 1 to 5; a gradual stream takes all five
 * @param delta concentration of the Dirichlet distribution behind a correlated order, 0 or more; 0
 *     sorts by class
 * @param zipf exponent of the class frequencies of a label shift, above 1
 * @param batchSize rows of a batch, 1 or more
 * @param minimumBatch a last batch of a domain with fewer rows than this is joined to the one
 *     before; 1 to batchSize
 * @param passes how many times each domain is walked before the next comes, each time in another
 *     order, 1 or more
 * @param rounds how many times the whole sequence comes, 1 or more
 * @param seed of all orders and of the corruptions' noise
 */
public record StreamSettings(
    List<Corruption> corruptions,
    int severity,
    double delta,
    double zipf,
    int batchSize,
    int minimumBatch,
    int passes,
    int rounds,
    long seed) {
  public StreamSettings {
    corruptions = List.copyOf(corruptions);
    HyperParameter.atLeast("corruptions", corruptions.size(), 1);
    HyperParameter.require(
        severity >= 1 && severity <= Corruption.SEVERITIES, "severity", severity, "1 to 5");
    HyperParameter.notNegative("delta", delta);
    HyperParameter.require(zipf > 1 && Double.isFinite(zipf), "zipf", zipf, "a number above 1");
    HyperParameter.atLeast("batchSize", batchSize, 1);
    HyperParameter.require(
        minimumBatch >= 1 && minimumBatch <= batchSize,
        "minimumBatch",
        minimumBatch,
        "1 to batchSize = " + batchSize);
    HyperParameter.atLeast("passes", passes, 1);
    HyperParameter.atLeast("rounds", rounds, 1);
  }

  /**
   * The classic 15 corruptions at severity 5, delta 0.1, zipf 2, batches of 64 and none of one row,
   * one pass, one round.
   */
  public static StreamSettings defaults() {
    return new StreamSettings(Corruption.CLASSIC, 5, 0.1, 2, 64, 2, 1, 1, 0);
  }

  public StreamSettings withCorruptions(List<Corruption> value) {
    return new StreamSettings(
        value, severity, delta, zipf, batchSize, minimumBatch, passes, rounds, seed);
  }

  public StreamSettings withSeverity(int value) {
    return new StreamSettings(
        corruptions, value, delta, zipf, batchSize, minimumBatch, passes, rounds, seed);
  }

  public StreamSettings withDelta(double value) {
    return new StreamSettings(
        corruptions, severity, value, zipf, batchSize, minimumBatch, passes, rounds, seed);
  }

  public StreamSettings withZipf(double value) {
    return new StreamSettings(
        corruptions, severity, delta, value, batchSize, minimumBatch, passes, rounds, seed);
  }

  /** Lowers minimumBatch where it would be larger. */
  public StreamSettings withBatchSize(int value) {
    return new StreamSettings(
        corruptions,
        severity,
        delta,
        zipf,
        value,
        Math.max(1, Math.min(minimumBatch, value)),
        passes,
        rounds,
        seed);
  }

  public StreamSettings withMinimumBatch(int value) {
    return new StreamSettings(
        corruptions, severity, delta, zipf, batchSize, value, passes, rounds, seed);
  }

  public StreamSettings withPasses(int value) {
    return new StreamSettings(
        corruptions, severity, delta, zipf, batchSize, minimumBatch, value, rounds, seed);
  }

  public StreamSettings withRounds(int value) {
    return new StreamSettings(
        corruptions, severity, delta, zipf, batchSize, minimumBatch, passes, value, seed);
  }

  public StreamSettings withSeed(long value) {
    return new StreamSettings(
        corruptions, severity, delta, zipf, batchSize, minimumBatch, passes, rounds, value);
  }
}
