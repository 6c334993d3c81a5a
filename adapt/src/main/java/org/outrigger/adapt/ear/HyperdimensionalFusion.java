package org.outrigger.adapt.ear;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.ScalarOptional;
import org.bytedeco.pytorch.T_TensorTensor_T;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;

/**
 * The features of several layers as one vector of high dimension: {@code v = sum_l pool(F_l - m_l)
 * R_l}, where m_l is the mean of layer l over the data it was calibrated on and R_l [C_l, D] a
 * fixed random matrix with orthonormal rows, so that the layers hardly disturb each other in the
 * sum. The descriptor of a class is the sum of the v of its rows; {@code s(x) = max_c cos(v, y_c)}
 * says how familiar an input is, and -s is its OOD score.
 *
 * <p>Wilson et al., "Hyperdimensional Feature Fusion for Out-of-Distribution Detection", WACV 2023.
 * There the mean is one number a layer; a mean for each channel, division by the layer's standard
 * deviation, and binding by random signs are options of ours.
 *
 * <p>Describing is safe for concurrent use.
 */
public final class HyperdimensionalFusion implements AutoCloseable {
  private static final String MEAN = "mean/";
  private static final String SCALAR_MEAN = "scalar-mean/";
  private static final String DEVIATION = "deviation/";
  private static final String PROJECTION = "projection/";

  /** How a feature map becomes one number a channel. */
  public enum Pool {
    MAX,
    AVERAGE
  }

  /**
   * How layers are fused.
   *
   * @param dimension D, at least the number of layers
   * @param perChannel a mean for each channel instead of one for the layer
   * @param scale divide each layer by the standard deviation of its features, so that layers with
   *     large values do not outweigh the others
   * @param bind multiply each layer's part by a random vector of signs of its own
   * @param seed of projections and signs
   */
  public record Options(
      int dimension, boolean perChannel, boolean scale, boolean bind, long seed) {}

  private final List<Tensor> means; // float64 [] or [C_l]
  private final List<Tensor> scalarMeans; // float64 []
  private final List<Tensor> deviations; // float64 []
  private final List<Tensor> projections; // float32 [C_l, D], with scale and signs

  private HyperdimensionalFusion(
      List<Tensor> means,
      List<Tensor> scalarMeans,
      List<Tensor> deviations,
      List<Tensor> projections) {
    this.means = means;
    this.scalarMeans = scalarMeans;
    this.deviations = deviations;
    this.projections = projections;
  }

  // -- the mathematics

  /**
   * One number a channel.
   *
   * @param map feature maps [N, C, H, W] (or with more places), tokens [N, T, C], or vectors [N,
   *     C], which stay as they are
   * @return [N, C]
   */
  public static Tensor pool(Tensor map, Pool pool) {
    if (map.dim() < 2 || map.numel() == 0) {
      throw new OutriggerException(
          "Features of shape "
              + Arrays.toString(map.shape())
              + " cannot be pooled: [N, C], [N, T, C] or [N, C, H, W] with at least one row is"
              + " needed.");
    }
    return Scopes.tensor(
        () -> {
          if (map.dim() == 2) {
            return map;
          }
          Tensor places =
              map.dim() == 3 ? map.transpose(1, 2) : map.reshape(map.size(0), map.size(1), -1);
          return pool == Pool.MAX ? places.amax(new long[] {2}, false) : places.mean(2);
        });
  }

  /**
   * The mean of a layer over rows, places and channels.
   *
   * @param map as in {@link #pool}
   * @return a scalar
   */
  public static Tensor layerMean(Tensor map) {
    return Scopes.tensor(() -> pool(map, Pool.AVERAGE).mean());
  }

  /**
   * A random matrix with orthonormal rows, or orthonormal columns if it has more rows than columns.
   *
   * @return float64 [channels, dimension]
   */
  public static Tensor projection(long channels, long dimension, Rng rng) {
    return Scopes.tensor(
        () -> {
          boolean tall = channels > dimension;
          Tensor drawn =
              rng.normal(
                  ScalarType.Double, Math.max(channels, dimension), Math.min(channels, dimension));
          T_TensorTensor_T qr = torch.linalg_qr(drawn);
          // With these signs the matrix is uniform over all orthonormal ones.
          Tensor q = qr.get0().mul(qr.get1().diagonal().sign());
          return (tall ? q : q.t()).contiguous();
        });
  }

  /**
   * The descriptors of rows.
   *
   * @param pooled one [N, C_l] a layer, see {@link #pool}; pooling may come before the mean is
   *     taken off, as both pools commute with it
   * @param means one scalar or [C_l] a layer
   * @param projections one [C_l, D] a layer
   * @return [N, D]
   */
  public static Tensor describe(List<Tensor> pooled, List<Tensor> means, List<Tensor> projections) {
    if (pooled.isEmpty() || pooled.size() != means.size() || means.size() != projections.size()) {
      throw new OutriggerException(
          "There are "
              + pooled.size()
              + " layers, "
              + means.size()
              + " means and "
              + projections.size()
              + " projections, but one of each a layer is needed.");
    }
    Shapes shapes = Shapes.check();
    for (int l = 0; l < pooled.size(); l++) {
      shapes
          .tensor("The features of layer " + l, pooled.get(l), "N", "C" + l)
          .tensor("The projection of layer " + l, projections.get(l), "C" + l, "D");
    }
    return Scopes.tensor(
        () -> {
          Tensor sum = null;
          for (int l = 0; l < pooled.size(); l++) {
            Tensor projection = projections.get(l);
            Tensor part =
                pooled.get(l).sub(means.get(l)).to(projection.scalar_type()).mm(projection);
            sum = sum == null ? part : sum.add_(part);
          }
          return Objects.requireNonNull(sum);
        });
  }

  /**
   * Binding: the elementwise product with a vector of signs, which is its own inverse.
   *
   * @param descriptors [N, D]
   * @param signs [D] of -1 and 1
   */
  public static Tensor bind(Tensor descriptors, Tensor signs) {
    return Scopes.tensor(() -> descriptors.mul(signs));
  }

  /** A random vector of signs, float64 [D]. */
  public static Tensor signs(long dimension, Rng rng) {
    return Scopes.tensor(
        () ->
            rng.uniform(ScalarType.Double, dimension)
                .lt(new Scalar(0.5))
                .to(ScalarType.Double)
                .mul(new Scalar(2.0))
                .sub(new Scalar(1.0)));
  }

  /**
   * Class descriptors: the sums of the descriptors of each class.
   *
   * @param descriptors [N, D]
   * @param labels int64 [N] in 0 .. classes-1, each class at least once
   * @return float64 [classes, D]
   */
  public static Tensor bundle(Tensor descriptors, Tensor labels, long classes) {
    try (ClassDescriptors sums = ClassDescriptors.of(descriptors, labels, classes)) {
      return Scopes.tensor(() -> sums.vectors().clone());
    }
  }

  /**
   * Cosines between rows and class descriptors; 0 for a row whose descriptor is 0.
   *
   * @param descriptors [N, D]
   * @param bundles [C, D], none of them 0
   * @return float64 [N, C]
   */
  public static Tensor similarity(Tensor descriptors, Tensor bundles) {
    Shapes.check()
        .tensor("The descriptors", descriptors, "N", "D")
        .tensor("The class descriptors", bundles, "C", "D");
    return Scopes.tensor(
        () -> {
          Tensor lengths = lengths(bundles.to(ScalarType.Double));
          if (!lengths.gt(new Scalar(0.0)).all().item_bool()) {
            throw new OutriggerException(
                "A class descriptor is zero, so that no cosine to it is defined: give calibration"
                    + " rows of every class.");
          }
          return unit(descriptors).mm(bundles.to(ScalarType.Double).div(lengths).t());
        });
  }

  private static Tensor unit(Tensor rows) {
    Tensor x = rows.to(ScalarType.Double);
    Tensor lengths = lengths(x);
    return x.div(lengths.masked_fill(lengths.eq(new Scalar(0.0)), new Scalar(1.0)));
  }

  private static Tensor lengths(Tensor rows) {
    return rows.norm(new ScalarOptional(new Scalar(2.0)), new long[] {1}, true);
  }

  /**
   * OOD scores of similarities [N, C]: minus the largest, [N], in [-1, 1]; larger means less
   * familiar.
   */
  public static Tensor score(Tensor similarity) {
    Shapes.check().tensor("The similarities", similarity, "N", "C");
    return Scopes.tensor(() -> similarity.amax(new long[] {1}, false).neg());
  }

  // -- what was calibrated

  /**
   * Takes means and deviations of known rows and draws projections.
   *
   * @param averages one [N, C_l] a layer, average-pooled
   * @throws OutriggerException if there are more layers than dimensions or values are not finite
   */
  public static HyperdimensionalFusion calibrate(List<Tensor> averages, Options options) {
    if (averages.isEmpty() || options.dimension() < averages.size()) {
      throw new OutriggerException(
          averages.size()
              + " layers cannot be fused in "
              + options.dimension()
              + " dimensions: at least one layer and as many dimensions as layers are needed.");
    }
    Shapes shapes = Shapes.check();
    for (int l = 0; l < averages.size(); l++) {
      shapes.tensor("The features of layer " + l, averages.get(l), "N", "C" + l);
      Shapes.notEmpty("The features of layer " + l, averages.get(l));
      Shapes.finite("The features of layer " + l, averages.get(l));
    }
    List<Tensor> means = new ArrayList<>();
    List<Tensor> scalars = new ArrayList<>();
    List<Tensor> deviations = new ArrayList<>();
    List<Tensor> projections = new ArrayList<>();
    for (int l = 0; l < averages.size(); l++) {
      String layer = "/" + l;
      Tensor x = averages.get(l);
      Scopes.run(
          () -> {
            Tensor exact = x.to(ScalarType.Double);
            Tensor mean = exact.mean();
            double spread = exact.std(false).item_double();
            // A layer that gives one value only has nothing to scale.
            double deviation = spread > 0 ? spread : 1;
            try (Rng rng = Rng.named(options.seed(), "projection" + layer);
                Rng binding = Rng.named(options.seed(), "binding" + layer)) {
              Tensor projection = projection(x.size(1), options.dimension(), rng);
              if (options.scale()) {
                projection = projection.div(new Scalar(deviation));
              }
              if (options.bind()) {
                projection = bind(projection, signs(options.dimension(), binding));
              }
              means.add(Scopes.own(options.perChannel() ? exact.mean(0) : mean));
              scalars.add(Scopes.own(mean));
              deviations.add(
                  Scopes.own(
                      torch.full(
                          new long[] {},
                          new Scalar(deviation),
                          new TensorOptions(ScalarType.Double))));
              projections.add(Scopes.own(projection.to(ScalarType.Float)));
            }
          });
    }
    return new HyperdimensionalFusion(means, scalars, deviations, projections);
  }

  /** D. */
  public long dimension() {
    return projections.get(0).size(1);
  }

  /** How many channels each layer has. */
  public long[] widths() {
    return projections.stream().mapToLong(p -> p.size(0)).toArray();
  }

  /** The descriptors of rows, float32 [N, D], of one [N, C_l] a layer as it was pooled. */
  public Tensor describe(List<Tensor> pooled) {
    return describe(pooled, means, projections);
  }

  /**
   * The features that adaptors see: the layers side by side, each less its mean and divided by its
   * standard deviation.
   *
   * @param averages one [N, C_l] a layer, average-pooled
   * @return float32 [N, sum of C_l]
   */
  public Tensor standardise(List<Tensor> averages) {
    return Scopes.tensor(
        () -> {
          TensorVector parts = new TensorVector();
          for (int l = 0; l < averages.size(); l++) {
            parts.push_back(
                averages
                    .get(l)
                    .to(ScalarType.Double)
                    .sub(scalarMeans.get(l))
                    .div(deviations.get(l))
                    .to(ScalarType.Float));
          }
          return torch.cat(parts, 1);
        });
  }

  /** Bytes of projections, means and deviations. */
  public long bytes() {
    return tensors().values().stream().mapToLong(Tensor::nbytes).sum();
  }

  /** All of it by name; borrowed. */
  Map<String, Tensor> tensors() {
    Map<String, Tensor> tensors = new LinkedHashMap<>();
    for (int l = 0; l < projections.size(); l++) {
      tensors.put(MEAN + l, means.get(l));
      tensors.put(SCALAR_MEAN + l, scalarMeans.get(l));
      tensors.put(DEVIATION + l, deviations.get(l));
      tensors.put(PROJECTION + l, projections.get(l));
    }
    return tensors;
  }

  /**
   * One of what {@link #tensors} gave.
   *
   * @param saved tensors by name, which are copied
   * @throws OutriggerException if they do not fit each other
   */
  static HyperdimensionalFusion restored(Map<String, Tensor> saved) {
    int layers = saved.size() / 4;
    Shapes shapes = Shapes.check();
    for (int l = 0; l < Math.max(1, layers); l++) {
      for (String part : List.of(MEAN, SCALAR_MEAN, DEVIATION, PROJECTION)) {
        Tensor tensor = saved.get(part + l);
        if (tensor == null) {
          throw new OutriggerException(
              "The saved EAR is damaged: it lacks the "
                  + part.replace("/", " of layer ")
                  + l
                  + ".");
        }
        Shapes.finite("The saved " + part + l, tensor.reshape(-1));
      }
      shapes.tensor("The saved projection/" + l, tensor(saved, PROJECTION + l), "C" + l, "D");
      shapes.tensor("The saved scalar-mean/" + l, tensor(saved, SCALAR_MEAN + l));
      shapes.tensor("The saved deviation/" + l, tensor(saved, DEVIATION + l));
      if (tensor(saved, MEAN + l).dim() > 0) {
        shapes.tensor("The saved mean/" + l, tensor(saved, MEAN + l), "C" + l);
      }
    }
    List<List<Tensor>> parts = new ArrayList<>();
    for (String part : List.of(MEAN, SCALAR_MEAN, DEVIATION, PROJECTION)) {
      List<Tensor> copies = new ArrayList<>();
      for (int l = 0; l < layers; l++) {
        Tensor source = tensor(saved, part + l);
        copies.add(Scopes.scoped(() -> Scopes.own(source.detach().clone())));
      }
      parts.add(copies);
    }
    return new HyperdimensionalFusion(parts.get(0), parts.get(1), parts.get(2), parts.get(3));
  }

  private static Tensor tensor(Map<String, Tensor> saved, String name) {
    return Objects.requireNonNull(saved.get(name));
  }

  @Override
  public void close() {
    tensors().values().forEach(Scopes::release);
  }

  @Override
  public String toString() {
    return "HyperdimensionalFusion(" + Arrays.toString(widths()) + " -> " + dimension() + ")";
  }
}
