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
import org.outrigger.calibrate.nngp.ScaleMixtureClassification;
import org.outrigger.calibrate.nngp.ScaleMixtureRegression;
import org.outrigger.core.method.Method;
import org.outrigger.core.method.MethodProvider;

/** The methods of this room. */
public final class CalibrateMethods implements MethodProvider {
  @Override
  public List<Class<? extends Method>> methods() {
    return List.of(
        Aps.class,
        AutoCalibrator.class,
        BetaCalibration.class,
        ClassConditional.class,
        CorrectnessCalibration.class,
        CovariateShiftConformal.class,
        DirichletCalibration.class,
        EnsembleTemperatureScaling.class,
        HistogramBinning.class,
        Isotonic.class,
        LabelShiftConformal.class,
        Lac.class,
        MatrixScaling.class,
        PlattScaling.class,
        Raps.class,
        RiskControlled.class,
        ScaleMixtureClassification.class,
        ScaleMixtureRegression.class,
        SelectiveRisk.class,
        TemperatureScaling.class,
        VectorScaling.class);
  }
}
