package org.outrigger.claims;

import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.outrigger.core.method.Room;

/**
 * One method's central promise as a measurement: data, shift, named baselines, inequalities that
 * are fixed before the run, and seeds. Listing a claim loads no native library.
 */
public interface Claim {
  /** The short name used on command lines: lower case, digits and hyphens. */
  String slug();

  Room room();

  /** A few words. */
  String title();

  /** What the paper promises, in a sentence. */
  String promise();

  /** Authors, title and venue. */
  String paper();

  /** What must hold of the means over the seeds; all of it. */
  List<Inequality> statement();

  /** What the method is compared with, each treated with the same care. */
  List<String> baselines();

  /** Data, model and protocol, in a few sentences. */
  String protocol();

  default List<Long> seeds() {
    return List.of(0L, 1L, 2L);
  }

  /**
   * What was tried where the statement does not hold; empty if nothing had to be.
   *
   * @see Finding
   */
  default String tried() {
    return "";
  }

  /**
   * What the full size needs that is not there, and what to put where; empty if it can be run. The
   * smallest size needs nothing.
   */
  default String missing() {
    return "";
  }

  /**
   * Runs the experiment once, in a scope of its own.
   *
   * @param seed of all randomness: same seed and threads, same figures
   * @return figures by name, finite, in the order of the table
   */
  Map<String, Double> run(long seed, Scale scale);

  /** Evaluates the statement. */
  default Finding holds(Measurements measured) {
    return new Finding(
        statement().stream().allMatch(inequality -> inequality.holds(measured)),
        statement().stream()
            .map(inequality -> inequality.words(measured))
            .collect(Collectors.joining("; ")));
  }

  /**
   * What a statement came to.
   *
   * @param holds whether all of it does
   * @param words the inequalities with their figures
   */
  record Finding(boolean holds, String words) {}
}
