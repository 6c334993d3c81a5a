package org.outrigger.core.nn;

import java.util.Map;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.torch.Rng;

/**
 * The last layers of the SHOT layout, in the place of a linear layer: {@code bottleneck} (linear, D
 * to width), {@code bn} (batch norm) and the classifier {@code fc} (linear with weight
 * normalisation, width to C). The features of a network that has them are the classifier's input.
 * Liang, Hu and Feng, ICML 2020.
 */
public final class BottleneckHead extends Layer implements Rebuildable {
  /** The width in the paper. */
  public static final int WIDTH = 256;

  /** The name of the classifier, the head proper. */
  public static final String CLASSIFIER = "fc";

  private static final String KIND = "bottleneck-head";
  private static final String BOTTLENECK = "bottleneck";
  private static final String NORM = "bn";
  private static final String SIZE = "width";

  private final long in;
  private final int width;
  private final long classes;

  /**
   * @param in D
   * @param width of the bottleneck
   * @param classes C
   */
  public BottleneckHead(long in, int width, long classes, Rng rng) {
    HyperParameter.atLeast(SIZE, width, 1);
    this.in = in;
    this.width = width;
    this.classes = classes;
    child(BOTTLENECK, new Linear(in, width, rng));
    child(NORM, new BatchNorm1d(width));
    child(CLASSIFIER, new WeightNormLinear(width, classes, rng));
  }

  @Override
  protected Tensor compute(Tensor x, ForwardContext context) {
    Tensor value = x;
    for (Layer layer : children().values()) {
      Tensor next = layer.forward(value, context);
      release(value, x, next);
      value = next;
    }
    return value;
  }

  @Override
  public String kind() {
    return KIND;
  }

  @Override
  public Map<String, Object> settings() {
    return Map.of(SIZE, width);
  }

  @Override
  public String toString() {
    return "BottleneckHead(" + in + " -> " + width + " -> " + classes + ")";
  }

  /** Builds the layers in the place of a linear layer. */
  public static final class Kind implements Rebuildable.Kind {
    @Override
    public String name() {
      return KIND;
    }

    @Override
    public Layer build(Layer original, Map<String, ?> settings) {
      if (!(original instanceof Linear linear && settings.get(SIZE) instanceof Number size)) {
        throw new OutriggerException(
            "A bottleneck with a width takes the place of a linear layer, not of "
                + original
                + ": the file is damaged.");
      }
      try (Rng rng = new Rng(0)) {
        return new BottleneckHead(
            linear.in(), Math.toIntExact(size.longValue()), linear.out(), rng);
      } finally {
        linear.close();
      }
    }
  }
}
