package org.outrigger.stream;

import java.util.Arrays;
import java.util.List;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Room;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

/**
 * Maximum mean discrepancy with a Gaussian kernel and a permutation test: one statistic for all
 * features together, {@code MMD^2 = sum_{i != j} k_AA / (n(n-1)) + sum_{i != j} k_BB / (m(m-1)) - 2
 * mean k_AB}.
 *
 * <p>The pooled kernel is made once, in blocks of rows, and multiplied with the membership of all
 * permutations at once, so that memory grows with rows times block, not with rows squared. Features
 * should be on one scale.
 *
 * <p>Gretton, Borgwardt, Rasch, Schölkopf, Smola, "A Kernel Two-Sample Test", JMLR 2012.
 */
@Card(
    slug = "mmd-test",
    name = "Maximum mean discrepancy",
    summary = "One kernel test of all features together, with permutations.",
    paper = "Gretton, Borgwardt, Rasch, Schölkopf, Smola. A Kernel Two-Sample Test. JMLR 2012",
    year = 2012,
    room = Room.STREAM,
    needs = {},
    state = "the reference")
public final class Mmd extends ReferenceTest<Mmd.Settings> {
  private static final long BLOCK = 1024;

  /**
   * @param alpha the level, in (0, 1)
   * @param permutations at least 1 / alpha
   * @param sigmas of the kernel, whose mean is taken; none: by the median of the reference
   * @param seed of the permutations
   */
  public record Settings(double alpha, int permutations, List<Double> sigmas, long seed) {
    public Settings {
      HyperParameter.inside("alpha", alpha, 0, 1);
      Permutations.enough(permutations, alpha);
      sigmas = List.copyOf(sigmas);
      sigmas.forEach(sigma -> HyperParameter.positive("sigmas", sigma));
    }

    public static Settings defaults() {
      return new Settings(0.05, 100, List.of(), 0);
    }
  }

  public Mmd() {
    this(Settings.defaults());
  }

  public Mmd(Settings settings) {
    super(settings);
  }

  /**
   * MMD^2 of the samples as they are and of permutations of the pooled rows.
   *
   * @param reference [n, d], float64
   * @param batch [m, d], float64
   * @param orders int64 [N, n + m]; N may be 0
   * @param sigmas of the kernel
   * @return [1 + N]: the observed value first
   */
  public static double[] squared(Tensor reference, Tensor batch, Tensor orders, double... sigmas) {
    return Scopes.scoped(
        () -> {
          double n = reference.size(0);
          double m = batch.size(0);
          Tensor pooled = torch.cat(new TensorVector(reference, batch), 0);
          Tensor member = members(orders, reference.size(0), pooled);
          Tensor inside = torch.zeros_like(member.select(0, 0));
          Tensor first = torch.zeros_like(inside);
          double total = 0;
          for (long from = 0; from < pooled.size(0); from += BLOCK) {
            try (PointerScope scope = new PointerScope()) {
              long rows = Math.min(BLOCK, pooled.size(0) - from);
              Tensor kernel = GaussianKernel.of(pooled.narrow(0, from, rows), pooled, sigmas);
              kernel.narrow(1, from, rows).fill_diagonal_(new Scalar(0.0));
              Tensor product = kernel.mm(member);
              inside.add_(member.narrow(0, from, rows).mul(product).sum(0));
              first.add_(product.sum(0));
              total += kernel.sum().item_double();
            }
          }
          Tensor between = first.sub(inside);
          Tensor other = first.mul(new Scalar(-2.0)).add(inside).add(new Scalar(total));
          return Tensors.doubles(
              inside
                  .div(new Scalar(n * (n - 1)))
                  .add(other.div(new Scalar(m * (m - 1))))
                  .sub(between.mul(new Scalar(2 / (n * m)))));
        });
  }

  /** 1 where a pooled row is in the first sample: [n + m, 1 + N], the observed split first. */
  private static Tensor members(Tensor orders, long n, Tensor pooled) {
    long count = orders.size(0);
    Tensor member = torch.zeros(1 + count, pooled.size(0)).to(torch.ScalarType.Double).contiguous();
    member.select(0, 0).narrow(0, 0, n).fill_(new Scalar(1.0));
    if (count > 0) {
      member.narrow(0, 1, count).scatter_(1, orders.narrow(1, 0, n).contiguous(), new Scalar(1.0));
    }
    return member.t().contiguous();
  }

  /** The permuted value that the observed one must exceed: number int(alpha N) in falling order. */
  public static double threshold(double[] permuted, double alpha) {
    double[] sorted = permuted.clone();
    Arrays.sort(sorted);
    int index = Math.min((int) (alpha * sorted.length), sorted.length - 1);
    return sorted[sorted.length - 1 - index];
  }

  @Override
  protected DriftTestResult compare(Tensor reference, Tensor batch) {
    Settings s = settings();
    double[] sigmas =
        s.sigmas.isEmpty()
            ? new double[] {GaussianKernel.median(reference)}
            : s.sigmas.stream().mapToDouble(Double::doubleValue).toArray();
    if (!(sigmas[0] > 1e-14)) {
      throw new OutriggerException(
          "Most rows of the reference are the same, so the kernel has no width: set sigmas.");
    }
    Tensor orders =
        Permutations.draw(s.permutations, reference.size(0) + batch.size(0), s.seed, "mmd-test");
    double[] values = squared(reference, batch, orders, sigmas);
    double[] permuted = Arrays.copyOfRange(values, 1, values.length);
    double p = Permutations.pValue(values[0], permuted);
    return new DriftTestResult("mmd-test", p < s.alpha, values[0], p, s.alpha);
  }
}
