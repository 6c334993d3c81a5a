package org.outrigger.calibrate.nngp;

import org.bytedeco.pytorch.LongOptional;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

/**
 * The covariance of an infinitely wide network's outputs at two inputs, its NNGP kernel. It starts
 * from {@code <x, x'> / D}; a dense layer makes {@code s_w^2 K + s_b^2} of it, the last one {@code
 * s_last^2 K}; an activation makes the covariance of the activations of two correlated normals of
 * it, in closed form. Networks: {@code MLP}, (dense, activation) x L, last dense; {@code RESNET},
 * dense, L times {@code K + dense(act(K))}, activation, last dense; {@code CNN}, (3x3 convolution
 * with zero padding, activation) x L, mean over positions, last dense. Lee et al., Deep Neural
 * Networks as Gaussian Processes, ICLR 2018.
 *
 * <p>All functions are differentiable in the scales and in the inputs. At c = 1 the derivative of
 * the arc cosine is infinite: variances have their own closed form, and correlations are kept 1e-12
 * away from one.
 *
 * @param hiddenLayers L, 1 or more
 */
public record NngpKernel(Network network, Activation activation, int hiddenLayers) {
  private static final double NOTHING = 1e-300;
  private static final double ALMOST_ONE = 1 - 1e-12;

  /** The layers' plan. */
  public enum Network {
    MLP,
    RESNET,
    CNN
  }

  /** What follows a layer. */
  public enum Activation {
    RELU,
    ERF
  }

  public NngpKernel {
    HyperParameter.atLeast("hiddenLayers", hiddenLayers, 1);
  }

  /**
   * Standard deviations of the weights, each a scalar tensor above 0 that gradients may flow to.
   *
   * @param weight s_w
   * @param bias s_b, 0 or more
   * @param last s_last, of the last layer
   */
  public record Scales(Tensor weight, Tensor bias, Tensor last) {
    /** Constants. */
    public static Scales of(double weight, double bias, double last) {
      return new Scales(Tensors.scalar(weight), Tensors.scalar(bias), Tensors.scalar(last));
    }
  }

  /** The covariances between rows with the variances of both, each [N, M], [N, 1] and [1, M]. */
  private record Moments(Tensor between, Tensor left, Tensor right) {
    Moments plus(Moments other) {
      return new Moments(between.add(other.between), left.add(other.left), right.add(other.right));
    }
  }

  /**
   * The kernel between rows.
   *
   * @param x [N, D], or images [N, C, H, W] for {@code CNN}
   * @param y [M, ...] alike
   * @return float64 [N, M]
   */
  public Tensor between(Tensor x, Tensor y, Scales scales) {
    require(x);
    require(y);
    return Scopes.tensor(
        () -> {
          Tensor a = positions(x);
          Tensor b = positions(y);
          // [P, N, F] by [P, F, M]: one small product a position.
          Tensor products = a.bmm(b.transpose(1, 2)).div(new Scalar((double) a.size(2)));
          return through(
              new Moments(
                  shaped(products, x),
                  shaped(variances(a).unsqueeze(2), x),
                  shaped(variances(b).unsqueeze(1), x)),
              scales);
        });
  }

  /**
   * The kernel of each row with itself.
   *
   * @param x [N, D], or images [N, C, H, W] for {@code CNN}
   * @return float64 [N]
   */
  public Tensor diagonal(Tensor x, Scales scales) {
    require(x);
    return Scopes.tensor(
        () -> {
          Tensor own = shaped(variances(positions(x)).unsqueeze(2), x);
          return throughDiagonal(own, scales).squeeze(1);
        });
  }

  /**
   * The kernel of rows with each other: symmetric to the last bit, with the exact diagonal.
   *
   * @return float64 [N, N]
   */
  public Tensor gram(Tensor x, Scales scales) {
    return Scopes.tensor(
        () -> {
          Tensor below = between(x, x, scales).tril(-1);
          return below.add(below.t()).add(diagonal(x, scales).diag());
        });
  }

  private void require(Tensor x) {
    long wanted = network == Network.CNN ? 4 : 2;
    if (x.dim() != wanted) {
      throw new OutriggerException(
          "A kernel of network="
              + network
              + " takes "
              + (wanted == 4 ? "images [N, C, H, W]" : "rows [N, D]")
              + ", but the inputs have "
              + x.dim()
              + " dimensions"
              + (wanted == 4 ? ": use MLP or RESNET for rows." : ": flatten them, or use CNN."));
    }
  }

  /** As [P, N, F]: one position of F values for rows, H W positions of C values for images. */
  private Tensor positions(Tensor x) {
    Tensor values = x.to(ScalarType.Double);
    return network == Network.CNN
        ? values.flatten(2, 3).permute(2, 0, 1).contiguous()
        : values.unsqueeze(0);
  }

  private static Tensor variances(Tensor positions) {
    return positions.square().mean(2);
  }

  /** [P, N, M] as [N, M] for rows and [N, M, H, W] for images. */
  private Tensor shaped(Tensor products, Tensor x) {
    return network == Network.CNN
        ? products.permute(1, 2, 0).unflatten(2, x.size(2), x.size(3))
        : products.squeeze(0);
  }

  private Tensor through(Moments start, Scales s) {
    Moments k;
    if (network == Network.RESNET) {
      k = affine(start, s);
      for (int i = 0; i < hiddenLayers; i++) {
        k = k.plus(affine(activated(k), s));
      }
      k = activated(k);
    } else {
      k = start;
      for (int i = 0; i < hiddenLayers; i++) {
        k = activated(affine(k, s));
      }
    }
    return last(k.between, s);
  }

  private Tensor throughDiagonal(Tensor start, Scales s) {
    Tensor v;
    if (network == Network.RESNET) {
      v = affine(start, s);
      for (int i = 0; i < hiddenLayers; i++) {
        v = v.add(affine(activated(v), s));
      }
      v = activated(v);
    } else {
      v = start;
      for (int i = 0; i < hiddenLayers; i++) {
        v = activated(affine(v, s));
      }
    }
    return last(v, s);
  }

  private Tensor last(Tensor k, Scales s) {
    Tensor out = network == Network.CNN ? k.mean(2, 3) : k;
    return out.mul(s.last.square());
  }

  private Moments affine(Moments k, Scales s) {
    return new Moments(affine(k.between, s), affine(k.left, s), affine(k.right, s));
  }

  private Tensor affine(Tensor k, Scales s) {
    Tensor in = k;
    if (network == Network.CNN) {
      long[] one = {1, 1};
      // The mean of the 3x3 neighbourhood with zeros outside: the sum over 9.
      in = torch.avg_pool2d(k, new long[] {3, 3}, one, one, false, true, new LongOptional());
    }
    return in.mul(s.weight.square()).add(s.bias.square());
  }

  private Moments activated(Moments k) {
    Tensor between =
        activation == Activation.RELU
            ? rectified(k.between, k.left, k.right)
            : sigmoid(k.between, k.left, k.right);
    return new Moments(between, activated(k.left), activated(k.right));
  }

  private Tensor activated(Tensor variance) {
    return activation == Activation.RELU
        ? variance.div(new Scalar(2.0))
        : sigmoid(variance, variance, variance);
  }

  /** E[relu(u) relu(v)]: p / (2 pi) (sin t + (pi - t) cos t) with cos t the correlation. */
  private static Tensor rectified(Tensor k, Tensor left, Tensor right) {
    Tensor product = left.mul(right);
    Tensor p = product.clamp_min(new Scalar(NOTHING)).sqrt();
    Tensor c = clamp(k.div(p), ALMOST_ONE);
    Tensor sine = c.square().neg().add(new Scalar(1.0)).sqrt();
    Tensor angle = torch.acos(c).neg().add(new Scalar(Math.PI));
    Tensor value = sine.add(angle.mul(c)).mul(p).div(new Scalar(2 * Math.PI));
    return value.masked_fill(product.le(new Scalar(NOTHING)), new Scalar(0.0));
  }

  /** E[erf(u) erf(v)]. */
  private static Tensor sigmoid(Tensor k, Tensor left, Tensor right) {
    Scalar two = new Scalar(2.0);
    Scalar one = new Scalar(1.0);
    Tensor norm = left.mul(two).add(one).mul(right.mul(two).add(one)).sqrt();
    return torch.asin(clamp(k.mul(two).div(norm), ALMOST_ONE)).mul(new Scalar(2 / Math.PI));
  }

  private static Tensor clamp(Tensor c, double bound) {
    return c.clamp(
        new org.bytedeco.pytorch.ScalarOptional(new Scalar(-bound)),
        new org.bytedeco.pytorch.ScalarOptional(new Scalar(bound)));
  }
}
