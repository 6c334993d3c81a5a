package org.outrigger.claims.golden;

import java.util.Arrays;
import java.util.stream.IntStream;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.core.torch.Tensors;
import org.outrigger.stream.Bbsd;
import org.outrigger.stream.Bbse;
import org.outrigger.stream.ChiSquaredTest;
import org.outrigger.stream.ClassifierTest;
import org.outrigger.stream.Correction;
import org.outrigger.stream.CramerVonMises;
import org.outrigger.stream.DriftTestResult;
import org.outrigger.stream.EmPrior;
import org.outrigger.stream.GaussianKernel;
import org.outrigger.stream.JensenShannon;
import org.outrigger.stream.KolmogorovSmirnov;
import org.outrigger.stream.KolmogorovSmirnov.Side;
import org.outrigger.stream.KsTest;
import org.outrigger.stream.Lsdd;
import org.outrigger.stream.Mmd;
import org.outrigger.stream.Permutations;
import org.outrigger.stream.Psi;
import org.outrigger.stream.Wasserstein;

/** Golden cases of tests that compare two samples, and of label shift. */
final class DriftSampleGolden {
  private final GoldenCase golden;

  DriftSampleGolden(GoldenCase golden) {
    this.golden = golden;
  }

  /** Tests of single features. */
  void features() {
    Tensor ref = golden.input("ref");
    Tensor test = golden.input("test");
    int n = (int) ref.size(0);
    int m = (int) test.size(0);
    double[] d = Tensors.doubles(KsTest.distance(ref, test));
    double[] exact = new double[d.length];
    double[] limit = new double[d.length];
    double[] oneSample = new double[d.length];
    for (int f = 0; f < d.length; f++) {
      exact[f] = KolmogorovSmirnov.exact(d[f], n, m, Side.TWO_SIDED);
      limit[f] = KolmogorovSmirnov.limit(d[f], n, m, Side.TWO_SIDED);
      oneSample[f] = KolmogorovSmirnov.oneSample(d[f], n, m, Side.TWO_SIDED);
    }
    expect("ks_stat", d);
    expect("ks_p_exact", exact);
    expect("ks_p_kolmogorov", limit);
    expect("ks_p_scipy_asymp", oneSample);
    double alpha = golden.param("alpha");
    expect("bonferroni_drift", below(exact, Correction.BONFERRONI.threshold(exact, alpha)));
    double fdr = Correction.BENJAMINI_HOCHBERG.threshold(exact, alpha);
    expect("fdr_drift", below(exact, fdr));
    expect("fdr_threshold", fdr);
    measures(ref, test, n, m);
    if (golden.hasInput("cat_ref")) {
      double[][] table =
          ChiSquaredTest.table(
              Tensors.doubles(golden.input("cat_ref")), Tensors.doubles(golden.input("cat_test")));
      ChiSquaredTest.Outcome outcome = ChiSquaredTest.outcome(table);
      expect("chi2_table", Arrays.stream(table).flatMapToDouble(Arrays::stream).toArray());
      expect("chi2_stat", outcome.statistic());
      expect("chi2_p", outcome.pValue());
      expect("chi2_dof", outcome.degrees());
    }
    if (golden.hasInput("bin_ref")) {
      ChiSquaredTest.Outcome outcome =
          ChiSquaredTest.outcome(
              ChiSquaredTest.table(
                  Tensors.doubles(golden.input("bin_ref")),
                  Tensors.doubles(golden.input("bin_test"))));
      expect("chi2_2x2_stat", outcome.statistic());
      expect("chi2_2x2_p", outcome.pValue());
    }
  }

  /** Distances of the first features, as many as the case lists. */
  private void measures(Tensor ref, Tensor test, int n, int m) {
    int bins = golden.params().path("psi_bins").asInt(10);
    double floor = golden.params().path("psi_eps").asDouble(1e-4);
    first("psi", Psi.index(ref, test, bins, floor));
    first("js_divergence", JensenShannon.divergence(ref, test, bins));
    first("js_distance", JensenShannon.distance(ref, test, bins));
    first("wasserstein1", Wasserstein.distance(ref, test));
    Tensor t = CramerVonMises.statistic(ref, test);
    first("cvm_stat", t);
    double[] p =
        Arrays.stream(Tensors.doubles(t)).map(v -> CramerVonMises.pValue(v, n, m)).toArray();
    first("cvm_p", Tensors.of(p, p.length));
  }

  private static double below(double[] pValues, double threshold) {
    return Arrays.stream(pValues).anyMatch(p -> p < threshold) ? 1 : 0;
  }

  /** MMD with given permutations. */
  void mmd() {
    Tensor ref = golden.input("ref");
    Tensor test = golden.input("test");
    double sigma = GaussianKernel.median(ref);
    expect("sigma_ref", sigma);
    expect("sigma_ref_test", GaussianKernel.median(ref, test));
    expect("kernel_ref_test", Tensors.doubles(GaussianKernel.of(ref, test, sigma)));
    expect(
        "mmd2_multi_bandwidth_kernel_row0",
        Tensors.doubles(GaussianKernel.of(ref, test, 0.5, 1, 2).select(0, 0)));
    double[] values = Mmd.squared(ref, test, golden.labels("permutations"), sigma);
    double[] permuted = Arrays.copyOfRange(values, 1, values.length);
    expect("mmd2", values[0]);
    expect("mmd2_permuted", permuted);
    expect("p_value", Permutations.share(values[0], permuted));
    expect("threshold", Mmd.threshold(permuted, golden.params().path("p_val").asDouble(0.05)));
  }

  /** LSDD with given permutations; the first standardised rows are the centres. */
  void lsdd() {
    Tensor ref = golden.input("ref");
    Tensor a = Lsdd.standardised(ref, ref);
    Tensor b = Lsdd.standardised(ref, golden.input("test"));
    long centers = (long) golden.param("n_kernel_centers");
    double sigma = GaussianKernel.median(a);
    Lsdd.Estimate estimate =
        Lsdd.estimate(
            a.narrow(0, 0, centers),
            a.narrow(0, centers, a.size(0) - centers),
            b,
            golden.labels("permutations"),
            sigma,
            golden.params().path("lambda_rd_max").asDouble(0.2));
    expect("sigma", estimate.sigma());
    expect("H", estimate.kernel());
    expect("H_lam_inv", estimate.combined());
    expect("lsdd", estimate.observed());
    expect("lsdd_permuted", estimate.permuted());
    expect("p_value", Permutations.share(estimate.observed(), estimate.permuted()));
  }

  /** The classifier test from probabilities out of fold. */
  void classifier() {
    double[] labels = golden.values("oof_labels");
    double[] p = golden.values("oof_probs");
    double[] reference = split(labels, p, 0);
    double[] batch = split(labels, p, 1);
    ClassifierTest.Hard hard = ClassifierTest.hard(reference, batch);
    expect("c2st_accuracy", hard.accuracy());
    expect("c2st_p_binomial", hard.pValue());
    expect("c2st_distance", hard.distance());
    double statistic = ClassifierTest.soft(reference, batch).statistic();
    int n = reference.length;
    int m = batch.length;
    expect("c2st_ks_stat", statistic);
    expect("c2st_ks_p_exact", KolmogorovSmirnov.exact(statistic, n, m, Side.FIRST_LOWER));
    expect("c2st_ks_p_asymp", KolmogorovSmirnov.oneSample(statistic, n, m, Side.FIRST_LOWER));
  }

  private static double[] split(double[] labels, double[] values, double label) {
    return IntStream.range(0, labels.length)
        .filter(i -> labels[i] == label)
        .mapToDouble(i -> values[i])
        .toArray();
  }

  /** Label shift from logits. */
  void labelShift() {
    Tensor source = torch.softmax(golden.input("source_logits"), 1);
    Tensor target = torch.softmax(golden.input("target_logits"), 1);
    Tensor labels = golden.labels("source_labels");
    Tensor joint = Bbse.joint(source, labels, Bbse.Form.HARD);
    Tensor mu = Bbse.target(target, Bbse.Form.HARD);
    Tensor weights = Bbse.weights(joint, mu);
    Tensor prior = joint.sum(0);
    expect("bbse_joint", Tensors.doubles(joint));
    expect("bbse_target_pred", Tensors.doubles(mu));
    expect("bbse_weights", Tensors.doubles(weights));
    expect(
        "bbse_weights_clipped",
        Arrays.stream(Tensors.doubles(weights)).map(w -> Math.max(0, w)).toArray());
    expect("bbse_target_prior", Tensors.doubles(Bbse.prior(weights, prior)));
    Tensor soft = Bbse.joint(source, labels, Bbse.Form.SOFT);
    expect("bbse_soft_joint", Tensors.doubles(soft));
    expect(
        "bbse_soft_weights",
        Tensors.doubles(Bbse.weights(soft, Bbse.target(target, Bbse.Form.SOFT))));
    int rounds = golden.params().path("em_iterations").asInt(200);
    expect("em_target_prior", Tensors.doubles(EmPrior.prior(target, prior, rounds, 0)));
    try (Bbsd bbsd = new Bbsd()) {
      bbsd.fit(source);
      DriftTestResult result = bbsd.test(target);
      expect(
          "bbsd_ks_stat",
          Arrays.stream(result.features()).mapToDouble(f -> f.statistic()).toArray());
      expect("bbsd_p", Arrays.stream(result.features()).mapToDouble(f -> f.pValue()).toArray());
      expect("bbsd_drift", result.drift() ? 1 : 0);
    }
  }

  private void first(String name, Tensor values) {
    if (golden.hasOutput(name)) {
      golden.expect(name, values.narrow(0, 0, golden.output(name).numel()));
    }
  }

  private void expect(String name, double... values) {
    if (golden.hasOutput(name)) {
      golden.expect(name, values);
    }
  }
}
