package org.outrigger.claims.golden;

import java.util.function.DoubleSupplier;
import java.util.function.Supplier;
import org.bytedeco.pytorch.LongOptional;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.metric.RankCorrelation;
import org.outrigger.core.torch.Tensors;
import org.outrigger.select.Gbc;
import org.outrigger.select.Gbc.Covariance;
import org.outrigger.select.HScore;
import org.outrigger.select.Leep;
import org.outrigger.select.LogMe;
import org.outrigger.select.Nce;
import org.outrigger.select.Parc;
import org.outrigger.select.RegularisedHScore;
import org.outrigger.select.Sfda;
import org.outrigger.select.TransRate;

/** Golden cases of the usual transferability scores, and of the figures that judge scores. */
public final class TransferabilityGolden implements GoldenSuite {
  @Override
  public String slug() {
    return "transferability-baselines";
  }

  @Override
  public void check(GoldenCase golden) {
    boolean known = false;
    if (golden.hasInput("scores") && golden.hasInput("accuracy")) {
      correlations(golden);
      known = true;
    }
    if (golden.hasInput("labels")) {
      Tensor labels = golden.labels("labels");
      if (golden.hasInput("source_probs")) {
        outputs(golden, labels);
        known = true;
      }
      if (golden.hasInput("mixture_posteriors")) {
        mixture(golden, labels);
        known = true;
      }
      if (golden.hasInput("features")) {
        Tensor features = golden.input("features");
        features(golden, features, labels);
        logMe(golden, features, labels);
        known = true;
      }
    }
    if (golden.hasInput("features") && golden.hasInput("targets_regression")) {
      regression(golden);
      known = true;
    }
    if (!known) {
      throw new OutriggerException(
          golden.file() + " is a kind of case that this suite does not know.");
    }
  }

  private static void expect(GoldenCase golden, String name, DoubleSupplier value) {
    if (golden.hasOutput(name)) {
      golden.expect(name, value.getAsDouble());
    }
  }

  private static void expectTensor(GoldenCase golden, String name, Supplier<Tensor> value) {
    if (golden.hasOutput(name)) {
      golden.expect(name, value.get());
    }
  }

  private static void correlations(GoldenCase golden) {
    double[] scores = golden.values("scores");
    double[] accuracy = golden.values("accuracy");
    expect(golden, "weighted_tau", () -> RankCorrelation.weightedKendall(scores, accuracy));
    expect(golden, "kendall_tau", () -> RankCorrelation.kendall(scores, accuracy));
    expect(golden, "pearson", () -> RankCorrelation.pearson(scores, accuracy));
    expect(golden, "spearman", () -> RankCorrelation.spearman(scores, accuracy));
    expect(golden, "rel_at_1", () -> RankCorrelation.relAtK(scores, accuracy, 1));
    expect(
        golden,
        "rel_at_k",
        () -> RankCorrelation.relAtK(scores, accuracy, (int) golden.param("k")));
  }

  private static void outputs(GoldenCase golden, Tensor labels) {
    Tensor probabilities = golden.input("source_probs");
    expect(golden, "leep", () -> Leep.score(probabilities, labels));
    expect(
        golden, "nce", () -> Nce.score(probabilities.argmax(new LongOptional(1), false), labels));
  }

  private static void mixture(GoldenCase golden, Tensor labels) {
    Tensor posteriors = golden.input("mixture_posteriors");
    expect(golden, "nleep_log", () -> Leep.score(posteriors, labels));
    expect(
        golden,
        "nleep_mean_probability",
        () -> Leep.likelihoods(posteriors, labels).mean().item_double());
  }

  private static void features(GoldenCase golden, Tensor features, Tensor labels) {
    expect(golden, "hscore", () -> HScore.score(features, labels));
    expect(golden, "hscore_regularised", () -> RegularisedHScore.score(features, labels));
    double eps = golden.params().path("transrate_eps").asDouble(1e-4);
    expect(golden, "transrate", () -> TransRate.score(features, labels, eps));
    expect(golden, "gbc_diagonal", () -> Gbc.score(features, labels, Covariance.DIAGONAL));
    expect(golden, "gbc_spherical", () -> Gbc.score(features, labels, Covariance.LEGACY));
    expect(
        golden,
        "gbc_spherical_full_determinant",
        () -> Gbc.score(features, labels, Covariance.SPHERICAL));
    expect(golden, "sfda", () -> Sfda.score(features, labels));
    expect(golden, "sfda_shrinkage", () -> Sfda.shrinkage(features, labels));
    if (golden.hasOutput("parc")) {
      parc(golden, features, labels);
    }
  }

  private static void parc(GoldenCase golden, Tensor features, Tensor labels) {
    int dimensions = golden.params().path("parc_pca_dims").asInt(0);
    double score = Parc.score(features, labels, dimensions);
    if (labels.max().item_long() < 2) {
      golden.expect("parc", score);
    } else {
      golden.expectRounded(
          "parc",
          Tensors.scalar(score),
          2.5,
          "the authors' code computes the distances of one-hot labels of three and more classes in"
              + " floating point and ranks equal ones by the rounding of the last bit, which"
              + " differs between machines; ours are tied exactly");
    }
  }

  private static LogMe.Settings settings(GoldenCase golden) {
    LogMe.Settings usual = LogMe.Settings.defaults();
    return new LogMe.Settings(
        golden.params().path("logme_max_iter").asInt(usual.maxIterations()),
        golden.params().path("logme_tol").asDouble(usual.tolerance()));
  }

  private static void logMe(GoldenCase golden, Tensor features, Tensor labels) {
    LogMe.Evidence evidence = LogMe.classes(features, labels, settings(golden));
    expect(golden, "logme_fixed_point_corrected", evidence::mean);
    expect(golden, "logme_fixed_point_released", () -> released(evidence, features));
    expectTensor(golden, "logme_alphas", evidence::alphas);
    expectTensor(golden, "logme_betas", evidence::betas);
    expectTensor(golden, "logme_weights", evidence::weights);
    expect(golden, "logme_icml", () -> LogMe.icml(features, labels).mean());
  }

  /** The released code forgets the logarithms of the D - k directions without variance. */
  private static double released(LogMe.Evidence evidence, Tensor features) {
    double[] alphas = Tensors.doubles(evidence.alphas());
    double forgotten = 0;
    for (double alpha : alphas) {
      forgotten += Math.log(alpha) * (features.size(1) - evidence.rank()) / 2;
    }
    return evidence.mean() + forgotten / alphas.length / features.size(0);
  }

  /** These cases come from the released code; where N is at least D it forgets nothing. */
  private static void regression(GoldenCase golden) {
    Tensor features = golden.input("features");
    LogMe.Evidence evidence =
        LogMe.regression(features, golden.input("targets_regression"), settings(golden));
    expect(golden, "logme_regression", () -> released(evidence, features));
  }
}
