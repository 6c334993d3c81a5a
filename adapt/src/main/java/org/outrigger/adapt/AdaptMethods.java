package org.outrigger.adapt;

import java.util.List;
import org.outrigger.core.method.Method;
import org.outrigger.core.method.MethodProvider;

/** The methods of this room. */
public final class AdaptMethods implements MethodProvider {
  @Override
  public List<Class<? extends Method>> methods() {
    return List.of(
        AdaNpc.class,
        BatchNormAdaptation.class,
        Episodic.class,
        LabelShiftAdapter.class,
        Lame.class,
        PeriodicReset.class,
        PriorCorrection.class,
        PseudoLabel.class,
        SafetyNet.class,
        ShotIm.class,
        Source.class,
        T3a.class,
        Tent.class);
  }
}
