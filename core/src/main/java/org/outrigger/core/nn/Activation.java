package org.outrigger.core.nn;

import java.util.Arrays;
import java.util.Locale;
import java.util.function.UnaryOperator;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Scopes;

/** An activation function, applied to each value. */
public final class Activation extends Layer {
  /** The functions there are. */
  public enum Kind {
    RELU("ReLU", torch::relu),
    RELU6("ReLU6", torch::relu6),
    LEAKY_RELU("LeakyReLU", torch::leaky_relu),
    ELU("ELU", torch::elu),
    GELU("GELU", torch::gelu),
    GELU_TANH("GELUTanh", x -> torch.gelu(x, "tanh")),
    /** x sigmoid(1.702 x), as OpenAI's CLIP was trained with. */
    QUICK_GELU("QuickGELU", x -> Scopes.tensor(() -> x.mul(x.mul(new Scalar(1.702)).sigmoid()))),
    SILU("SiLU", torch::silu),
    MISH("Mish", torch::mish),
    HARDSWISH("Hardswish", torch::hardswish),
    TANH("Tanh", torch::tanh),
    /** 1.7159 tanh(0.666 x), which keeps the variance of normal inputs. */
    LECUN_TANH(
        "LeCunTanh",
        x -> Scopes.tensor(() -> x.mul(new Scalar(0.666)).tanh().mul(new Scalar(1.7159)))),
    SIGMOID("Sigmoid", torch::sigmoid),
    SOFTPLUS("Softplus", torch::softplus);

    private final String label;
    private final UnaryOperator<Tensor> function;

    Kind(String label, UnaryOperator<Tensor> function) {
      this.label = label;
      this.function = function;
    }

    /** The kind of that name, in any case and with or without underscores. */
    public static Kind of(String name) {
      String wanted = name.replaceAll("[_-]", "").toUpperCase(Locale.ROOT);
      return Arrays.stream(values())
          .filter(k -> k.label.toUpperCase(Locale.ROOT).equals(wanted))
          .findFirst()
          .orElseThrow(
              () ->
                  new OutriggerException(
                      "There is no activation '"
                          + name
                          + "'. All: "
                          + String.join(
                              ", ",
                              Arrays.stream(values())
                                  .map(k -> k.name().toLowerCase(Locale.ROOT))
                                  .toList())
                          + "."));
    }
  }

  private final Kind kind;

  public Activation(Kind kind) {
    this.kind = kind;
  }

  public static Activation relu() {
    return new Activation(Kind.RELU);
  }

  public static Activation gelu() {
    return new Activation(Kind.GELU);
  }

  public static Activation silu() {
    return new Activation(Kind.SILU);
  }

  public static Activation tanh() {
    return new Activation(Kind.TANH);
  }

  public static Activation sigmoid() {
    return new Activation(Kind.SIGMOID);
  }

  public static Activation softplus() {
    return new Activation(Kind.SOFTPLUS);
  }

  /** Which function it is. */
  public Kind kind() {
    return kind;
  }

  @Override
  protected Tensor compute(Tensor x, ForwardContext context) {
    return kind.function.apply(x);
  }

  @Override
  public String toString() {
    return kind.label;
  }
}
