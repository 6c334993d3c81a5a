package org.outrigger.detect;

import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.UnaryOperator;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.State;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Methods;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.model.Capabilities.Differentiable;
import org.outrigger.core.model.Model;
import org.outrigger.core.model.Output;
import org.outrigger.core.model.Outputs;
import org.outrigger.core.torch.Gradients;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;
import org.outrigger.core.torch.Tensors;
import org.outrigger.core.torch.Torch;

/**
 * ODIN: nudge the input towards its predicted class and see how sure the softened prediction
 * becomes; known inputs gain more. {@code x' = x - noise sign(grad CE(f(x)/T, y)) / std}, score
 * {@code -max softmax(f(x')/T)}, y the predicted class.
 *
 * <p>Liang, Li, Srikant, "Enhancing the Reliability of Out-of-Distribution Image Detection in
 * Neural Networks", ICLR 2018. A gradient of exactly 0 counts as positive.
 */
@Card(
    slug = "odin",
    name = "ODIN",
    summary = "Softened confidence after a small step of the input; costs a backward pass.",
    paper =
        "Liang, Li, Srikant. Enhancing the Reliability of Out-of-Distribution Image Detection in"
            + " Neural Networks. ICLR 2018",
    year = 2018,
    room = Room.DETECT,
    needs = {Need.LOGITS, Need.INPUT_GRADIENTS})
public final class Odin implements Detector {
  /**
   * @param temperature T, above 0
   * @param noise the size of the step in units of the original input, 0 or more
   * @param inputStd the standard deviation that each input channel was divided by when it was
   *     normalised; empty for 1
   */
  public record Settings(double temperature, double noise, List<Double> inputStd) {
    public Settings {
      HyperParameter.positive("temperature", temperature);
      HyperParameter.notNegative("noise", noise);
      inputStd = List.copyOf(inputStd);
      inputStd.forEach(std -> HyperParameter.positive("inputStd", std));
    }

    public static Settings defaults() {
      return new Settings(1000, 0.0014, List.of());
    }
  }

  private volatile Settings settings;

  public Odin() {
    this(Settings.defaults());
  }

  public Odin(Settings settings) {
    this.settings = Objects.requireNonNull(settings);
  }

  /**
   * The gradient of the mean tempered cross-entropy of the predicted classes.
   *
   * @param network inputs [N, ...] to logits [N, C]
   * @return the shape of {@code inputs}; parameters get no gradient
   */
  public static Tensor inputGradient(
      UnaryOperator<Tensor> network, Tensor inputs, double temperature) {
    return Scopes.tensor(
        () ->
            Scopes.grad(
                true,
                () -> {
                  Tensor x = inputs.detach().clone().requires_grad_(true);
                  Tensor logits = network.apply(x).div(new Scalar(temperature));
                  Tensor predicted = Classes.predicted(logits.detach());
                  return Gradients.of(torch.cross_entropy_loss(logits, predicted), x);
                }));
  }

  /**
   * The input after its step.
   *
   * @param inputs [N, ...]
   * @param gradient of that shape
   * @param inputStd one for each index of dimension 1, or empty for 1
   * @return of that shape and type
   */
  public static Tensor perturb(
      Tensor inputs, Tensor gradient, double noise, List<Double> inputStd) {
    return Scopes.tensor(
        () -> {
          ScalarType type = inputs.scalar_type().intern();
          Tensor sign =
              gradient.ge(new Scalar(0)).to(type).mul(new Scalar(2.0)).sub(new Scalar(1.0));
          if (!inputStd.isEmpty()) {
            long[] shape = new long[Math.toIntExact(inputs.dim())];
            Arrays.fill(shape, 1);
            if (shape.length < 2 || inputs.size(1) != inputStd.size()) {
              throw new OutriggerException(
                  "The hyper-parameter inputStd has "
                      + inputStd.size()
                      + " values, but the inputs have shape "
                      + Arrays.toString(inputs.shape())
                      + ": give one value for each channel.");
            }
            shape[1] = inputStd.size();
            double[] std = inputStd.stream().mapToDouble(Double::doubleValue).toArray();
            sign = sign.div(Tensors.of(std, shape).to(type));
          }
          return inputs.detach().sub(sign.mul(new Scalar(noise)));
        });
  }

  /**
   * The score of the perturbed input's logits.
   *
   * @param logits [N, C]
   * @return float64 [N], in [-1, 0)
   */
  public static Tensor score(Tensor logits, double temperature) {
    return torch
        .softmax(logits.to(ScalarType.Double).div(new Scalar(temperature)), 1)
        .amax(new long[] {1}, false)
        .neg();
  }

  /** Does nothing: this score has no statistics. */
  @Override
  public void fit(Outputs known) {}

  @Override
  public boolean fitted() {
    return true;
  }

  /** Always an error: the score needs the model and the inputs. */
  @Override
  public Tensor score(Output output) {
    throw new OutriggerException(
        "ODIN steps the input along a gradient, so cached outputs are not enough: score with the"
            + " model and the inputs, or use a method that needs outputs only (energy, msp).");
  }

  /** Scores with a model that can be differentiated, which it puts into evaluation mode. */
  @Override
  public Tensor score(Model model, Tensor inputs, Output output) {
    model.require(this, Detector.class);
    Differentiable network =
        model
            .as(Differentiable.class)
            .orElseThrow(
                () ->
                    new OutriggerException(
                        "ODIN needs gradients with respect to the input, which the model "
                            + model.name()
                            + " does not offer."));
    Settings now = settings;
    Shapes.notEmpty("The inputs", inputs);
    Shapes.finite("The inputs", inputs);
    return Scopes.tensor(
        () ->
            Torch.call(
                "ODIN could not differentiate the model "
                    + model.name()
                    + " on inputs of shape "
                    + Arrays.toString(inputs.shape())
                    + ".",
                () -> {
                  network.train(false);
                  Tensor gradient =
                      inputGradient(x -> network.forward(x).logits(), inputs, now.temperature());
                  Tensor moved = perturb(inputs, gradient, now.noise(), now.inputStd());
                  Output stepped = model.predict(moved);
                  Shapes.finite("The logits for ODIN", stepped.logits());
                  return Scopes.noGrad(() -> score(stepped.logits(), now.temperature()));
                }));
  }

  @Override
  public Settings settings() {
    return settings;
  }

  @Override
  public State state() {
    Map<String, Object> values = new LinkedHashMap<>();
    values.put("settings", Methods.values(settings));
    return new State("detector/odin", 1, values, Map.of());
  }

  @Override
  public void restore(State state) {
    state.expect("detector/odin", 1);
    settings = (Settings) Methods.create(Detector.class, "odin", state.map("settings")).settings();
  }
}
