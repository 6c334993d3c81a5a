package org.outrigger.guard;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.PriorityQueue;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.evaluate.report.Pictures;
import org.outrigger.evaluate.report.ReportPage;

/** The images with the smallest and the largest scores of a walk, as pictures. */
final class Extremes {
  private record Seen(double score, ReportPage.Picture picture) {}

  private static final Comparator<Seen> BY_SCORE = Comparator.comparingDouble(Seen::score);

  private final int most;
  private final PriorityQueue<Seen> lowest = new PriorityQueue<>(BY_SCORE.reversed());
  private final PriorityQueue<Seen> highest = new PriorityQueue<>(BY_SCORE);

  Extremes(int most) {
    this.most = most;
  }

  /**
   * Offers a row.
   *
   * @param inputs the batch; rows that are no images are ignored
   */
  void offer(Tensor inputs, int row, double score, String caption) {
    if (inputs.dim() != 4 || (inputs.size(1) != 1 && inputs.size(1) != 3) || Double.isNaN(score)) {
      return;
    }
    boolean low = lowest.size() < most || score < lowest.peek().score();
    boolean high = highest.size() < most || score > highest.peek().score();
    if (!low && !high) {
      return;
    }
    try (PointerScope scope = new PointerScope()) {
      String text = String.format(Locale.ROOT, "%s, score %.3g", caption, score);
      Seen seen =
          new Seen(
              score, new ReportPage.Picture(Pictures.dataUri(shown(inputs.select(0, row))), text));
      keep(lowest, seen, low);
      keep(highest, seen, high);
    }
  }

  /** Normalised images are stretched to [0, 1], so that something can be seen of them. */
  private static Tensor shown(Tensor image) {
    double least = image.min().item_double();
    double largest = image.max().item_double();
    if (least >= 0 && largest <= 1) {
      return image;
    }
    double span = Math.max(1e-12, largest - least);
    return image.sub(new Scalar(least)).div(new Scalar(span));
  }

  private void keep(PriorityQueue<Seen> queue, Seen seen, boolean wanted) {
    if (wanted) {
      queue.add(seen);
      if (queue.size() > most) {
        queue.poll();
      }
    }
  }

  /** From the smallest score up. */
  List<ReportPage.Picture> lowest() {
    return sorted(lowest, BY_SCORE);
  }

  /** From the largest score down. */
  List<ReportPage.Picture> highest() {
    return sorted(highest, BY_SCORE.reversed());
  }

  private static List<ReportPage.Picture> sorted(
      PriorityQueue<Seen> queue, Comparator<Seen> order) {
    List<Seen> all = new ArrayList<>(queue);
    all.sort(order);
    return all.stream().map(Seen::picture).toList();
  }
}
