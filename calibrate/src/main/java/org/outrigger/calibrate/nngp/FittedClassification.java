package org.outrigger.calibrate.nngp;

import java.util.LinkedHashMap;
import java.util.Map;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

/**
 * A variational classifier at rest. What it holds belongs to no scope.
 *
 * @param z inducing inputs, standardised, [I, ...]
 * @param columns how inputs are standardised
 * @param mu [C, I]
 * @param v [C, I]
 * @param lower the Cholesky factor of the inducing inputs' kernel matrix, [I, I]
 * @param normal draws that every row shares, [S, C, 1], so that a row's probabilities do not depend
 *     on its batch
 * @param chiSquared draws, [S, C]; null for Gaussian values
 * @param at the hyper-parameters
 */
record FittedClassification(
    Tensor z,
    Columns columns,
    Tensor mu,
    Tensor v,
    Tensor lower,
    Tensor normal,
    @Nullable Tensor chiSquared,
    HyperParameters at)
    implements AutoCloseable {
  /** Values of one block of samples. */
  private static final long BLOCK = 4_000_000;

  /** Takes handles of its own of tensors that belong to scopes. */
  static FittedClassification owned(
      Tensor z,
      Columns columns,
      Tensor mu,
      Tensor v,
      Tensor lower,
      Tensor normal,
      @Nullable Tensor chiSquared,
      HyperParameters at) {
    return new FittedClassification(
        Scopes.own(z),
        columns,
        Scopes.own(mu),
        Scopes.own(v),
        Scopes.own(lower),
        Scopes.own(normal),
        chiSquared == null ? null : Scopes.own(chiSquared),
        at);
  }

  /** Class probabilities of checked rows, float64 [N, C]. */
  Tensor probabilities(NngpKernel kernel, Tensor inputs) {
    return Scopes.noGrad(
        () -> {
          long n = inputs.size(0);
          Tensor out =
              torch.empty(new long[] {n, mu.size(0)}, new TensorOptions(ScalarType.Double), null);
          long step = Math.max(1, BLOCK / normal.numel());
          for (long from = 0; from < n; from += step) {
            try (PointerScope scope = new PointerScope()) {
              long count = Math.min(step, n - from);
              Tensor samples = samples(kernel, inputs.narrow(0, from, count));
              out.narrow(0, from, count).copy_(Svtp.probabilities(samples));
            }
          }
          return out;
        });
  }

  /** Marginal samples at raw inputs, [S, C, B]. */
  private Tensor samples(NngpKernel kernel, Tensor inputs) {
    Tensor x = columns.apply(inputs);
    Tensor cross = KernelBlocks.between(kernel, z, x, at.scales());
    Svtp.Values values = Svtp.marginal(lower, cross, kernel.diagonal(x, at.scales()), mu, v);
    return Svtp.samples(
        values,
        normal,
        chiSquared,
        Tensors.scalar(at.alpha()).squeeze(),
        Tensors.scalar(at.beta()).squeeze(),
        0);
  }

  Map<String, Tensor> tensors() {
    Map<String, Tensor> tensors = new LinkedHashMap<>();
    tensors.put("z", z);
    tensors.put("inputMean", columns.mean());
    tensors.put("inputDeviation", columns.deviation());
    tensors.put("mu", mu);
    tensors.put("v", v);
    tensors.put("lower", lower);
    tensors.put("normal", normal);
    if (chiSquared != null) {
      tensors.put("chiSquared", chiSquared);
    }
    return tensors;
  }

  @Override
  public void close() {
    Scopes.release(z);
    columns.close();
    Scopes.release(mu);
    Scopes.release(v);
    Scopes.release(lower);
    Scopes.release(normal);
    Scopes.release(chiSquared);
  }
}
