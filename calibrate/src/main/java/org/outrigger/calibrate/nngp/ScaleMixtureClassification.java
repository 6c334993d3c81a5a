package org.outrigger.calibrate.nngp;

import java.util.LinkedHashMap;
import java.util.Map;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;
import org.outrigger.calibrate.nngp.NngpKernel.Activation;
import org.outrigger.calibrate.nngp.NngpKernel.Network;
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

/**
 * Classification with an infinitely wide network whose last layer has a random scale, by the sparse
 * variational t process ({@link Svtp}); its Gaussian twin with {@code process=GAUSSIAN}. Inputs are
 * rows, such as the penultimate features of a network, or images. Lee et al., Scale Mixtures of
 * Neural Network Gaussian Processes, ICLR 2022.
 *
 * <p>Any number of threads may ask for probabilities at once; fitting, restoring and closing need
 * exclusive access.
 */
@Card(
    slug = "svtp",
    name = "SVTP",
    summary = "Classification by an infinitely wide network with heavy-tailed class values.",
    paper = "Lee et al. Scale Mixtures of Neural Network Gaussian Processes. ICLR 2022",
    year = 2022,
    room = Room.CALIBRATE,
    needs = {Need.INPUTS, Need.LABELS},
    state = "hyper-parameters, inducing inputs, means and variances of each class at them")
public final class ScaleMixtureClassification implements Method, Stateful, AutoCloseable {
  private static final String TYPE = "process/svtp";

  /**
   * @param process STUDENT_T, or GAUSSIAN for its twin SVGP
   * @param network MLP or RESNET for rows, CNN for images
   * @param activation RELU or ERF
   * @param hiddenLayers L, 1 or more
   * @param wStd s_w at the start, above 0
   * @param bStd s_b at the start, 0 or more
   * @param lastWStd s_last, above 0; learned with GAUSSIAN alone
   * @param eps added to the diagonals of kernel matrices, above 0
   * @param alpha a of q(s) at the start, above 0; stays between e^-4 and e^3
   * @param beta b of q(s) at the start, above 0
   * @param alphaPrior a of the prior of s, above 0
   * @param betaPrior b of the prior of s, above 0
   * @param inducing inducing inputs, 1 or more; all rows if there are fewer
   * @param standardise whether the columns of rows get mean 0 and deviation 1 first
   * @param batchSize 1 or more
   * @param epochs at most, 1 or more
   * @param rate the first learning rate of Adam, above 0
   * @param samples of a step, 1 or more
   * @param validationSamples of a look at the validation rows, 1 or more
   * @param testSamples of a prediction, 1 or more
   * @param validation the share of rows that is watched, in [0, 0.9]; none below 20 rows
   * @param seed of everything that is drawn
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
      double alphaPrior,
      double betaPrior,
      int inducing,
      boolean standardise,
      int batchSize,
      int epochs,
      double rate,
      int samples,
      int validationSamples,
      int testSamples,
      double validation,
      long seed) {
    public Settings {
      HyperParameter.require(
          process != Process.BURR, "process", process, "STUDENT_T or GAUSSIAN for classes");
      new NngpKernel(network, activation, hiddenLayers);
      new HyperParameters(wStd, bStd, lastWStd, eps, alpha, beta, 1, 1);
      HyperParameter.positive("alphaPrior", alphaPrior);
      HyperParameter.positive("betaPrior", betaPrior);
      HyperParameter.atLeast("inducing", inducing, 1);
      HyperParameter.atLeast("batchSize", batchSize, 1);
      HyperParameter.atLeast("epochs", epochs, 1);
      HyperParameter.positive("rate", rate);
      HyperParameter.atLeast("samples", samples, 1);
      HyperParameter.atLeast("validationSamples", validationSamples, 1);
      HyperParameter.atLeast("testSamples", testSamples, 1);
      HyperParameter.between("validation", validation, 0, 0.9);
    }

    public static Settings defaults() {
      return new Settings(
          Process.STUDENT_T,
          Network.MLP,
          Activation.RELU,
          4,
          1,
          1e-8,
          1,
          1e-6,
          2,
          2,
          2,
          2,
          200,
          true,
          100,
          300,
          1e-2,
          100,
          1000,
          10_000,
          0.1,
          0);
    }

    /** The kernel. */
    public NngpKernel kernel() {
      return new NngpKernel(network, activation, hiddenLayers);
    }

    HyperParameters hyperParameters() {
      return new HyperParameters(wStd, bStd, lastWStd, eps, alpha, beta, 1, 1);
    }
  }

  private volatile Settings settings;
  private volatile @Nullable FittedClassification fitted;

  public ScaleMixtureClassification() {
    this(Settings.defaults());
  }

  public ScaleMixtureClassification(Settings settings) {
    this.settings = settings;
  }

  @Override
  public Settings settings() {
    return settings;
  }

  /** Whether it can be asked. */
  public boolean fitted() {
    return fitted != null;
  }

  /**
   * Learns.
   *
   * @param inputs [N, D], or images [N, C, H, W] for a CNN
   * @param labels int64 [N], in 0 .. classes-1
   * @param classes 2 or more
   * @throws OutriggerException on bad input; nothing has changed then
   */
  public void fit(Tensor inputs, Tensor labels, int classes) {
    fit(inputs, labels, classes, (done, most, loss) -> {});
  }

  /** As {@link #fit(Tensor, Tensor, int)}, telling after each epoch. */
  public void fit(
      Tensor inputs, Tensor labels, int classes, ScaleMixtureRegression.Listener listener) {
    if (classes < 2) {
      throw new OutriggerException("classes = " + classes + " is out of range: use 2 or more.");
    }
    check(inputs);
    Shapes.check().size("N", inputs.size(0), "the inputs").tensor("The labels", labels, "N");
    Shapes.labels("The labels", labels, classes, false);
    replace(settings, Scopes.scoped(() -> learn(inputs, labels, classes, listener)));
  }

  private static void check(Tensor inputs) {
    if (inputs.dim() < 2) {
      throw new OutriggerException(
          "The inputs have "
              + inputs.dim()
              + " dimensions, but rows [N, D] or images [N, C, H, W] are needed.");
    }
    Shapes.notEmpty("The inputs", inputs);
    Shapes.finite("The inputs", inputs);
  }

  private FittedClassification learn(
      Tensor inputs, Tensor labels, int classes, ScaleMixtureRegression.Listener listener) {
    Tensor rows = inputs.detach();
    long n = rows.size(0);
    long held = n < 20 ? 0 : Math.round(settings.validation * n);
    Tensor order;
    try (Rng rng = Rng.named(settings.seed, "validation rows")) {
      order = rng.permutation(n);
    }
    Columns columns =
        settings.standardise && rows.dim() == 2 ? Columns.of(rows) : Columns.none(rows);
    try {
      Tensor x = columns.apply(rows);
      Tensor training = order.narrow(0, held, n - held);
      Tensor watched = order.narrow(0, 0, held);
      try (SvtpTraining run =
          new SvtpTraining(
              settings, x.index_select(0, training), labels.index_select(0, training), classes)) {
        return run.run(
            columns,
            held == 0 ? null : x.index_select(0, watched),
            held == 0 ? null : labels.index_select(0, watched),
            listener);
      }
    } catch (RuntimeException e) {
      columns.close();
      throw e;
    }
  }

  private void replace(Settings with, FittedClassification next) {
    FittedClassification old = fitted;
    settings = with;
    fitted = next;
    if (old != null) {
      old.close();
    }
  }

  private FittedClassification required() {
    FittedClassification now = fitted;
    if (now == null) {
      throw new OutriggerException(
          card().name() + " has not been fitted: call fit first, or restore a saved one.");
    }
    return now;
  }

  /** The hyper-parameters that were learned. */
  public HyperParameters hyperParameters() {
    return required().at();
  }

  /** The number of classes. */
  public int classes() {
    return Math.toIntExact(required().mu().size(0));
  }

  /**
   * Class probabilities; a row's do not depend on its batch.
   *
   * @param inputs shaped as those of the fit
   * @return float64 [N, C], owned by the enclosing scope or the caller
   */
  public Tensor probabilities(Tensor inputs) {
    FittedClassification now = required();
    check(inputs);
    long[] wanted = now.z().shape();
    String[] shape = new String[wanted.length];
    shape[0] = "N";
    for (int i = 1; i < shape.length; i++) {
      shape[i] = Long.toString(wanted[i]);
    }
    Shapes.check().tensor("The inputs", inputs, shape);
    return now.probabilities(settings.kernel(), inputs.detach());
  }

  @Override
  public State state() {
    FittedClassification now = required();
    Map<String, Object> values = new LinkedHashMap<>();
    values.put("settings", Methods.values(settings));
    values.put("hyperParameters", now.at().values());
    return new State(TYPE, 1, values, now.tensors());
  }

  @Override
  public void restore(State state) {
    state.expect(TYPE, 1);
    Settings saved =
        Methods.create(ScaleMixtureClassification.class, card().slug(), state.map("settings"))
            .settings();
    boolean images = saved.network == Network.CNN;
    String[] rows = images ? new String[] {"I", "F", "H", "W"} : new String[] {"I", "D"};
    String[] input = images ? new String[] {"F", "H", "W"} : new String[] {"D"};
    Shapes shapes =
        Shapes.check()
            .tensor("The saved z", state.tensor("z"), rows)
            .tensor("The saved inputMean", state.tensor("inputMean"), input)
            .tensor("The saved inputDeviation", state.tensor("inputDeviation"), input)
            .tensor("The saved mu", state.tensor("mu"), "C", "I")
            .tensor("The saved v", state.tensor("v"), "C", "I")
            .tensor("The saved lower", state.tensor("lower"), "I", "I")
            .tensor("The saved normal", state.tensor("normal"), "S", "C", "1");
    if (saved.process == Process.STUDENT_T) {
      shapes.tensor("The saved chiSquared", state.tensor("chiSquared"), "S", "C");
    }
    state.tensors().forEach((name, tensor) -> Shapes.finite("The saved " + name, tensor));
    HyperParameters at = SavedRegression.hyperParameters(state.map("hyperParameters"));
    replace(saved, Scopes.scoped(() -> copy(state, saved, at)));
  }

  private static FittedClassification copy(State state, Settings saved, HyperParameters at) {
    return FittedClassification.owned(
        copy(state, "z"),
        Columns.owned(copy(state, "inputMean"), copy(state, "inputDeviation")),
        copy(state, "mu"),
        copy(state, "v"),
        copy(state, "lower"),
        copy(state, "normal"),
        saved.process == Process.STUDENT_T ? copy(state, "chiSquared") : null,
        at);
  }

  private static Tensor copy(State state, String name) {
    return state.tensor(name).detach().to(ScalarType.Double).clone();
  }

  @Override
  public void close() {
    FittedClassification old = fitted;
    fitted = null;
    if (old != null) {
      old.close();
    }
  }
}
