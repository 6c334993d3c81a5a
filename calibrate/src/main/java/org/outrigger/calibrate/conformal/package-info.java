/**
 * Sets of labels that hold the true one with a promised probability, whatever the model.
 *
 * <p>{@link org.outrigger.calibrate.conformal.Lac}, {@link org.outrigger.calibrate.conformal.Aps}
 * and {@link org.outrigger.calibrate.conformal.Raps} promise it on average over inputs like the
 * held-out ones; {@link org.outrigger.calibrate.conformal.ClassConditional} within every class;
 * {@link org.outrigger.calibrate.conformal.CovariateShiftConformal} and {@link
 * org.outrigger.calibrate.conformal.LabelShiftConformal} for a target that differs; {@link
 * org.outrigger.calibrate.conformal.RiskControlled} for the very held-out set at hand, with
 * confidence. {@link org.outrigger.calibrate.conformal.SelectiveRisk} abstains instead, below a
 * confidence above which errors are bounded. {@link
 * org.outrigger.calibrate.conformal.ConformalEvaluation} measures sets; {@link
 * org.outrigger.calibrate.conformal.LabelScore}, {@link
 * org.outrigger.calibrate.conformal.ConformalQuantile} and {@link
 * org.outrigger.calibrate.conformal.RiskBounds} are the mathematics, {@link
 * org.outrigger.calibrate.conformal.SplitConformal} the common shell.
 */
@NullMarked
package org.outrigger.calibrate.conformal;

import org.jspecify.annotations.NullMarked;
