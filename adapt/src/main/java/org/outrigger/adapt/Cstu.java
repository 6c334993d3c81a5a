package org.outrigger.adapt;

import java.util.List;
import java.util.stream.IntStream;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.torch.Scopes;

/**
 * RoTTA's memory: category-balanced sampling with timeliness and uncertainty. Of N rows each of the
 * C classes has at most N / C (rounded up). A row is the worse to keep the larger
 *
 * <pre>lambda_t / (1 + exp(-age / N)) + lambda_u H / ln C</pre>
 *
 * A new row of a class with room takes the place of the worst one of the largest classes if all is
 * full, of a class without room that of the worst one of its own; in both cases only if that one is
 * worse than the new one, which is dropped otherwise. Of equally bad ones the later gives way. All
 * rows age by one with each offer. Yuan et al., CVPR 2023.
 */
public final class Cstu extends RowMemory {
  private final double timeliness;
  private final double uncertainty;
  private final double share;
  private final double scale;

  /**
   * @param capacity N
   * @param classes C
   * @param timeliness lambda_t
   * @param uncertainty lambda_u
   */
  public Cstu(int capacity, int classes, double timeliness, double uncertainty) {
    super("cstu", capacity, classes);
    this.timeliness = timeliness;
    this.uncertainty = uncertainty;
    share = (double) capacity / classes;
    scale = Math.log(classes);
  }

  /**
   * Offers a row.
   *
   * @param label its predicted class
   * @param entropy of its prediction, H
   * @return whether it was stored
   */
  public boolean offer(Tensor row, int label, double entropy) {
    boolean stored = makeRoom(label, badness(0, entropy));
    if (stored) {
      add(label, entropy, row);
    }
    for (int c : allClasses()) {
      rows(c).forEach(other -> other.age++);
    }
    return stored;
  }

  private boolean makeRoom(int label, double badness) {
    if (rows(label).size() < share) {
      return size() < capacity() || removeWorst(largest(), badness);
    }
    return removeWorst(new int[] {label}, badness);
  }

  private boolean removeWorst(int[] among, double badness) {
    int label = -1;
    int index = -1;
    double worst = Double.NEGATIVE_INFINITY;
    for (int c : among) {
      List<Row> rows = rows(c);
      for (int i = 0; i < rows.size(); i++) {
        double value = badness(rows.get(i).age, rows.get(i).uncertainty);
        if (value >= worst) {
          worst = value;
          label = c;
          index = i;
        }
      }
    }
    if (worst > badness) {
      remove(label, index);
      return true;
    }
    return false;
  }

  private double badness(long age, double entropy) {
    return timeliness / (1 + Math.exp(-(double) age / capacity())) + uncertainty * entropy / scale;
  }

  private int[] allClasses() {
    return IntStream.range(0, occupancy().length).toArray();
  }

  /**
   * How much each stored row counts: exp(-a) / (1 + exp(-a)) with a = age / N, so that old ones
   * count less.
   *
   * @param ages a, [n]
   * @return [n]
   */
  public static Tensor weights(Tensor ages) {
    return Scopes.tensor(() -> ages.neg().sigmoid());
  }
}
