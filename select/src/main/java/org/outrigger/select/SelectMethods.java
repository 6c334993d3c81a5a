package org.outrigger.select;

import java.util.List;
import org.outrigger.core.method.Method;
import org.outrigger.core.method.MethodProvider;
import org.outrigger.select.data.AdaptInfinity;
import org.outrigger.select.data.Qdc;
import org.outrigger.select.scaling.TsfmScaling;

/** The methods of this room. */
public final class SelectMethods implements MethodProvider {
  @Override
  public List<Class<? extends Method>> methods() {
    return List.of(
        AdaptInfinity.class,
        Gbc.class,
        HScore.class,
        KnnAccuracy.class,
        Leep.class,
        LogMe.class,
        Nce.class,
        Nleep.class,
        Parc.class,
        ProbeAccuracy.class,
        Qdc.class,
        RegularisedHScore.class,
        Sfda.class,
        Tmi.class,
        TransRate.class,
        TsfmScaling.class);
  }
}
