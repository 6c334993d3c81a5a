package org.outrigger.detect;

/**
 * A detector for models that were trained for it. The name of the detector is also that of the
 * training recipe.
 */
public interface HasTraining extends Detector {
  /** How such a model is trained; independent of this detector and of what it has learned. */
  TrainingObjective training();
}
