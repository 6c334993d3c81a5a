package org.outrigger.detect;

import java.util.List;
import org.outrigger.core.method.Method;
import org.outrigger.core.method.MethodProvider;

/** The methods of this room. */
public final class DetectMethods implements MethodProvider {
  @Override
  public List<Class<? extends Method>> methods() {
    return List.of(
        // Logits alone.
        Msp.class,
        MaxLogit.class,
        Energy.class,
        Entropy.class,
        Gen.class,
        Mcm.class,
        // Features.
        Mahalanobis.class,
        Knn.class);
  }
}
