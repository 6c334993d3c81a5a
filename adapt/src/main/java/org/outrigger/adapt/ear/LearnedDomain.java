package org.outrigger.adapt.ear;

import java.util.List;

/**
 * What is known of a domain of an {@link Ear}.
 *
 * @param name as it was added
 * @param adaptor kind, width, depth and taps
 * @param adaptorParameters how many parameters that has
 * @param headParameters and the head
 * @param classes that it has rows of
 * @param rows in its class descriptors
 * @param heldOutAccuracy of its adaptor on the rows that set the threshold
 * @param threshold the least cosine s of a known row
 * @param descriptorBytes memory of its class descriptors
 */
public record LearnedDomain(
    String name,
    String adaptor,
    long adaptorParameters,
    long headParameters,
    List<Integer> classes,
    long rows,
    double heldOutAccuracy,
    double threshold,
    long descriptorBytes) {
  public LearnedDomain {
    classes = List.copyOf(classes);
  }
}
