package org.outrigger.stream;

import java.util.List;
import org.outrigger.core.method.Method;
import org.outrigger.core.method.MethodProvider;
import org.outrigger.stream.liquid.LiquidForecaster;
import org.outrigger.stream.memory.ReLoop2;

/** The methods of this room. */
public final class StreamMethods implements MethodProvider {
  @Override
  public List<Class<? extends Method>> methods() {
    return List.of(
        ReLoop2.class,
        LiquidForecaster.class);
  }
}
