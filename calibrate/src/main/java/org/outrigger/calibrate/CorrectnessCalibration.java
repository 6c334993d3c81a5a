package org.outrigger.calibrate;

import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.Dataset;
import org.outrigger.core.io.State;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Methods;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.model.Model;
import org.outrigger.core.model.Output;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Correctness-aware calibration: each row has a temperature of its own, which a small network reads
 * off what the model says about changed views of the input, and which is trained to make the model
 * sure only where it is right. With {@code I} the k largest logits of the row and {@code z_v} the
 * logits of view v, {@code phi = [softmax(z_v)[I]]_v}, {@code T = clamp(W2 relu(W1 phi + b1) +
 * b2)}, {@code p = max softmax(z / T)}, and the loss is the weighted mean of {@code (p -
 * 1[right])^2}. The predicted class stays.
 *
 * <p>"Optimizing Calibration by Gaining Aware of Prediction Correctness", arXiv 2404.13016, 2024.
 *
 * <p>With {@link Weighting#BALANCED}, as in the authors' code, right and wrong rows count alike,
 * which makes for much better confidence under shift, and for too little of it on data like the
 * held-out ones where the model is mostly right; {@link Weighting#NONE}, the paper's text, is for
 * those. Three views of each input cost three more forward passes.
 *
 * <p>Images [N, C, H, W] are seen turned, without colour and jittered; those without three channels
 * are blurred in place of the second. Values are taken as the model takes them, of any range: on
 * standardised inputs a brighter view is farther from the mean image, and colours are those of the
 * standardised channels; what turning uncovers is 0. Rows [N, D] are seen with three draws of
 * normal noise relative to each column's spread. Other inputs need {@linkplain
 * #CorrectnessCalibration(Settings, List) views of your own}.
 */
@Card(
    slug = "correctness-calibration",
    name = "Correctness-aware calibration",
    summary = "A temperature for each input, from changed views of it; made for shifted inputs.",
    paper =
        "Optimizing Calibration by Gaining Aware of Prediction Correctness. arXiv 2404.13016, 2024",
    year = 2024,
    room = Room.CALIBRATE,
    needs = {Need.LOGITS, Need.LABELS, Need.INPUTS},
    state = "a small network, the views, the plain temperature")
public final class CorrectnessCalibration implements Calibrator {
  private static final Logger LOG = LoggerFactory.getLogger(CorrectnessCalibration.class);
  private static final String TYPE = "calibrator/correctness-calibration";
  private static final List<String> NETWORK = List.of("W1", "b1", "W2", "b2");
  private static final int FEWEST = 50;

  /** How rows count in the loss. */
  public enum Weighting {
    /** Right ones by the share of wrong ones, and the other way round. */
    BALANCED,
    /** All alike. */
    NONE
  }

  /**
   * @param k how many of the largest logits are looked at in each view, 1 or more, up to C
   * @param hidden width of the network, 1 or more
   * @param lowest temperature, above 0
   * @param highest temperature
   * @param weighting of right and wrong rows
   * @param lr Adam's learning rate, above 0
   * @param weightDecay 0 or more
   * @param steps of training on all rows at once, 1 or more; the best by a held-out part stays
   * @param heldOut the share of the rows of that part, in (0, 1)
   * @param rotation of the first view of images, in degrees, -180 to 180
   * @param blur sigma in pixels of the second view of images without three channels, above 0
   * @param jitter reach of the factors of brightness, contrast and saturation, in [0, 1]
   * @param noise of the views of table rows, in standard deviations of the columns, above 0
   * @param seed of weights, held-out part, jitter and noise
   */
  public record Settings(
      int k,
      int hidden,
      double lowest,
      double highest,
      Weighting weighting,
      double lr,
      double weightDecay,
      int steps,
      double heldOut,
      double rotation,
      double blur,
      double jitter,
      double noise,
      long seed) {
    public Settings {
      HyperParameter.atLeast("k", k, 1);
      HyperParameter.atLeast("hidden", hidden, 1);
      HyperParameter.positive("lowest", lowest);
      HyperParameter.positive("highest", highest);
      HyperParameter.require(highest > lowest, "highest", highest, "above lowest = " + lowest);
      Objects.requireNonNull(weighting);
      HyperParameter.positive("lr", lr);
      HyperParameter.notNegative("weightDecay", weightDecay);
      HyperParameter.atLeast("steps", steps, 1);
      HyperParameter.inside("heldOut", heldOut, 0, 1);
      HyperParameter.between("rotation", rotation, -180, 180);
      HyperParameter.positive("blur", blur);
      HyperParameter.between("jitter", jitter, 0, 1);
      HyperParameter.positive("noise", noise);
    }

    public static Settings defaults() {
      return new Settings(
          4, 5, 0.1, 10, Weighting.BALANCED, 0.01, 0.01, 400, 0.2, 15, 0.7, 0.4, 0.1, 0);
    }
  }

  private final List<View> own;
  private volatile Settings settings;
  private volatile @Nullable Fit fit;

  /** What was learned; owns its tensors. */
  @SuppressWarnings("ArrayRecordComponent")
  private record Fit(
      Map<String, Tensor> network,
      double scale,
      double temperature,
      long classes,
      long[] shape,
      @Nullable Tensor spread,
      List<View> views) {
    void release() {
      network.values().forEach(Scopes::release);
      Scopes.release(spread);
    }
  }

  public CorrectnessCalibration() {
    this(Settings.defaults());
  }

  public CorrectnessCalibration(Settings settings) {
    this(settings, List.of());
  }

  /**
   * With views of your own.
   *
   * @param views in order; empty for the usual ones
   */
  public CorrectnessCalibration(Settings settings, List<View> views) {
    this.settings = Objects.requireNonNull(settings);
    this.own = List.copyOf(views);
  }

  // -- fitting

  @Override
  public void fit(Tensor logits, Tensor labels) {
    throw new OutriggerException(
        "Correctness-aware calibration looks at the inputs: call fit with the model and the data as"
            + " well, or use temperature scaling, which needs logits alone.");
  }

  @Override
  public void fit(Model model, Dataset data, Tensor logits, Tensor labels) {
    Shapes.check().tensor("logits", logits, "N", "C").tensor("labels", labels, "N");
    Shapes.notEmpty("logits", logits);
    Shapes.finite("logits", logits);
    Shapes.labels("labels", labels, logits.size(1), false);
    Settings now = settings;
    long n = logits.size(0);
    long classes = logits.size(1);
    if (classes < now.k) {
      throw new OutriggerException(
          "k = "
              + now.k
              + " is more than the "
              + classes
              + " classes: set k to "
              + classes
              + " or less.");
    }
    if (n < FEWEST) {
      throw new OutriggerException(
          "Correctness-aware calibration needs "
              + FEWEST
              + " held-out rows or more, but there are "
              + n
              + ": give more, or use temperature scaling.");
    }
    Scopes.run(
        () -> {
          if (labels.min().item_long() == labels.max().item_long()) {
            throw new OutriggerException(
                "All held-out rows are of class "
                    + labels.min().item_long()
                    + ": give rows of every class.");
          }
          Tensor z = logits.detach().to(ScalarType.Double);
          TemperatureScaling.Settings bounds = TemperatureScaling.Settings.defaults();
          double plain = TemperatureScaling.fit(z, labels, bounds.lowest(), bounds.highest());
          replace(learn(now, model, data, z, labels, plain), now);
        });
  }

  private Fit learn(
      Settings now, Model model, Dataset data, Tensor z, Tensor labels, double plain) {
    // A plain temperature that the network could not give is divided out beforehand.
    double scale = plain < now.lowest || plain > now.highest ? plain : 1;
    Tensor correct = AdaptiveTemperature.correct(z, labels);
    double right = correct.mean().item_double();
    long[] shape = data.inputShape();
    Tensor spread = own.isEmpty() && shape.length == 1 ? ViewedRows.spread(data, z.size(0)) : null;
    List<View> views = views(now, shape, spread);
    Map<String, Tensor> network;
    if (right == 0 || right == 1) {
      LOG.warn(
          "All held-out predictions are {}, so that nothing tells right from wrong: every row gets"
              + " the plain temperature {}. Give more held-out data.",
          right == 1 ? "right" : "wrong",
          plain);
      network = CorrectnessTraining.constant(now, views.size(), plain / scale);
    } else {
      Tensor scaled = z.div(new Scalar(scale));
      Tensor phi = ViewedRows.collect(now.k, model, data, z, scale, views);
      network = CorrectnessTraining.train(now, scaled, phi, correct, plain / scale);
    }
    return owned(now, network, scale, plain, z.size(1), shape, spread);
  }

  /** What was learned, independent of every scope. */
  private Fit owned(
      Settings with,
      Map<String, Tensor> network,
      double scale,
      double temperature,
      long classes,
      long[] shape,
      @Nullable Tensor spread) {
    Tensor kept = spread == null ? null : Scopes.own(spread.detach().clone());
    Map<String, Tensor> owned = new LinkedHashMap<>();
    NETWORK.forEach(
        name ->
            owned.put(
                name, Scopes.own(Objects.requireNonNull(network.get(name)).detach().clone())));
    return new Fit(owned, scale, temperature, classes, shape, kept, views(with, shape, kept));
  }

  private List<View> views(Settings now, long[] shape, @Nullable Tensor spread) {
    if (!own.isEmpty()) {
      return own;
    }
    if (shape.length == 3) {
      return Views.ofImages(shape[0], now.rotation, now.jitter, now.blur, now.seed);
    }
    if (shape.length == 1 && spread != null) {
      return Views.ofRows(spread, now.noise, now.seed);
    }
    throw new OutriggerException(
        "There are no usual views of inputs of shape "
            + Arrays.toString(shape)
            + ": give views of your own to the constructor.");
  }

  // -- use

  @Override
  public boolean keepsRanking() {
    return true;
  }

  @Override
  public boolean fitted() {
    return fit != null;
  }

  @Override
  public Tensor probabilities(Tensor logits) {
    throw new OutriggerException(
        "Correctness-aware calibration looks at the inputs: call probabilities with the model, the"
            + " inputs and the output.");
  }

  @Override
  public Tensor probabilities(Model model, Tensor inputs, Output output) {
    return Scopes.noGrad(
        () -> {
          Tensor t = temperatures(model, inputs, output);
          Tensor z = output.logits();
          return torch.softmax(z.to(ScalarType.Double).div(t.unsqueeze(1)), 1).to(z.scalar_type());
        });
  }

  /**
   * The temperature of each row.
   *
   * @param inputs [N, ...]
   * @param output what {@code model} gave for {@code inputs}
   * @return float64 [N], above 0
   */
  public Tensor temperatures(Model model, Tensor inputs, Output output) {
    Fit now = required();
    Settings with = settings;
    return Scopes.noGrad(
        () -> {
          Shapes.check()
              .size("C", now.classes, "the data that the calibrator was fitted on")
              .tensor("logits", output.logits(), "N", "C");
          Shapes.notEmpty("logits", output.logits());
          Shapes.finite("logits", output.logits());
          long[] shape = inputs.shape();
          if (shape[0] != output.size()
              || !Arrays.equals(Arrays.copyOfRange(shape, 1, shape.length), now.shape)) {
            throw new OutriggerException(
                "The inputs have shape "
                    + Arrays.toString(shape)
                    + ", but "
                    + output.size()
                    + " of shape "
                    + Arrays.toString(now.shape)
                    + " are needed.");
          }
          Tensor z = output.logits().to(ScalarType.Double);
          Tensor phi = ViewedRows.seen(with.k, model, inputs, z, now.scale, now.views);
          return network(now, with, phi).mul(new Scalar(now.scale));
        });
  }

  private static Tensor network(Fit now, Settings with, Tensor phi) {
    Tensor[] parts =
        NETWORK.stream()
            .map(name -> Objects.requireNonNull(now.network.get(name)))
            .toArray(Tensor[]::new);
    return AdaptiveTemperature.temperatures(
        phi, parts[0], parts[1], parts[2], parts[3], with.lowest, with.highest);
  }

  /** The temperature of plain temperature scaling, which the network started from. */
  public double plainTemperature() {
    return required().temperature;
  }

  /** The names of the views, in order. */
  public List<String> viewNames() {
    return required().views.stream().map(View::name).toList();
  }

  private Fit required() {
    Fit now = fit;
    if (now == null) {
      throw new OutriggerException(
          "Correctness-aware calibration is not fitted yet: call fit with the model and the data"
              + " first.");
    }
    return now;
  }

  private void replace(Fit next, Settings with) {
    Fit old = fit;
    settings = with;
    fit = next;
    if (old != null) {
      old.release();
    }
  }

  // -- state

  @Override
  public Settings settings() {
    return settings;
  }

  @Override
  public State state() {
    Fit now = required();
    Map<String, Object> plain = new LinkedHashMap<>();
    Methods.values(settings)
        .forEach((name, value) -> plain.put(name, value instanceof Enum<?> e ? e.name() : value));
    Map<String, Tensor> tensors = new LinkedHashMap<>(now.network);
    if (now.spread != null) {
      tensors.put("spread", now.spread);
    }
    return new State(
        TYPE,
        1,
        Map.of(
            "settings",
            plain,
            "scale",
            now.scale,
            "temperature",
            now.temperature,
            "classes",
            now.classes,
            "shape",
            Arrays.stream(now.shape).boxed().toList(),
            "views",
            viewNames()),
        tensors);
  }

  @Override
  public void restore(State state) {
    state.expect(TYPE, 1);
    Settings saved =
        Methods.create(CorrectnessCalibration.class, card().slug(), state.map("settings"))
            .settings();
    if (!(state.values().get("shape") instanceof List<?> sizes)
        || !(state.values().get("views") instanceof List<?> names)
        || names.isEmpty()) {
      throw new OutriggerException("The saved calibrator lacks its views: the file is damaged.");
    }
    long[] shape =
        sizes.stream().mapToLong(size -> size instanceof Number n ? n.longValue() : -1).toArray();
    double scale = state.number("scale");
    double temperature = state.number("temperature");
    if (!(scale > 0 && temperature > 0)) {
      throw new OutriggerException("The saved temperatures are not positive: the file is damaged.");
    }
    Scopes.run(
        () -> {
          Shapes shapes =
              Shapes.check()
                  .size("H", saved.hidden, "the saved settings")
                  .size("F", (long) saved.k * names.size(), "the saved settings and views")
                  .tensor("The saved W1", state.tensor("W1"), "H", "F")
                  .tensor("The saved b1", state.tensor("b1"), "H")
                  .tensor("The saved W2", state.tensor("W2"), "1", "H")
                  .tensor("The saved b2", state.tensor("b2"), "1");
          Tensor spread = state.tensors().get("spread");
          if (spread != null) {
            shapes
                .size("D", shape.length == 1 ? shape[0] : -1, "the saved shape")
                .tensor("The saved spread", spread, "D");
          }
          state.tensors().forEach(Shapes::finite);
          List<View> views = views(saved, shape, spread);
          List<String> mine = views.stream().map(View::name).toList();
          if (!mine.equals(names)) {
            throw new OutriggerException(
                "The saved calibrator looks through the views "
                    + names
                    + ", but this one has "
                    + mine
                    + ": make it with the same views, in the same order.");
          }
          long classes = (long) state.number("classes");
          replace(owned(saved, state.tensors(), scale, temperature, classes, shape, spread), saved);
        });
  }

  @Override
  public void close() {
    Fit old = fit;
    fit = null;
    if (old != null) {
      old.release();
    }
  }
}
