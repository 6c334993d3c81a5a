package org.outrigger.adapt.ear;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.regex.Pattern;
import java.util.stream.IntStream;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.model.Model;
import org.outrigger.core.model.Output;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;

/** Reads the features of chosen layers of an encoder, and chooses layers where none are named. */
final class Taps {
  /** The name of the penultimate features among taps, where no layer is called so. */
  static final String PENULTIMATE = "penultimate";

  /** Activations, stages and blocks by the last part of their path. */
  private static final Pattern USUAL =
      Pattern.compile("(relu|act|activation|gelu|silu|layer|stage|blocks?)_?\\d*");

  /** So many layers at most besides the penultimate features. */
  private static final int MOST = 6;

  private Taps() {}

  /**
   * What the taps gave for some rows.
   *
   * @param pooled one [N, C_l] a tap, pooled as the descriptors need it
   * @param averages one [N, C_l] a tap, average-pooled
   */
  record Features(List<Tensor> pooled, List<Tensor> averages) {}

  /**
   * Runs the encoder and pools what its taps give, on the CPU. Tensors belong to the enclosing
   * scope.
   *
   * @throws OutriggerException if a tap is missing or gives no features, or values are not finite
   */
  static Features read(
      Model encoder, List<String> taps, Tensor inputs, HyperdimensionalFusion.Pool pool) {
    if (inputs.dim() < 2 || inputs.size(0) == 0) {
      throw new OutriggerException(
          "The inputs have shape "
              + Arrays.toString(inputs.shape())
              + ": at least one row [N, ...] is needed.");
    }
    Shapes.finite("The inputs", inputs);
    List<String> maps = maps(encoder, taps);
    Output output = encoder.predict(inputs, maps);
    List<Tensor> pooled = new ArrayList<>();
    List<Tensor> averages = new ArrayList<>();
    for (String tap : taps) {
      Tensor map = maps.contains(tap) ? output.maps().get(tap) : output.features();
      if (map == null || !usable(map, inputs.size(0))) {
        throw new OutriggerException(
            "The tap '"
                + tap
                + "' of "
                + encoder.name()
                + (map == null
                    ? " gives nothing"
                    : " gives values of shape " + Arrays.toString(map.shape()))
                + ": name a layer that gives [N, C], [N, T, C] or [N, C, H, W].");
      }
      Tensor local = map.detach().cpu().to(ScalarType.Float);
      Tensor average = HyperdimensionalFusion.pool(local, HyperdimensionalFusion.Pool.AVERAGE);
      averages.add(average);
      pooled.add(
          pool == HyperdimensionalFusion.Pool.AVERAGE
              ? average
              : HyperdimensionalFusion.pool(local, pool));
      Shapes.finite("The features of the tap '" + tap + "'", average);
    }
    return new Features(pooled, averages);
  }

  /** The taps that are inner layers of the encoder; the others are its penultimate features. */
  private static List<String> maps(Model encoder, List<String> taps) {
    List<String> points = encoder.featurePoints();
    List<String> maps = taps.stream().filter(points::contains).toList();
    for (String tap : taps) {
      if (!points.contains(tap) && !tap.equals(PENULTIMATE)) {
        throw new OutriggerException(
            "The model "
                + encoder.name()
                + " has no tap '"
                + tap
                + "'. It has: "
                + String.join(", ", points.subList(0, Math.min(20, points.size())))
                + (points.size() > 20 ? ", ..." : "")
                + ", and "
                + PENULTIMATE
                + " for the input of its last layer.");
      }
    }
    return maps;
  }

  private static boolean usable(Tensor map, long rows) {
    return map.is_floating_point()
        && map.dim() >= 2
        && map.dim() <= 5
        && map.size(0) == rows
        && map.numel() > 0;
  }

  /**
   * Activations, stages and blocks on the outermost level that has any, six at most and evenly
   * spread, and the penultimate features unless the last of these gives the same.
   *
   * @param inputs a few rows to try layers with
   * @throws OutriggerException if the model gives no features at all
   */
  static List<String> choose(Model encoder, Tensor inputs) {
    return Scopes.scoped(
        () -> {
          List<String> usual =
              encoder.featurePoints().stream()
                  .filter(point -> USUAL.matcher(lastPart(point)).matches())
                  .toList();
          int level = usual.stream().mapToInt(Taps::level).min().orElse(0);
          List<String> taps = new ArrayList<>();
          @Nullable Tensor last = null;
          for (String point :
              spread(usual.stream().filter(point -> level(point) == level).toList())) {
            Tensor map = tried(encoder, point, inputs);
            if (map != null && usable(map, inputs.size(0))) {
              taps.add(point);
              last = map;
            }
          }
          Output output = encoder.predict(inputs);
          if (output.hasFeatures() && !same(output.features(), last)) {
            taps.add(PENULTIMATE);
          }
          if (taps.isEmpty()) {
            throw new OutriggerException(
                "The model "
                    + encoder.name()
                    + " shows no features by itself: name its layers (taps), of which it has: "
                    + String.join(", ", encoder.featurePoints())
                    + ".");
          }
          return List.copyOf(taps);
        });
  }

  private static @Nullable Tensor tried(Model encoder, String point, Tensor inputs) {
    try {
      return encoder.predict(inputs, List.of(point)).maps().get(point);
    } catch (OutriggerException e) {
      // A container of layers that never runs on its own is no tap.
      return null;
    }
  }

  private static boolean same(Tensor features, @Nullable Tensor map) {
    if (map == null) {
      return false;
    }
    Tensor average = HyperdimensionalFusion.pool(map, HyperdimensionalFusion.Pool.AVERAGE);
    return Arrays.equals(average.shape(), features.shape()) && torch.allclose(average, features);
  }

  private static List<String> spread(List<String> points) {
    int size = points.size();
    return size <= MOST
        ? points
        : IntStream.range(0, MOST)
            .mapToObj(i -> points.get((int) Math.round(i * (size - 1) / (MOST - 1.0))))
            .toList();
  }

  private static String lastPart(String point) {
    return point.substring(Math.max(point.lastIndexOf('.'), point.lastIndexOf('/')) + 1);
  }

  private static int level(String point) {
    return (int) point.chars().filter(c -> c == '.' || c == '/').count();
  }
}
