package org.outrigger.stream;

import java.util.List;
import org.outrigger.core.method.Method;
import org.outrigger.core.method.MethodProvider;

/** The methods of this room. */
public final class StreamMethods implements MethodProvider {
  @Override
  public List<Class<? extends Method>> methods() {
    return List.of(
        PageHinkley.class,
        Cusum.class,
        Ddm.class,
        Eddm.class,
        HddmA.class,
        HddmW.class,
        Adwin.class,
        Kswin.class,
        KsTest.class,
        ChiSquaredTest.class,
        CramerVonMises.class,
        Psi.class,
        JensenShannon.class,
        Wasserstein.class,
        Mmd.class,
        Lsdd.class,
        ClassifierTest.class,
        Bbsd.class,
        Bbse.class,
        EmPrior.class);
  }
}
