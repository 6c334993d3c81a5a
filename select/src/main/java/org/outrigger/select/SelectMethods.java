package org.outrigger.select;

import java.util.List;
import org.outrigger.core.method.Method;
import org.outrigger.core.method.MethodProvider;
import org.outrigger.select.data.AdaptInfinity;
import org.outrigger.select.data.Qdc;

/** The methods of this room. */
public final class SelectMethods implements MethodProvider {
  @Override
  public List<Class<? extends Method>> methods() {
    return List.of(AdaptInfinity.class, Qdc.class);
  }
}
