package org.outrigger.calibrate;

import java.util.List;
import org.outrigger.calibrate.conformal.Aps;
import org.outrigger.calibrate.conformal.ClassConditional;
import org.outrigger.calibrate.conformal.CovariateShiftConformal;
import org.outrigger.calibrate.conformal.LabelShiftConformal;
import org.outrigger.calibrate.conformal.Lac;
import org.outrigger.calibrate.conformal.Raps;
import org.outrigger.calibrate.conformal.RiskControlled;
import org.outrigger.calibrate.conformal.SelectiveRisk;
import org.outrigger.core.method.Method;
import org.outrigger.core.method.MethodProvider;

/** The methods of this room. */
public final class CalibrateMethods implements MethodProvider {
  @Override
  public List<Class<? extends Method>> methods() {
    return List.of(
        TemperatureScaling.class,
        CorrectnessCalibration.class,
        Lac.class,
        Aps.class,
        Raps.class,
        ClassConditional.class,
        CovariateShiftConformal.class,
        LabelShiftConformal.class,
        RiskControlled.class,
        SelectiveRisk.class);
  }
}
