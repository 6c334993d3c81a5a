package org.outrigger.select;

import java.util.List;
import org.outrigger.core.method.Method;
import org.outrigger.core.method.MethodProvider;

/** The methods of this room. */
public final class SelectMethods implements MethodProvider {
  @Override
  public List<Class<? extends Method>> methods() {
    return List.of(
        Leep.class,
        Nleep.class,
        Nce.class,
        LogMe.class,
        HScore.class,
        RegularisedHScore.class,
        Gbc.class,
        Sfda.class,
        Parc.class,
        TransRate.class,
        Tmi.class,
        KnnAccuracy.class,
        ProbeAccuracy.class);
  }
}
