package org.outrigger.calibrate;

import java.util.List;
import org.outrigger.calibrate.nngp.ScaleMixtureClassification;
import org.outrigger.calibrate.nngp.ScaleMixtureRegression;
import org.outrigger.core.method.Method;
import org.outrigger.core.method.MethodProvider;

/** The methods of this room. */
public final class CalibrateMethods implements MethodProvider {
  @Override
  public List<Class<? extends Method>> methods() {
    return List.of(TemperatureScaling.class, ScaleMixtureRegression.class, ScaleMixtureClassification.class);
  }
}
