package org.outrigger.adapt.ear;

import java.util.List;
import java.util.Locale;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.nn.Activation;
import org.outrigger.core.nn.ForwardContext;
import org.outrigger.core.nn.Init;
import org.outrigger.core.nn.Layer;
import org.outrigger.core.nn.Linear;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;

/**
 * A small network from the features of some taps to the common feature space, which is as wide as
 * the last tap. Its input [N, F] are the features of all taps side by side, of which it takes its
 * own.
 */
public final class Adaptor extends Layer {
  /** What kind of network it is; x are the features of its taps, z those of the last tap. */
  public enum Family {
    /** {@code W x + b}. */
    LINEAR,
    /** {@code U relu(V x)}; of depth 2 with one more hidden layer of that width. */
    BOTTLENECK,
    /** {@code z + U relu(V x)}; of depth 2 with a second such block on top. */
    RESIDUAL,
    /** {@code a z + b} for each channel; of depth 2 a ReLU and a second one follow. */
    SCALE_SHIFT
  }

  /**
   * Which adaptor.
   *
   * @param taps the positions of its taps, ascending, at least one
   * @param family its kind
   * @param width of the hidden layer, 1 or more; 0 for kinds that have none
   * @param depth 1 or 2
   */
  public record Plan(List<Integer> taps, Family family, int width, int depth) {
    public Plan {
      taps = List.copyOf(taps);
      HyperParameter.atLeast("taps", taps.size(), 1);
      HyperParameter.between("depth", depth, 1, 2);
      boolean hidden = family == Family.BOTTLENECK || family == Family.RESIDUAL;
      HyperParameter.require(
          hidden ? width >= 1 : width == 0, "width", width, hidden ? "1 or more" : "0");
      for (int i = 0; i < taps.size(); i++) {
        HyperParameter.atLeast("tap", taps.get(i), i == 0 ? 0 : taps.get(i - 1) + 1);
      }
    }

    /**
     * How many parameters such an adaptor has.
     *
     * @param widths of all taps
     */
    public long parameters(long[] widths) {
      long in = in(widths);
      long out = widths[widths.length - 1];
      return switch (family) {
        case LINEAR -> in * out + out;
        case BOTTLENECK ->
            in * width + width + (depth - 1L) * (width + 1L) * width + width * out + out;
        case RESIDUAL ->
            in * width + (depth - 1) * out * width + depth * (width + width * out + out);
        case SCALE_SHIFT -> 2 * out * depth;
      };
    }

    private long in(long[] widths) {
      if (taps.get(taps.size() - 1) >= widths.length) {
        throw new OutriggerException(
            "The adaptor reads tap "
                + taps.get(taps.size() - 1)
                + ", but there are taps 0 to "
                + (widths.length - 1)
                + " only.");
      }
      return taps.stream().mapToLong(tap -> widths[tap]).sum();
    }

    /** In a few words, with the taps by name. */
    public String describe(List<String> names) {
      String kind = family.name().toLowerCase(Locale.ROOT).replace('_', ' ');
      return kind
          + (width > 0 ? " " + width : "")
          + (depth > 1 ? " x" + depth : "")
          + " on "
          + String.join("+", taps.stream().map(names::get).toList());
    }
  }

  private final Plan plan;
  private final long[] widths;

  /**
   * Draws an adaptor.
   *
   * @param widths of all taps
   */
  public Adaptor(Plan plan, long[] widths, Rng rng) {
    this.plan = plan;
    this.widths = widths.clone();
    long in = plan.in(widths);
    long out = widths[widths.length - 1];
    int width = plan.width;
    boolean deep = plan.depth > 1;
    switch (plan.family) {
      case LINEAR -> child("out", new Linear(in, out, rng));
      case BOTTLENECK -> {
        child("down", new Linear(in, width, rng));
        child("relu", Activation.relu());
        if (deep) {
          child("middle", new Linear(width, width, rng));
          child("relu2", Activation.relu());
        }
        child("up", new Linear(width, out, rng));
      }
      case RESIDUAL -> {
        child("down", new Linear(in, width, rng));
        child("relu", Activation.relu());
        child("up", new Linear(width, out, rng));
        if (deep) {
          child("down2", new Linear(out, width, rng));
          child("relu2", Activation.relu());
          child("up2", new Linear(width, out, rng));
        }
      }
      case SCALE_SHIFT ->
          Scopes.run(
              () -> {
                parameter("scale", Init.ones(out));
                parameter("shift", Init.zeros(out));
                if (deep) {
                  child("relu", Activation.relu());
                  parameter("scale2", Init.ones(out));
                  parameter("shift2", Init.zeros(out));
                }
              });
    }
  }

  /** Which adaptor this is. */
  public Plan plan() {
    return plan;
  }

  @Override
  protected Tensor compute(Tensor x, ForwardContext context) {
    return Scopes.tensor(() -> adapted(x, context));
  }

  private Tensor adapted(Tensor x, ForwardContext context) {
    boolean deep = plan.depth > 1;
    return switch (plan.family) {
      case LINEAR -> run("out", chosen(x), context);
      case BOTTLENECK -> {
        Tensor hidden = run("relu", run("down", chosen(x), context), context);
        if (deep) {
          hidden = run("relu2", run("middle", hidden, context), context);
        }
        yield run("up", hidden, context);
      }
      case RESIDUAL -> {
        Tensor hidden = run("relu", run("down", chosen(x), context), context);
        Tensor sum = last(x).add(run("up", hidden, context));
        yield deep
            ? sum.add(run("up2", run("relu2", run("down2", sum, context), context), context))
            : sum;
      }
      case SCALE_SHIFT -> {
        Tensor moved =
            last(x).mul(context.tensor(this, "scale")).add(context.tensor(this, "shift"));
        yield deep
            ? run("relu", moved, context)
                .mul(context.tensor(this, "scale2"))
                .add(context.tensor(this, "shift2"))
            : moved;
      }
    };
  }

  private Tensor run(String child, Tensor x, ForwardContext context) {
    return get(child).forward(x, context);
  }

  private Tensor chosen(Tensor x) {
    TensorVector parts = new TensorVector();
    long from = 0;
    for (int tap = 0; tap < widths.length; tap++) {
      if (plan.taps.contains(tap)) {
        parts.push_back(x.narrow(1, from, widths[tap]));
      }
      from += widths[tap];
    }
    return torch.cat(parts, 1);
  }

  private Tensor last(Tensor x) {
    long width = widths[widths.length - 1];
    return x.narrow(1, x.size(1) - width, width);
  }

  @Override
  public String toString() {
    return "Adaptor("
        + plan.family
        + (plan.width > 0 ? ", width " + plan.width : "")
        + ", depth "
        + plan.depth
        + ", taps "
        + plan.taps
        + ")";
  }
}
