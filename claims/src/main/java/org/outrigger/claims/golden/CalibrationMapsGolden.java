package org.outrigger.claims.golden;

import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.calibrate.BetaCalibration;
import org.outrigger.calibrate.DirichletCalibration;
import org.outrigger.calibrate.EnsembleTemperatureScaling;
import org.outrigger.calibrate.HistogramBinning;
import org.outrigger.calibrate.Isotonic;
import org.outrigger.calibrate.MatrixScaling;
import org.outrigger.calibrate.PlattScaling;
import org.outrigger.calibrate.TemperatureScaling;
import org.outrigger.calibrate.VectorScaling;
import org.outrigger.core.model.Output;
import org.outrigger.core.optim.CrossEntropy;
import org.outrigger.core.optim.FocalLoss;
import org.outrigger.core.torch.Gradients;

/** The calibration maps of the calibration baselines, and the losses that networks learn with. */
final class CalibrationMapsGolden {
  private CalibrationMapsGolden() {}

  /** Losses of logits and labels. */
  static void losses(GoldenCase golden) {
    Tensor logits = golden.input("logits").requires_grad_(true);
    Tensor labels = golden.labels("labels");
    for (String output : golden.outputs()) {
      switch (output) {
        case "label_smoothing_ce" -> {
          double[] rows = new double[Math.toIntExact(labels.size(0))];
          for (int i = 0; i < rows.length; i++) {
            rows[i] =
                smoothed(golden, logits.narrow(0, i, 1), labels.narrow(0, i, 1)).item_double();
          }
          golden.expect(output, rows);
        }
        case "label_smoothing_mean_grad" ->
            golden.expect(output, Gradients.of(smoothed(golden, logits, labels), logits));
        case "focal" -> golden.expect(output, focal(golden).rows(logits, labels));
        case "focal_mean_grad" ->
            golden.expect(
                output, Gradients.of(focal(golden).loss(new Output(logits, null), labels), logits));
        case "focal_sample_dependent" ->
            golden.expect(output, new FocalLoss(0, true).rows(logits, labels));
        default -> {
          // Left unchecked, which the runner reports.
        }
      }
    }
  }

  private static FocalLoss focal(GoldenCase golden) {
    return new FocalLoss(golden.param("focal_gamma"));
  }

  private static Tensor smoothed(GoldenCase golden, Tensor logits, Tensor labels) {
    return CrossEntropy.loss(logits, labels, golden.param("label_smoothing"));
  }

  /** Maps of several classes, fitted on one set and asked for another. */
  static void scaling(GoldenCase golden) {
    Tensor logits = golden.input("logits_fit");
    Tensor labels = golden.labels("labels_fit");
    Tensor test = golden.input("logits_test");
    TemperatureScaling.Settings bounds = TemperatureScaling.Settings.defaults();
    for (String output : golden.outputs()) {
      switch (output) {
        case "temperature_nll" ->
            golden.expect(
                output, TemperatureScaling.fit(logits, labels, bounds.lowest(), bounds.highest()));
        case "probs_temperature" ->
            golden.expect(
                output,
                TemperatureScaling.probabilities(
                    test,
                    TemperatureScaling.fit(logits, labels, bounds.lowest(), bounds.highest())));
        case "probs_vector", "objective_vector" -> {
          double l2 = golden.param("vector_l2");
          Tensor fitted = VectorScaling.fit(logits, labels, l2);
          golden.expect(
              output,
              output.startsWith("objective")
                  ? VectorScaling.objective(logits, labels, fitted, l2)
                  : VectorScaling.probabilities(test, fitted));
        }
        case "probs_matrix_odir", "objective_matrix" -> {
          double lambda = golden.param("odir_lambda");
          double mu = golden.param("odir_mu");
          Tensor fitted = MatrixScaling.fit(logits, labels, lambda, mu);
          golden.expect(
              output,
              output.startsWith("objective")
                  ? MatrixScaling.objective(logits, labels, fitted, lambda, mu)
                  : MatrixScaling.probabilities(test, fitted));
        }
        case "probs_dirichlet_odir", "objective_dirichlet" -> {
          double lambda = golden.param("odir_lambda");
          double mu = golden.param("odir_mu");
          Tensor fitted = DirichletCalibration.fit(logits, labels, lambda, mu);
          golden.expect(
              output,
              output.startsWith("objective")
                  ? DirichletCalibration.objective(logits, labels, fitted, lambda, mu)
                  : DirichletCalibration.probabilities(test, fitted));
        }
        default -> rest(golden, output, logits, labels, test);
      }
    }
  }

  private static void rest(
      GoldenCase golden, String output, Tensor logits, Tensor labels, Tensor test) {
    Tensor p = torch.softmax(logits, 1);
    Tensor q = torch.softmax(test, 1);
    double temperature = EnsembleTemperatureScaling.fitTemperature(logits, labels);
    double[] weights = EnsembleTemperatureScaling.fitWeights(logits, labels, temperature);
    switch (output) {
      case "ets_temperature_mse" -> golden.expect(output, temperature);
      case "ets_weights" -> golden.expect(output, weights);
      case "probs_ets" ->
          golden.expect(
              output, EnsembleTemperatureScaling.probabilities(test, temperature, weights));
      case "probs_irm_unnormalised" ->
          golden.expect(
              output,
              Isotonic.raw(
                  q, Isotonic.fitMap(p, torch.one_hot(labels, p.size(1)).to(p.scalar_type()))));
      case "probs_irova_unnormalised" ->
          golden.expect(output, Isotonic.raw(q, Isotonic.fitPerClass(p, labels)));
      case "probs_hist_ova" -> {
        int bins = (int) golden.param("hist_bins");
        golden.expect(
            output, HistogramBinning.probabilities(q, HistogramBinning.fitMap(p, labels, bins)));
      }
      default -> {
        // Left unchecked, which the runner reports.
      }
    }
  }

  /** Maps of one probability. */
  static void binary(GoldenCase golden) {
    Tensor p = golden.input("prob");
    Tensor outcomes = golden.input("label");
    Tensor test = golden.input("prob_test");
    Tensor abc = BetaCalibration.fitMap(p, outcomes);
    Tensor ab = PlattScaling.fitMap(p, outcomes);
    for (String output : golden.outputs()) {
      switch (output) {
        case "beta_abc" -> golden.expect(output, abc);
        case "beta_objective" -> golden.expect(output, BetaCalibration.objective(p, outcomes, abc));
        case "beta_test" -> golden.expect(output, BetaCalibration.map(test, abc));
        case "platt_ab" -> golden.expect(output, ab);
        case "platt_test" -> golden.expect(output, PlattScaling.map(test, ab));
        case "isotonic_test" ->
            golden.expect(
                output,
                Isotonic.interpolate(test.unsqueeze(0), Isotonic.fitMap(p, outcomes)).squeeze(0));
        default -> {
          // Left unchecked, which the runner reports.
        }
      }
    }
  }
}
