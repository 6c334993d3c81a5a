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
        Adwin.class,
        Bbsd.class,
        Bbse.class,
        ChiSquaredTest.class,
        ClassifierTest.class,
        CramerVonMises.class,
        Cusum.class,
        Ddm.class,
        Eddm.class,
        EmPrior.class,
        HddmA.class,
        HddmW.class,
        JensenShannon.class,
        KsTest.class,
        Kswin.class,
        LiquidForecaster.class,
        Lsdd.class,
        Mmd.class,
        PageHinkley.class,
        Psi.class,
        ReLoop2.class,
        Wasserstein.class);
  }
}
