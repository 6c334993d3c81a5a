package org.outrigger.adapt;

import java.util.List;
import org.outrigger.core.method.Method;
import org.outrigger.core.method.MethodProvider;

/** The methods of this room. */
public final class AdaptMethods implements MethodProvider {
  @Override
  public List<Class<? extends Method>> methods() {
    return List.of(
        BatchNormAdaptation.class,
        Episodic.class,
        FewShotSfda.class,
        Ktf.class,
        PeriodicReset.class,
        PseudoLabel.class,
        SafetyNet.class,
        Shot.class,
        ShotIm.class,
        Source.class,
        Tent.class);
  }
}
