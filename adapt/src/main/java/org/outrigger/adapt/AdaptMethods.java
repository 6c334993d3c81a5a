package org.outrigger.adapt;

import java.util.List;
import org.outrigger.adapt.edge.Cema;
import org.outrigger.adapt.edge.UVpa;
import org.outrigger.core.method.Method;
import org.outrigger.core.method.MethodProvider;

/** The methods of this room. */
public final class AdaptMethods implements MethodProvider {
  @Override
  public List<Class<? extends Method>> methods() {
    return List.of(
        BatchNormAdaptation.class,
        Cema.class,
        Episodic.class,
        PeriodicReset.class,
        PseudoLabel.class,
        SafetyNet.class,
        ShotIm.class,
        Source.class,
        Tent.class,
        UVpa.class);
  }
}
