package org.outrigger.stream;

import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.core.torch.Scopes;

/**
 * Shares of two samples in bins between quantiles of the first. The outer edges are infinite, an
 * edge that occurs twice counts once, and a bin holds its lower edge. A reference of one value
 * alone has three bins, or two if that is all: below it, at it, above it.
 */
final class Bins {
  private Bins() {}

  /**
   * The shares.
   *
   * @param reference [n, d]
   * @param batch [m, d]
   * @param bins 2 or more
   * @return of both, [d, bins] each; bins that fell away are empty in both
   */
  static Tensor[] shares(Tensor reference, Tensor batch, int bins) {
    Tensor a = torch.sort(reference.t().contiguous(), 1, false).get0();
    Tensor b = torch.sort(batch.t().contiguous(), 1, false).get0();
    Tensor edges = edges(a, bins);
    return new Tensor[] {shares(a, edges), shares(b, edges)};
  }

  /** The inner edges, [d, bins - 1]: quantiles by linear interpolation. */
  private static Tensor edges(Tensor sorted, int bins) {
    long last = sorted.size(1) - 1;
    Tensor position =
        torch
            .arange(new Scalar(1.0), new Scalar(bins - 0.5), doubles())
            .mul(new Scalar((double) last / bins));
    Tensor below = position.floor();
    Tensor index = below.to(torch.ScalarType.Long);
    Tensor low = sorted.index_select(1, index);
    Tensor high = sorted.index_select(1, index.add(new Scalar(1)).clamp_max(new Scalar(last)));
    Tensor edges = low.add(high.sub(low).mul(position.sub(below)));
    Tensor least = sorted.narrow(1, 0, 1);
    Tensor most = sorted.narrow(1, last, 1);
    Tensor constant = least.eq(most);
    Tensor inner =
        edges
            .masked_fill(edges.le(least), new Scalar(Double.NEGATIVE_INFINITY))
            .masked_fill(edges.ge(most), new Scalar(Double.POSITIVE_INFINITY));
    Tensor alone = torch.full_like(edges, new Scalar(Double.POSITIVE_INFINITY));
    alone.narrow(1, 0, 1).copy_(least);
    if (bins > 2) {
      Tensor infinite = torch.full_like(least, new Scalar(Double.POSITIVE_INFINITY));
      alone.narrow(1, 1, 1).copy_(torch.nextafter(least, infinite));
    }
    return torch.where(constant, alone, inner);
  }

  private static Tensor shares(Tensor sorted, Tensor edges) {
    Tensor below = KsTest.count(sorted, edges, false).to(torch.ScalarType.Double);
    Tensor first = torch.zeros_like(sorted.narrow(1, 0, 1));
    Tensor all = torch.full_like(first, new Scalar((double) sorted.size(1)));
    Tensor from = torch.cat(new TensorVector(first, below), 1);
    Tensor to = torch.cat(new TensorVector(below, all), 1);
    return to.sub(from).div(new Scalar((double) sorted.size(1)));
  }

  private static TensorOptions doubles() {
    return new TensorOptions(torch.ScalarType.Double);
  }

  /** Sums {@code p ln(p / q)} over bins, 0 where p is 0. */
  static Tensor divergence(Tensor p, Tensor q) {
    return Scopes.tensor(() -> torch.xlogy(p, p).sub(torch.xlogy(p, q)).sum(1));
  }
}
