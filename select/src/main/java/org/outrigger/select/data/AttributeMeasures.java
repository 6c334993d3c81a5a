package org.outrigger.select.data;

import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptional;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;
import org.outrigger.core.torch.Tensors;

/** How a set spreads over the values of an attribute, over tags, or over a grid of descriptors. */
public final class AttributeMeasures {
  private AttributeMeasures() {}

  /**
   * The entropy of an attribute, in nats.
   *
   * @param values int64 [n], 0 or more
   */
  public static double entropy(Tensor values) {
    return Arrays.stream(shares(values)).filter(p -> p > 0).map(p -> -p * Math.log(p)).sum();
  }

  /**
   * Gini-Simpson: the chance that two samples, drawn with replacement, differ in the attribute.
   *
   * @param values int64 [n], 0 or more
   */
  public static double giniSimpson(Tensor values) {
    return 1 - Arrays.stream(shares(values)).map(p -> p * p).sum();
  }

  /** How many different values occur. */
  public static int distinct(Tensor values) {
    return (int) Arrays.stream(shares(values)).filter(p -> p > 0).count();
  }

  private static double[] shares(Tensor values) {
    Shapes.check().tensor("The attribute", values, "n");
    Shapes.notEmpty("The attribute", values);
    Shapes.labels("The attribute", values, Integer.MAX_VALUE, false);
    return Scopes.scoped(
        () -> {
          // Numbered anew, so that large values need no large table.
          Map<Long, Integer> counts = new HashMap<>();
          long[] all = Tensors.longs(values);
          Arrays.stream(all).forEach(value -> counts.merge(value, 1, Integer::sum));
          return counts.values().stream()
              .mapToDouble(count -> (double) count / all.length)
              .toArray();
        });
  }

  /**
   * The share of the known tags that occur.
   *
   * @param tags of each sample
   * @param known all tags that could occur, at least one
   */
  public static double tagCoverage(List<? extends Set<String>> tags, Set<String> known) {
    if (known.isEmpty()) {
      throw new OutriggerException("Tag coverage needs the tags that could occur.");
    }
    Set<String> seen = new HashSet<>();
    tags.forEach(seen::addAll);
    seen.retainAll(known);
    return (double) seen.size() / known.size();
  }

  /**
   * The archive view of quality and diversity: a grid over two descriptors whose cells keep their
   * best sample. Mouret and Clune, Illuminating Search Spaces by Mapping Elites, 2015.
   *
   * @param coverage the share of cells that hold a sample
   * @param qdScore the sum of the best quality over the cells that hold one
   */
  public record Archive(double coverage, double qdScore) {}

  /**
   * Fills an archive. What lies outside the grid counts to the cell at its border.
   *
   * @param descriptors [n, 2], finite
   * @param quality [n], each in [0, 1]
   * @param rows cells along the first descriptor, 1 or more
   * @param columns cells along the second
   */
  public static Archive archive(
      Tensor descriptors, Tensor quality, int rows, int columns, double low, double high) {
    Shapes.check().tensor("descriptors", descriptors, "n", "2").tensor("quality", quality, "n");
    Shapes.finite("descriptors", descriptors);
    QualityMeasures.unit("quality", quality);
    if (rows < 1 || columns < 1 || !(high > low)) {
      throw new OutriggerException(
          "An archive needs a cell or more and a range, not "
              + rows
              + " x "
              + columns
              + " on ["
              + low
              + ", "
              + high
              + "].");
    }
    return Scopes.scoped(
        () -> {
          Tensor x = descriptors.to(ScalarType.Double).sub(new Scalar(low));
          Tensor sizes = Tensors.of(new double[] {rows, columns}, 2);
          Tensor cells =
              torch
                  .minimum(
                      x.div(new Scalar(high - low)).mul(sizes).floor(), sizes.sub(new Scalar(1.0)))
                  .clamp_min(new Scalar(0.0))
                  .to(ScalarType.Long);
          Tensor cell = cells.select(1, 0).mul(new Scalar((long) columns)).add(cells.select(1, 1));
          long all = (long) rows * columns;
          Tensor counts = torch.bincount(cell, new TensorOptional(), all);
          Tensor q = quality.to(ScalarType.Double);
          Tensor best =
              torch.zeros(new long[] {all}, q.options()).scatter_reduce(0, cell, q, "amax", true);
          double filled = counts.gt(new Scalar(0)).sum().item_double();
          return new Archive(filled / all, best.sum().item_double());
        });
  }
}
