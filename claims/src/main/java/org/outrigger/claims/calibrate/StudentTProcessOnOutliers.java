package org.outrigger.claims.calibrate;

import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.calibrate.nngp.FiniteNetworks;
import org.outrigger.calibrate.nngp.Prediction;
import org.outrigger.calibrate.nngp.ScaleMixtureClassification;
import org.outrigger.calibrate.nngp.ScaleMixtureRegression;
import org.outrigger.claims.Claim;
import org.outrigger.claims.Inequality;
import org.outrigger.claims.Scale;
import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.method.Methods;
import org.outrigger.core.method.Room;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Tensors;
import org.outrigger.core.torch.Torch;
import org.outrigger.datasets.Diabetes;
import org.outrigger.datasets.Digits;

/** The heavy tails of a Student-t process pay on outliers and cost nothing elsewhere. */
public final class StudentTProcessOnOutliers implements Claim {
  private static final double NOISE = 0.3;
  private static final double GAIN = 0.3;
  private static final String GAINED = "every data set gains 0.3 with outliers";
  private static final String CLEAN = "clean difference, largest";
  private static final String SAME = "RMSE difference, equal hyper-parameters";

  @Override
  public String slug() {
    return "nngp-scale-mixtures";
  }

  @Override
  public Room room() {
    return Room.CALIBRATE;
  }

  @Override
  public String title() {
    return "A Student-t process expects outliers that a Gaussian one does not";
  }

  @Override
  public String promise() {
    return "An inverse gamma prior on the last layer's variance gives the mean of the Gaussian"
        + " process with heavier tails: a better likelihood of outliers at no cost on clean data.";
  }

  @Override
  public String paper() {
    return "Lee et al., Scale Mixtures of Neural Network Gaussian Processes, ICLR 2022";
  }

  @Override
  public List<Inequality> statement() {
    return List.of(
        Inequality.atLeast(GAINED, 1), Inequality.below(CLEAN, 0.05), Inequality.below(SAME, 1e-9));
  }

  @Override
  public List<String> baselines() {
    return List.of("a Gaussian process with the same kernel, fitted alike");
  }

  @Override
  public String protocol() {
    return "150 training and 150 test rows of the diabetes table and of sin(2 x1) + x2 x3 / 2 with"
        + " noise of 0.3 times a t of 2 degrees of freedom; an MLP kernel of 2 ReLU layers;"
        + " all hyper-parameters by 25 steps of L-BFGS on the marginal likelihood. NLL is in"
        + " units of the training targets' deviation. Outliers: 10 % of the test targets get"
        + " twice a t of 2 degrees of freedom added in those units. The first inequality is"
        + " about every seed, as its figure is 1 only where both data sets gain 0.3."
        + " Reported beside it: variational classification of 8x8 digits, clean and with"
        + " normal noise of 0.3 (500 training digits, a CNN kernel of 2 layers, 60 inducing"
        + " inputs, 10 epochs).";
  }

  @Override
  public String tried() {
    return "Nothing but this set-up was tried. The Student-t process has the smaller NLL with"
        + " outliers on both data sets and every seed, and on average the smaller gain of"
        + " the two is 0.76; but on seeds 0 and 1 it is 0.05 and 0.06, not 0.3. After 150"
        + " rows its tails have at least 150 degrees of freedom, which a normal differs from"
        + " only beyond some five scales: the gain comes from the one or two largest of 15"
        + " outliers, and where a seed draws none far out there is little of it.";
  }

  @Override
  public Map<String, Double> run(long seed, Scale scale) {
    Torch.start();
    Map<String, Double> figures = new LinkedHashMap<>();
    try (PointerScope scope = new PointerScope();
        Rng rng = Rng.named(seed, "scale mixtures")) {
      int rows = scale.pick(150, 20);
      double least = Double.POSITIVE_INFINITY;
      double clean = 0;
      double same = 0;
      for (String name : List.of("diabetes", "synthetic")) {
        Table table = name.equals("diabetes") ? diabetes(rng, rows) : synthetic(rng, seed, rows);
        Twins twins = twins(table, rng, seed, scale);
        figures.put(name + " clean, GP", twins.gaussian[0]);
        figures.put(name + " clean, TP", twins.student[0]);
        figures.put(name + " outliers, GP", twins.gaussian[1]);
        figures.put(name + " outliers, TP", twins.student[1]);
        least = Math.min(least, twins.gaussian[1] - twins.student[1]);
        clean = Math.max(clean, Math.abs(twins.gaussian[0] - twins.student[0]));
        same = Math.max(same, twins.rmse);
      }
      figures.put("gain with outliers, least", least);
      figures.put(GAINED, least >= GAIN ? 1.0 : 0.0);
      figures.put(CLEAN, clean);
      figures.put(SAME, same);
      digits(rng, seed, scale, figures);
    }
    return figures;
  }

  /** Inputs and targets, the first half to train on. */
  private record Table(Tensor x, Tensor y) {}

  /** NLL on clean targets and with outliers, and the RMSE difference with equal parameters. */
  @SuppressWarnings("ArrayRecordComponent")
  private record Twins(double[] gaussian, double[] student, double rmse) {}

  private static Table diabetes(Rng rng, int rows) {
    Tensor chosen = rng.permutation(442).narrow(0, 0, 2L * rows);
    return new Table(
        Diabetes.inputs().to(ScalarType.Double).index_select(0, chosen),
        Diabetes.targets().to(ScalarType.Double).index_select(0, chosen));
  }

  private static Table synthetic(Rng rng, long seed, int rows) {
    Tensor x = rng.normal(ScalarType.Double, 2L * rows, 3);
    Tensor clean =
        x.select(1, 0)
            .mul(new Scalar(2.0))
            .sin()
            .add(x.select(1, 1).mul(x.select(1, 2)).div(new Scalar(2.0)));
    return new Table(x, clean.add(studentT(rng, seed, 2 * rows, "noise").mul(new Scalar(NOISE))));
  }

  /** Draws of 2 degrees of freedom: a normal with an inverse gamma variance. */
  private static Tensor studentT(Rng rng, long seed, int count, String purpose) {
    Tensor scales = FiniteNetworks.inverseGamma(1, 1, count, Rng.derive(seed, purpose));
    return rng.normal(ScalarType.Double, count).mul(scales.sqrt());
  }

  private static Twins twins(Table table, Rng rng, long seed, Scale scale) {
    long n = table.y.numel() / 2;
    Tensor x = table.x.narrow(0, 0, n);
    Tensor y = table.y.narrow(0, 0, n);
    double mean = y.mean().item_double();
    double std = Math.sqrt(y.sub(new Scalar(mean)).square().mean().item_double());
    Tensor testX = table.x.narrow(0, n, n);
    Tensor clean = table.y.narrow(0, n, n).sub(new Scalar(mean)).div(new Scalar(std));
    Tensor outliers = clean.clone();
    int some = (int) Math.max(1, n / 10);
    outliers.narrow(0, 0, some).add_(studentT(rng, seed, some, "outliers").mul(new Scalar(2.0)));
    Tensor standard = y.sub(new Scalar(mean)).div(new Scalar(std));
    double[][] nll = new double[2][];
    double[] rmse = new double[2];
    for (int i = 0; i < 2; i++) {
      String process = i == 0 ? "GAUSSIAN" : "STUDENT_T";
      try (ScaleMixtureRegression fitted = model(process, true, seed, scale);
          ScaleMixtureRegression fixed = model(process, false, seed, scale)) {
        fitted.fit(x, standard);
        fixed.fit(x, standard);
        Prediction predicted = fitted.predict(testX);
        nll[i] = new double[] {predicted.nll(clean), predicted.nll(outliers)};
        rmse[i] = fixed.predict(testX).rmse(clean);
      }
    }
    return new Twins(nll[0], nll[1], Math.abs(rmse[0] - rmse[1]));
  }

  private static ScaleMixtureRegression model(String process, boolean fit, long seed, Scale scale) {
    Map<String, Object> changes = new HashMap<>();
    changes.put("process", process);
    changes.put("hiddenLayers", 2);
    changes.put("fit", fit);
    changes.put("optimiser", "LBFGS");
    changes.put("lbfgsIterations", scale.pick(25, 2));
    changes.put("seed", seed);
    return Methods.create(ScaleMixtureRegression.class, "nngp-scale-mixtures", changes);
  }

  private static void digits(Rng rng, long seed, Scale scale, Map<String, Double> figures) {
    try (TensorDataset images = Digits.images()) {
      int train = scale.pick(500, 40);
      int test = scale.pick(500, 40);
      Tensor order = rng.permutation(images.size());
      Tensor x = images.inputs().index_select(0, order.narrow(0, 0, train));
      Tensor labels = Tensors.labels(images.labels());
      Tensor y = labels.index_select(0, order.narrow(0, 0, train));
      Tensor rest = order.narrow(0, train, test);
      Tensor clean = images.inputs().index_select(0, rest);
      Tensor noisy = clean.add(rng.normal(clean.shape()).mul(new Scalar(NOISE)));
      Tensor truth = labels.index_select(0, rest);
      for (String process : List.of("GAUSSIAN", "STUDENT_T")) {
        Map<String, Object> changes = new HashMap<>();
        changes.put("process", process);
        changes.put("network", "CNN");
        changes.put("hiddenLayers", 2);
        changes.put("inducing", scale.pick(60, 12));
        changes.put("epochs", scale.pick(10, 1));
        changes.put("samples", scale.pick(100, 5));
        changes.put("testSamples", scale.pick(10_000, 50));
        changes.put("seed", seed);
        try (ScaleMixtureClassification model =
            Methods.create(ScaleMixtureClassification.class, "svtp", changes)) {
          model.fit(x, y, 10);
          String name = process.equals("GAUSSIAN") ? "SVGP" : "SVTP";
          figures.put("digits NLL, " + name, nll(model, clean, truth));
          figures.put("noisy digits NLL, " + name, nll(model, noisy, truth));
        }
      }
    }
  }

  private static double nll(ScaleMixtureClassification model, Tensor x, Tensor truth) {
    return -model.probabilities(x).gather(1, truth.unsqueeze(1)).log().mean().item_double();
  }
}
