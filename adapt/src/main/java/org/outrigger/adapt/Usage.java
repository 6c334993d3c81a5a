package org.outrigger.adapt;

/**
 * What an adapter did with a stream.
 *
 * @param batches how many batches it predicted
 * @param samples how many rows these had
 * @param reliable how many rows passed a first filter; all that were looked at if there is none
 * @param backward how many rows gradients were computed for
 * @param updates how many steps an optimiser or a memory made
 * @param resets how many times it went back to the source model by itself
 */
public record Usage(
    long batches, long samples, long reliable, long backward, long updates, long resets) {
  /** Nothing yet. */
  public static final Usage NONE = new Usage(0, 0, 0, 0, 0, 0);

  /** The sum of both. */
  public Usage plus(Usage other) {
    return new Usage(
        batches + other.batches,
        samples + other.samples,
        reliable + other.reliable,
        backward + other.backward,
        updates + other.updates,
        resets + other.resets);
  }
}
