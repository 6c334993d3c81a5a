package org.outrigger.calibrate.nngp;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.calibrate.nngp.ScaleMixture.Process;
import org.outrigger.core.torch.Gradients;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

/**
 * The negative log marginal likelihood per target as a function of unbounded hyper-parameters, with
 * its gradient. The kernel matrix enters through q and log |K_n|, whose derivatives in the matrix
 * are {@code -alpha alpha^T} and {@code K_n^-1}: three matrices of n^2 are held, and the kernel is
 * differentiated block by block.
 */
final class MarginalLikelihood {
  private static final String WHAT = "The kernel matrix of the training rows";

  private final NngpKernel kernel;
  private final Process process;
  private final Tensor x;
  private final Tensor y;
  private final Tensor uniform;
  private final HyperParameters fixed;
  private final List<String> names;

  /**
   * @param x float64 [N, ...]; borrowed
   * @param y standardised, float64 [N]; borrowed
   * @param uniform draws for the Burr prior, [J]; borrowed
   * @param fixed the hyper-parameters that stay
   */
  MarginalLikelihood(
      NngpKernel kernel,
      Process process,
      Tensor x,
      Tensor y,
      Tensor uniform,
      HyperParameters fixed) {
    this.kernel = kernel;
    this.process = process;
    this.x = x;
    this.y = y;
    this.uniform = uniform;
    this.fixed = fixed;
    names = HyperParameters.free(process);
  }

  /** What is fitted, in the order of the parameters. */
  List<String> names() {
    return names;
  }

  /** Where the fixed hyper-parameters are, as unbounded parameters. */
  double[] start() {
    return fixed.unbounded(names);
  }

  HyperParameters at(double[] unbounded) {
    return fixed.with(names, unbounded);
  }

  /**
   * @param loss minus the log marginal likelihood per target, in nats
   * @param gradient in the unbounded parameters
   */
  @SuppressWarnings("ArrayRecordComponent")
  record Value(double loss, double[] gradient) {}

  /** The loss and its gradient at unbounded parameters. */
  Value value(double[] unbounded) {
    return Scopes.scoped(() -> compute(unbounded));
  }

  private Value compute(double[] unbounded) {
    long n = y.numel();
    HyperParameters now = at(unbounded);
    Tensor lower =
        BlockedCholesky.factor(() -> KernelBlocks.lower(kernel, x, now.scales(), now.eps()), WHAT)
            .lower();
    Tensor alpha = BlockedCholesky.solve(lower, y.unsqueeze(1));
    Tensor q = y.dot(alpha.squeeze(1)).detach().requires_grad_(true);
    Tensor logDeterminant =
        Tensors.scalar(BlockedCholesky.logDeterminant(lower)).squeeze().requires_grad_(true);
    List<Tensor> leaves = new ArrayList<>();
    for (double u : unbounded) {
      leaves.add(Tensors.scalar(u).squeeze().requires_grad_(true));
    }
    List<Tensor> all = new ArrayList<>(List.of(q, logDeterminant));
    all.addAll(leaves);
    Tensor loss = logMarginal(q, logDeterminant, n, natural(leaves)).div(new Scalar((double) -n));
    List<Tensor> direct = Gradients.of(loss, all, false);
    Tensor weights = weights(lower, alpha, direct.get(0), direct.get(1));
    Tensor[] through = KernelBlocks.gradient(kernel, x, weights, leaves, this::scales);
    Tensor noise = get(natural(leaves), "eps").mul(weights.diagonal().sum());
    List<Tensor> ofNoise = Gradients.of(noise, leaves, false);
    double[] gradient = new double[unbounded.length];
    for (int i = 0; i < gradient.length; i++) {
      gradient[i] =
          direct.get(i + 2).item_double() + through[i].item_double() + ofNoise.get(i).item_double();
    }
    return new Value(loss.item_double(), gradient);
  }

  /** The derivative of the loss in the matrix; takes the place of its inverse. */
  private static Tensor weights(Tensor lower, Tensor alpha, Tensor ofQ, Tensor ofLog) {
    return Scopes.noGrad(
        () -> {
          Tensor inverse = torch.cholesky_inverse(lower);
          inverse.mul_(ofLog);
          for (long from = 0; from < inverse.size(0); from += 256) {
            try (PointerScope scope = new PointerScope()) {
              long count = Math.min(256, inverse.size(0) - from);
              Tensor part = alpha.narrow(0, from, count).mm(alpha.t()).mul(ofQ);
              inverse.narrow(0, from, count).sub_(part);
            }
          }
          return inverse;
        });
  }

  private Tensor logMarginal(Tensor q, Tensor logDeterminant, long n, Map<String, Tensor> at) {
    return switch (process) {
      case GAUSSIAN -> ScaleMixture.gaussian(q, logDeterminant, n);
      case STUDENT_T ->
          ScaleMixture.studentT(q, logDeterminant, n, get(at, "alpha"), get(at, "beta"));
      case BURR ->
          ScaleMixture.sampled(
              q, logDeterminant, n, ScaleMixture.burr(uniform, get(at, "burrC"), get(at, "burrK")));
    };
  }

  private Map<String, Tensor> natural(List<Tensor> leaves) {
    return IntStream.range(0, names.size())
        .boxed()
        .collect(
            Collectors.toMap(
                names::get, i -> HyperParameters.natural(names.get(i), leaves.get(i))));
  }

  private NngpKernel.Scales scales(List<Tensor> leaves) {
    Map<String, Tensor> at = natural(leaves);
    return new NngpKernel.Scales(
        get(at, "wStd"), get(at, "bStd"), at.getOrDefault("lastWStd", fixed.scales().last()));
  }

  private static Tensor get(Map<String, Tensor> map, String name) {
    Tensor value = map.get(name);
    if (value == null) {
      throw new IllegalStateException("no hyper-parameter " + name);
    }
    return value;
  }
}
