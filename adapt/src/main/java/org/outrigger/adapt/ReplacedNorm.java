package org.outrigger.adapt;

import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.Function;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptional;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.nn.BatchNorm;
import org.outrigger.core.nn.ForwardContext;
import org.outrigger.core.nn.Layer;
import org.outrigger.core.nn.Normalisation;
import org.outrigger.core.nn.Rebuildable;
import org.outrigger.core.torch.Scopes;

/**
 * A normalisation that takes the place of a batch normalisation. It has a copy of that one's {@code
 * weight} and {@code bias}, where there are any, and of {@code running_mean} and {@code
 * running_var}, all [C] and under the same names, so that methods find them as before.
 */
abstract class ReplacedNorm extends Layer implements Normalisation, Rebuildable {
  static final String MEAN = "running_mean";
  static final String VARIANCE = "running_var";

  private final int channels;
  private final double eps;

  /**
   * @param original is left as it is
   * @throws OutriggerException if it keeps no running statistics
   */
  ReplacedNorm(BatchNorm original) {
    if (!original.has(MEAN)) {
      throw new OutriggerException(
          original
              + " keeps no running statistics, so there is no source to start from: use a model"
              + " whose batch normalisation tracks them.");
    }
    channels = original.channels();
    eps = original.eps();
    Scopes.run(
        () -> {
          for (String name : new String[] {"weight", "bias"}) {
            if (original.has(name)) {
              Tensor own = original.tensor(name);
              parameter(name, own.detach().clone());
              tensor(name).requires_grad_(own.requires_grad());
            }
          }
          buffer(MEAN, original.tensor(MEAN).detach().clone());
          buffer(VARIANCE, original.tensor(VARIANCE).detach().clone());
        });
  }

  /** The number of channels C. */
  public final int channels() {
    return channels;
  }

  /** What is added to the variance. */
  public final double eps() {
    return eps;
  }

  /** The dimensions of [N, C, ...] that statistics of the batch are taken over: all but 1. */
  static long[] acrossBatch(Tensor x) {
    long[] all = new long[Math.toIntExact(x.dim()) - 1];
    for (int i = 1; i < all.length; i++) {
      all[i] = i + 1;
    }
    return all;
  }

  /** The dimensions of [N, C, ...] after the second, flattened into one: [N, C, L]. */
  static Tensor flat(Tensor x) {
    return x.dim() == 2 ? x.unsqueeze(2) : x.flatten(2, -1);
  }

  /** Statistics [C] or [N, C] in a shape that goes with [N, C, ...]. */
  static Tensor beside(Tensor statistics, Tensor x) {
    long[] shape = new long[Math.toIntExact(x.dim())];
    Arrays.fill(shape, 1);
    shape[0] = statistics.dim() == 2 ? statistics.size(0) : 1;
    shape[1] = statistics.size(statistics.dim() - 1);
    return statistics.view(shape);
  }

  /**
   * The input with these statistics taken off, scaled and shifted; gradients flow through all.
   *
   * @param mean [C] or [N, C]
   * @param variance of the same shape, 0 or more
   */
  final Tensor normalised(Tensor x, Tensor mean, Tensor variance, ForwardContext context) {
    Tensor rate = variance.add(new Scalar(eps)).rsqrt();
    Tensor y = x.sub(beside(mean, x)).mul(beside(rate, x));
    if (has("weight")) {
      y = y.mul(beside(context.tensor(this, "weight"), x));
    }
    return has("bias") ? y.add(beside(context.tensor(this, "bias"), x)) : y;
  }

  /** The input normalised by constant statistics [C]. */
  final Tensor normalisedBy(Tensor x, Tensor mean, Tensor variance, ForwardContext context) {
    return torch.batch_norm(
        x,
        context.optional(this, "weight"),
        context.optional(this, "bias"),
        new TensorOptional(mean),
        new TensorOptional(variance),
        false,
        0,
        eps,
        true);
  }

  /** Moves a buffer to a value, which may have a graph; not in a pass with replaced weights. */
  final void keep(String buffer, Tensor value, ForwardContext context) {
    if (!context.functional()) {
      Scopes.grad(false, () -> tensor(buffer).copy_(value.detach()));
    }
  }

  /**
   * Replaces all layers of one type in a network.
   *
   * @param type whose layers are replaced
   * @param replacement makes the new layer; the old one is closed
   * @return how many were replaced
   */
  static <B extends BatchNorm> int replaceAll(
      NeuralModel network, Class<B> type, Function<B, ReplacedNorm> replacement) {
    Map<String, ReplacedNorm> made = new LinkedHashMap<>();
    network
        .root()
        .layers()
        .forEach(
            (path, layer) -> {
              if (type.isInstance(layer)) {
                made.put(path, replacement.apply(type.cast(layer)));
              }
            });
    made.forEach((path, layer) -> network.root().replace(path, layer).close());
    return made.size();
  }

  /** Switches the normalisation layers of a network alone, so that there is no dropout. */
  static void train(NeuralModel network, boolean on) {
    network.root().layers().values().stream()
        .filter(Normalisation.class::isInstance)
        .forEach(layer -> layer.train(on));
  }

  /** The error for a network without a layer to replace. */
  static OutriggerException nothingToReplace(String who, String wanted, NeuralModel network) {
    String known =
        network.root().layers().values().stream()
            .filter(ReplacedNorm.class::isInstance)
            .findFirst()
            .map(layer -> " Its layers have been replaced already, by " + layer + ".")
            .orElse("");
    return new OutriggerException(
        who
            + " replaces "
            + wanted
            + ", but "
            + network.name()
            + " has none."
            + known
            + " Use a network with batch normalisation as it was trained, or lame, t3a or adanpc,"
            + " which need no normalisation layers.");
  }

  /** Makes such layers again, in the place of a batch normalisation. */
  abstract static class OfBatchNorm implements Rebuildable.Kind {
    private final String name;

    OfBatchNorm(String name) {
      this.name = name;
    }

    @Override
    public final String name() {
      return name;
    }

    abstract ReplacedNorm build(BatchNorm original, Map<String, ?> settings);

    @Override
    public final Layer build(Layer original, Map<String, ?> settings) {
      if (!(original instanceof BatchNorm norm)) {
        throw new OutriggerException(
            "A layer of the kind "
                + name
                + " takes the place of a batch normalisation, not of "
                + original
                + ": the file is damaged.");
      }
      ReplacedNorm made = build(norm, settings);
      norm.close();
      return made;
    }

    /** A setting of that name. */
    final double number(Map<String, ?> settings, String key) {
      if (!(settings.get(key) instanceof Number number)) {
        throw new OutriggerException(
            "The saved layer of the kind "
                + name
                + " lacks its setting '"
                + key
                + "': the file is damaged.");
      }
      return number.doubleValue();
    }
  }
}
