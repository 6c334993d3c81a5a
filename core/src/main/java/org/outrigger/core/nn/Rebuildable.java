package org.outrigger.core.nn;

import java.util.Map;

/**
 * A layer that takes the place of another of a network for good, and that a model file can name, so
 * that the network is built again as it was saved.
 */
public interface Rebuildable {
  /** The name of its {@link Kind}. */
  String kind();

  /** What {@link Kind#build} needs besides the layer it replaces, as JSON-able values. */
  default Map<String, Object> settings() {
    return Map.of();
  }

  /**
   * Makes such layers again. Kinds are found on the class path, as services of this name: a module
   * that has layers of its own to put into networks adds theirs.
   */
  interface Kind {
    /** The name in model files: lower case, digits and hyphens. */
    String name();

    /**
     * Makes the layer that takes the place of {@code original}; its weights are loaded afterwards.
     *
     * @param original a layer as the architecture has it; it belongs to the new layer from then on,
     *     as a part of it or to be closed
     * @param settings what {@link Rebuildable#settings} gave
     * @throws org.outrigger.core.OutriggerException if it cannot replace that layer
     */
    Layer build(Layer original, Map<String, ?> settings);
  }
}
