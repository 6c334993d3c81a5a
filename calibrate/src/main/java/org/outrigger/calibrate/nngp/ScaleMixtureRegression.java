package org.outrigger.calibrate.nngp;

import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.function.ToDoubleFunction;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;
import org.outrigger.calibrate.nngp.NngpKernel.Activation;
import org.outrigger.calibrate.nngp.NngpKernel.Network;
import org.outrigger.calibrate.nngp.Posterior.Solver;
import org.outrigger.calibrate.nngp.ScaleMixture.Process;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.State;
import org.outrigger.core.io.Stateful;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Method;
import org.outrigger.core.method.Methods;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;
import org.outrigger.core.torch.Tensors;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Regression with an infinitely wide network whose last layer has a random scale: {@code f | s ~
 * GP(0, s K)}. With an inverse gamma prior of s the predictions are Student-t: the mean of the
 * Gaussian process, and a scale that grows with {@code q = y^T K_n^-1 y}, so that outliers among
 * the targets widen it. Lee et al., Scale Mixtures of Neural Network Gaussian Processes, ICLR 2022.
 *
 * <p>Hyper-parameters are fitted by the marginal likelihood unless {@code fit} is off. Exact
 * inference takes memory of the square of the rows and time of their cube; {@code solver=CG} gives
 * the same answer without the matrix, {@code solver=NYSTROM} an approximate one through landmarks.
 *
 * <p>Any number of threads may predict at once; fitting, restoring and closing need exclusive
 * access.
 */
@Card(
    slug = "nngp-scale-mixtures",
    name = "NNGP scale mixtures",
    summary = "Regression by an infinitely wide network with heavy-tailed, exact intervals.",
    paper = "Lee et al. Scale Mixtures of Neural Network Gaussian Processes. ICLR 2022",
    year = 2022,
    room = Room.CALIBRATE,
    needs = {Need.INPUTS},
    state = "hyper-parameters, training inputs, Cholesky factor")
public final class ScaleMixtureRegression implements Method, Stateful, AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(ScaleMixtureRegression.class);
  private static final String TYPE = "process/nngp-scale-mixtures";
  private static final double SMALLEST_STD = 1e-12;

  /** How hyper-parameters are fitted. */
  public enum Optimiser {
    /** L-BFGS up to {@code lbfgsRows} rows, Adam beyond. */
    AUTO,
    LBFGS,
    ADAM
  }

  /**
   * @param process the prior of the scale: GAUSSIAN (none), STUDENT_T (inverse gamma) or BURR
   * @param network MLP or RESNET for rows, CNN for images
   * @param activation RELU or ERF
   * @param hiddenLayers L, 1 or more
   * @param wStd s_w, above 0; where the fit starts, or what is used without it, as all up to burrK
   * @param bStd s_b, 0 or more
   * @param lastWStd s_last, above 0; not fitted with STUDENT_T, where beta does the same
   * @param eps variance of the noise on targets of variance 1, above 0
   * @param alpha a of the inverse gamma prior, above 0; fitted between e^-4 and e^3
   * @param beta b of it, above 0
   * @param burrC c of the Burr XII prior, above 0
   * @param burrK k of it, above 0
   * @param burrDraws scales drawn from it, 1 or more
   * @param noisy whether predictions are of noisy targets, or of the function below them
   * @param standardise whether the columns of rows get mean 0 and deviation 1 first
   * @param fit whether hyper-parameters are fitted
   * @param optimiser how
   * @param lbfgsRows the most rows that AUTO gives to L-BFGS
   * @param lbfgsIterations of L-BFGS, 1 or more
   * @param rate the first learning rate of Adam, above 0
   * @param steps of Adam at most, 1 or more
   * @param checkEvery Adam's steps between looks at validation rows, 1 or more
   * @param validation the share of rows that Adam is watched on, in [0, 0.9]; none below 10 rows
   * @param fitRows hyper-parameters are fitted on at most so many rows, drawn at random, 2 or more
   * @param solver EXACT, CG or NYSTROM
   * @param landmarks rows that NYSTROM looks through and that precondition CG, 1 or more
   * @param tolerance relative residual of CG, in (0, 1)
   * @param cgIterations of CG at most, 1 or more
   * @param memoryMegabytes what matrices may take, 1 or more
   * @param seed of draws, validation rows and landmarks
   */
  public record Settings(
      Process process,
      Network network,
      Activation activation,
      int hiddenLayers,
      double wStd,
      double bStd,
      double lastWStd,
      double eps,
      double alpha,
      double beta,
      double burrC,
      double burrK,
      int burrDraws,
      boolean noisy,
      boolean standardise,
      boolean fit,
      Optimiser optimiser,
      int lbfgsRows,
      int lbfgsIterations,
      double rate,
      int steps,
      int checkEvery,
      double validation,
      int fitRows,
      Solver solver,
      int landmarks,
      double tolerance,
      int cgIterations,
      long memoryMegabytes,
      long seed) {
    public Settings {
      new NngpKernel(network, activation, hiddenLayers);
      new HyperParameters(wStd, bStd, lastWStd, eps, alpha, beta, burrC, burrK);
      HyperParameter.atLeast("burrDraws", burrDraws, 1);
      HyperParameter.atLeast("lbfgsRows", lbfgsRows, 0);
      HyperParameter.atLeast("lbfgsIterations", lbfgsIterations, 1);
      HyperParameter.positive("rate", rate);
      HyperParameter.atLeast("steps", steps, 1);
      HyperParameter.atLeast("checkEvery", checkEvery, 1);
      HyperParameter.between("validation", validation, 0, 0.9);
      HyperParameter.atLeast("fitRows", fitRows, 2);
      HyperParameter.atLeast("landmarks", landmarks, 1);
      HyperParameter.inside("tolerance", tolerance, 0, 1);
      HyperParameter.atLeast("cgIterations", cgIterations, 1);
      HyperParameter.atLeast("memoryMegabytes", memoryMegabytes, 1);
    }

    public static Settings defaults() {
      return new Settings(
          Process.STUDENT_T,
          Network.MLP,
          Activation.RELU,
          4,
          1.4,
          0.3,
          1,
          0.1,
          2,
          2,
          2,
          2,
          1000,
          true,
          true,
          true,
          Optimiser.AUTO,
          2000,
          25,
          1e-2,
          30_000,
          500,
          0.1,
          2000,
          Solver.EXACT,
          500,
          1e-8,
          1000,
          2048,
          0);
    }

    /** The kernel. */
    public NngpKernel kernel() {
      return new NngpKernel(network, activation, hiddenLayers);
    }

    /** The hyper-parameters that a fit starts from. */
    public HyperParameters hyperParameters() {
      return new HyperParameters(wStd, bStd, lastWStd, eps, alpha, beta, burrC, burrK);
    }

    Posterior.Cg cg() {
      return new Posterior.Cg(landmarks, tolerance, cgIterations, seed);
    }
  }

  private volatile Settings settings;
  private volatile @Nullable FittedRegression fitted;

  public ScaleMixtureRegression() {
    this(Settings.defaults());
  }

  public ScaleMixtureRegression(Settings settings) {
    this.settings = settings;
  }

  @Override
  public Settings settings() {
    return settings;
  }

  /** Whether it can predict. */
  public boolean fitted() {
    return fitted != null;
  }

  /**
   * What matrices of so many training rows take while it is fitted, in bytes: three of the rows
   * that hyper-parameters are fitted on, and what the solver holds.
   */
  public static long memory(long rows, Settings settings) {
    long fitted = settings.fit ? Math.min(rows, settings.fitRows) : 0;
    long held =
        settings.solver == Solver.EXACT
            ? rows * rows
            : Math.min(rows, settings.landmarks)
                * (2 * rows + 2 * Math.min(rows, settings.landmarks));
    return 8 * Math.max(3 * fitted * fitted, held);
  }

  /**
   * Fits hyper-parameters and conditions the process on the rows.
   *
   * @param inputs [N, D], or images [N, C, H, W] for a CNN
   * @param targets [N]
   * @throws OutriggerException on bad input, or where memory would not suffice; nothing has changed
   *     then
   */
  public void fit(Tensor inputs, Tensor targets) {
    fit(inputs, targets, (done, most, loss) -> {});
  }

  /** Hears of the progress of a fit: steps done, steps at most, the loss. */
  @FunctionalInterface
  public interface Listener {
    void step(int done, int most, double loss);
  }

  /** As {@link #fit(Tensor, Tensor)}, telling of its progress. */
  public void fit(Tensor inputs, Tensor targets, Listener listener) {
    check(inputs);
    Shapes.check().size("N", inputs.size(0), "the inputs").tensor("The targets", targets, "N");
    Shapes.finite("The targets", targets);
    affordable(inputs.size(0));
    replace(settings, Scopes.scoped(() -> learn(inputs, targets, listener)));
  }

  private void check(Tensor inputs) {
    if (inputs.dim() < 2) {
      throw new OutriggerException(
          "The inputs have "
              + inputs.dim()
              + " dimensions, but rows [N, D] or images [N, C, H, W] are needed.");
    }
    Shapes.notEmpty("The inputs", inputs);
    Shapes.finite("The inputs", inputs);
  }

  private void affordable(long rows) {
    double megabytes = memory(rows, settings) / 1e6;
    LOG.debug("{} rows take {} MB in matrices.", rows, Math.round(megabytes));
    if (megabytes > settings.memoryMegabytes) {
      throw new OutriggerException(
          String.format(
              Locale.ROOT,
              "%,d training rows take %,.0f MB in matrices, but memoryMegabytes is %,d: raise it, set"
                  + " solver=CG (the same answer, slower) or solver=NYSTROM (approximate), or take"
                  + " fewer rows.",
              rows,
              megabytes,
              settings.memoryMegabytes));
    }
  }

  private FittedRegression learn(Tensor inputs, Tensor targets, Listener listener) {
    Tensor raw = targets.detach().to(ScalarType.Double);
    double mean = raw.mean().item_double();
    double std = Math.sqrt(raw.sub(Tensors.scalar(mean)).square().mean().item_double());
    if (!(std > SMALLEST_STD * Math.max(1e-300, Math.abs(mean)))) {
      throw new OutriggerException(
          "All targets are "
              + mean
              + ": there is nothing to learn. Check which column is the target.");
    }
    Tensor y = raw.sub(Tensors.scalar(mean)).div(Tensors.scalar(std));
    Tensor rows = inputs.detach();
    Columns columns =
        settings.standardise && rows.dim() == 2 ? Columns.of(rows) : Columns.none(rows);
    try {
      Tensor x = columns.apply(rows).contiguous();
      Tensor uniform = uniform();
      HyperParameters at = settings.hyperParameters();
      double logMarginal = Double.NaN;
      if (settings.fit) {
        MarginalFit learned = hyperParameters(x, y, uniform, listener);
        at = learned.at();
        logMarginal = learned.logMarginal();
      }
      return condition(x, y, columns, mean, std, at, logMarginal, uniform);
    } catch (RuntimeException e) {
      columns.close();
      throw e;
    }
  }

  private Tensor uniform() {
    try (Rng rng = Rng.named(settings.seed, "burr draws")) {
      return rng.uniform(
          ScalarType.Double, settings.process == Process.BURR ? settings.burrDraws : 0);
    }
  }

  private FittedRegression condition(
      Tensor x,
      Tensor y,
      Columns columns,
      double mean,
      double std,
      HyperParameters at,
      double logMarginal,
      Tensor uniform) {
    Posterior posterior =
        Posterior.of(
            settings.solver, new Posterior.Setting(settings.kernel(), at, x), y, settings.cg());
    double[] scales = {};
    double[] weights = {};
    if (settings.process == Process.BURR) {
      Tensor draws =
          ScaleMixture.burr(uniform, Tensors.scalar(at.burrC()), Tensors.scalar(at.burrK()));
      scales = Tensors.doubles(draws);
      weights =
          Tensors.doubles(ScaleMixture.weights(Tensors.scalar(posterior.q()), y.numel(), draws));
    }
    return new FittedRegression(
        Scopes.own(x), columns, mean, std, at, logMarginal, posterior, scales, weights);
  }

  private MarginalFit hyperParameters(Tensor x, Tensor y, Tensor uniform, Listener listener) {
    long n = x.size(0);
    long used = Math.min(n, settings.fitRows);
    boolean lbfgs =
        settings.optimiser == Optimiser.LBFGS
            || (settings.optimiser == Optimiser.AUTO && used <= settings.lbfgsRows);
    long held = lbfgs || used < 10 ? 0 : Math.round(settings.validation * used);
    Tensor order;
    try (Rng rng = Rng.named(settings.seed, "fitted rows")) {
      order = rng.permutation(n);
    }
    boolean all = used == n && held == 0;
    Tensor chosen = order.narrow(0, 0, used - held);
    Tensor fitX = all ? x : x.index_select(0, chosen);
    Tensor fitY = all ? y : y.index_select(0, chosen);
    MarginalLikelihood likelihood =
        new MarginalLikelihood(
            settings.kernel(), settings.process, fitX, fitY, uniform, settings.hyperParameters());
    if (lbfgs) {
      return MarginalFit.lbfgs(likelihood, settings.lbfgsIterations, listener::step);
    }
    ToDoubleFunction<HyperParameters> watched = null;
    if (held > 0) {
      Tensor rest = order.narrow(0, used - held, held);
      watched =
          at ->
              validation(fitX, fitY, x.index_select(0, rest), y.index_select(0, rest), at, uniform);
    }
    return MarginalFit.adam(
        likelihood, settings.rate, settings.steps, settings.checkEvery, watched, listener::step);
  }

  private double validation(
      Tensor x, Tensor y, Tensor testX, Tensor testY, HyperParameters at, Tensor uniform) {
    return Scopes.scoped(
        () -> {
          try (FittedRegression now =
              condition(x, y, Columns.none(x), 0, 1, at, Double.NaN, uniform)) {
            return now.predict(settings.kernel(), settings.process, true, testX).nll(testY);
          }
        });
  }

  private void replace(Settings with, FittedRegression next) {
    FittedRegression old = fitted;
    settings = with;
    fitted = next;
    if (old != null) {
      old.close();
    }
  }

  private FittedRegression required() {
    FittedRegression now = fitted;
    if (now == null) {
      throw new OutriggerException(
          card().name() + " has not been fitted: call fit first, or restore a saved one.");
    }
    return now;
  }

  /** The hyper-parameters that predictions use. */
  public HyperParameters hyperParameters() {
    return required().at();
  }

  /** The log marginal likelihood per training target, in nats; NaN if nothing was fitted. */
  public double logMarginal() {
    return required().logMarginal();
  }

  /** How many rows it was fitted on. */
  public long rows() {
    return required().rows();
  }

  /**
   * Predicts.
   *
   * @param inputs [N, D] or [N, C, H, W], shaped as those of the fit
   * @return a distribution for each row, in the targets' units; its tensors belong to the enclosing
   *     scope or to the caller, who may close it
   */
  public Prediction predict(Tensor inputs) {
    FittedRegression now = required();
    check(inputs);
    long[] wanted = now.x().shape();
    String[] shape = new String[wanted.length];
    shape[0] = "N";
    for (int i = 1; i < shape.length; i++) {
      shape[i] = Long.toString(wanted[i]);
    }
    Shapes.check().tensor("The inputs", inputs, shape);
    return now.predict(settings.kernel(), settings.process, settings.noisy, inputs.detach());
  }

  @Override
  public State state() {
    FittedRegression now = required();
    Map<String, Object> values = new LinkedHashMap<>(now.values());
    values.put("settings", Methods.values(settings));
    return new State(TYPE, 1, values, now.tensors());
  }

  @Override
  public void restore(State state) {
    state.expect(TYPE, 1);
    Settings saved =
        Methods.create(ScaleMixtureRegression.class, card().slug(), state.map("settings"))
            .settings();
    replace(saved, SavedRegression.read(state, saved));
  }

  @Override
  public void close() {
    FittedRegression old = fitted;
    fitted = null;
    if (old != null) {
      old.close();
    }
  }
}
