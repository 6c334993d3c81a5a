package org.outrigger.claims.golden;

import java.util.Locale;
import java.util.Map;
import org.bytedeco.pytorch.LongOptional;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.calibrate.nngp.NngpKernel;
import org.outrigger.calibrate.nngp.NngpKernel.Activation;
import org.outrigger.calibrate.nngp.NngpKernel.Network;
import org.outrigger.calibrate.nngp.Prediction;
import org.outrigger.calibrate.nngp.PredictiveLaw;
import org.outrigger.calibrate.nngp.ScaleMixture;
import org.outrigger.calibrate.nngp.Svtp;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Tensors;

/** Golden cases of NNGP scale mixtures: regression with each prior, variational classification. */
public final class NngpScaleMixturesGolden implements GoldenSuite {
  private static final String RELATIVE =
      "the released predictor adds eps times the mean of the diagonal, the marginal likelihood eps;"
          + " one absolute eps is used everywhere";

  @Override
  public String slug() {
    return "nngp-scale-mixtures";
  }

  @Override
  public void check(GoldenCase golden) {
    if (golden.hasInput("x_train")) {
      new Regression(golden).check();
    } else if (golden.hasInput("inducing") && golden.hasInput("q_mu")) {
      classification(golden);
    } else {
      throw new OutriggerException(
          golden.file() + " is a kind of case that this suite does not know.");
    }
  }

  private static NngpKernel kernel(GoldenCase golden, String network, String layers) {
    String activation = golden.params().path("activation").asString("relu");
    return new NngpKernel(
        Network.valueOf(network.toUpperCase(Locale.ROOT)),
        Activation.valueOf(activation.toUpperCase(Locale.ROOT)),
        (int) golden.param(layers));
  }

  private static NngpKernel.Scales scales(GoldenCase golden) {
    return NngpKernel.Scales.of(
        golden.param("w_std"), golden.param("b_std"), golden.param("last_w_std"));
  }

  /** Images come with their channels last. */
  private static Tensor inputs(GoldenCase golden, String name) {
    Tensor x = golden.input(name);
    return x.dim() == 4 ? x.permute(0, 3, 1, 2) : x;
  }

  private static final class Regression {
    private final GoldenCase golden;
    private final double eps;
    private final Tensor own;
    private final Tensor cross;
    private final Tensor diagonal;
    private final Tensor y;
    private final long n;

    Regression(GoldenCase golden) {
      this.golden = golden;
      eps = golden.param("noise_eps");
      Tensor x = inputs(golden, "x_train");
      Tensor test = inputs(golden, "x_test");
      String usual = x.dim() == 4 ? "cnn" : "mlp";
      NngpKernel kernel =
          kernel(golden, golden.params().path("network").asString(usual), "hidden_layers");
      own = kernel.gram(x, scales(golden));
      cross = kernel.between(test, x, scales(golden));
      diagonal = kernel.diagonal(test, scales(golden));
      y = golden.input("y_train");
      n = y.numel();
    }

    void check() {
      expect("K_train", own);
      expect("K_test_train", cross);
      expect("K_test_diag", diagonal);
      Tensor noisy = own.clone();
      noisy.diagonal().add_(new Scalar(eps));
      Tensor q = y.dot(torch.linalg_solve(noisy, y));
      Tensor log = torch.logdet(noisy);
      expect("gp_log_marginal", ScaleMixture.gaussian(q, log, n));
      Tensor mean = mean(noisy);
      Tensor variance = variance(noisy);
      expect("posterior_mean", mean);
      expect("posterior_var_gp", variance);
      expectNll("gp_test_nll", mean, variance, new PredictiveLaw.Normal());
      if (golden.params().has("alpha")) {
        studentT(q, log, mean, variance);
      }
      if (golden.hasInput("burr_draws")) {
        Tensor draws = golden.input("burr_draws");
        Tensor weights = ScaleMixture.weights(q, n, draws);
        expect("burr_weights", weights);
        expectNll(
            "burr_test_nll",
            mean,
            variance,
            new PredictiveLaw.NormalMixture(Tensors.doubles(weights), Tensors.doubles(draws)));
      }
      for (String name : golden.outputs()) {
        if (name.endsWith("_relative_jitter")) {
          relative(name);
        }
      }
    }

    private void studentT(Tensor q, Tensor log, Tensor mean, Tensor variance) {
      double a = golden.param("alpha");
      double b = golden.param("beta");
      expect(
          "tp_log_marginal",
          ScaleMixture.studentT(q, log, n, Tensors.scalar(a), Tensors.scalar(b)));
      PredictiveLaw law = new PredictiveLaw.StudentT(2 * a + n);
      expect("tp_df", Tensors.scalar(law.degreesOfFreedom()));
      Tensor scaled =
          variance.mul(new Scalar(ScaleMixture.studentTFactor(q.item_double(), n, a, b)));
      expect("tp_scale_var", scaled);
      expectNll("tp_test_nll", mean, scaled, law);
    }

    /** What the released predictor gives, from the same kernels. */
    private void relative(String name) {
      Tensor noisy = own.clone();
      noisy.diagonal().add_(new Scalar(eps * own.diagonal().mean().item_double()));
      if (name.equals("posterior_mean_relative_jitter")) {
        golden.expect(name, mean(noisy));
      } else if (name.equals("posterior_var_relative_jitter")) {
        golden.expect(name, variance(noisy));
      } else {
        golden.deviates(name, RELATIVE);
      }
    }

    private Tensor mean(Tensor noisy) {
      return cross.mv(torch.linalg_solve(noisy, y));
    }

    private Tensor variance(Tensor noisy) {
      Tensor solved = torch.linalg_solve(noisy, cross.t());
      return diagonal.sub(cross.t().mul(solved).sum(0));
    }

    private void expectNll(String name, Tensor mean, Tensor variance, PredictiveLaw law) {
      if (golden.hasOutput(name)) {
        golden.expect(name, new Prediction(mean, variance.sqrt(), law).nll(golden.input("y_test")));
      }
    }

    private void expect(String name, Tensor actual) {
      if (golden.hasOutput(name)) {
        golden.expect(name, actual);
      }
    }
  }

  private static void classification(GoldenCase golden) {
    Tensor z = inputs(golden, "inducing");
    Tensor x = inputs(golden, "x_batch");
    NngpKernel kernel =
        kernel(
            golden,
            golden.params().path("network").asString(z.dim() == 4 ? "cnn" : "mlp"),
            golden.params().has("layers") ? "layers" : "hidden_layers");
    NngpKernel.Scales scales = scales(golden);
    Tensor inducing = kernel.gram(z, scales);
    Tensor cross = kernel.between(z, x, scales);
    Tensor mu = golden.input("q_mu");
    Tensor v = golden.input("q_var");
    Tensor a = Tensors.scalar(golden.param("a")).squeeze();
    Tensor b = Tensors.scalar(golden.param("b")).squeeze();
    Tensor labels = golden.labels("labels");
    Tensor normal = golden.input("normal_draws");
    Tensor chiSquared = golden.input("chi2_draws");
    double jitter = golden.params().path("sample_jitter").asDouble(1e-9);
    Tensor lower = Svtp.factor(inducing, golden.param("jitter"));
    Svtp.Values joint = Svtp.joint(lower, cross, kernel.gram(x, scales), mu, v);
    Tensor samples = Svtp.samples(joint, normal, chiSquared, a, b, jitter);
    Map<String, Tensor> results =
        Map.of(
            "K_inducing", inducing,
            "K_batch_inducing", cross.t(),
            "mean", joint.mean(),
            "cov", joint.spread(),
            "kl_student_t",
                Svtp.divergence(
                    lower, mu, v, a, b, golden.param("alpha_prior"), golden.param("beta_prior")),
            "kl_gaussian", Svtp.divergence(lower, mu, v),
            "expected_log_lik", Svtp.expectedLogLikelihood(samples, labels),
            "test_log_lik", Svtp.testLogLikelihood(samples, labels),
            "predicted",
                Svtp.probabilities(samples)
                    .argmax(new LongOptional(1), false)
                    .to(ScalarType.Double));
    results.forEach(
        (name, result) -> {
          if (golden.hasOutput(name)) {
            golden.expect(name, result);
          }
        });
  }
}
