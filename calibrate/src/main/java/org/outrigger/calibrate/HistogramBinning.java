package org.outrigger.calibrate;

import java.util.Arrays;
import java.util.Map;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptional;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;
import org.outrigger.core.torch.Tensors;

/**
 * Histogram binning: each class's probability is replaced by how often the class was right among
 * held-out rows with a probability in the same of B bins (b/B, (b+1)/B]; an empty bin gives its
 * middle. Classes are taken one against the rest and normalised. Zadrozny and Elkan, ICML 2001.
 */
@Card(
    slug = "histogram-binning",
    name = "Histogram binning",
    summary = "Replaces probabilities by observed frequencies, bin by bin; simple, coarse.",
    paper =
        "Zadrozny, Elkan, Obtaining calibrated probability estimates from decision trees and naive"
            + " Bayesian classifiers, ICML 2001",
    year = 2001,
    room = Room.CALIBRATE,
    needs = {Need.LOGITS, Need.LABELS},
    state = "a frequency for each class and bin")
public final class HistogramBinning extends FittedCalibrator<HistogramBinning.Settings> {
  /**
   * @param bins B, bins of equal width, at least 1
   */
  public record Settings(int bins) {
    public Settings {
      HyperParameter.atLeast("bins", bins, 1);
    }

    public static Settings defaults() {
      return new Settings(10);
    }
  }

  public HistogramBinning() {
    this(Settings.defaults());
  }

  public HistogramBinning(Settings settings) {
    super(settings);
  }

  /**
   * The frequency of each class in each bin of its probability.
   *
   * @param p float64 [N, C]
   * @param labels int64 [N]
   * @return [C, B]
   */
  public static Tensor fitMap(Tensor p, Tensor labels, int bins) {
    return Scopes.tensor(
        () -> {
          long classes = p.size(1);
          // One count for each pair of class and bin.
          Tensor cell = bin(p, bins).add(classOffsets(classes, bins)).flatten();
          Tensor hits = ConvexFit.oneHot(labels, classes).flatten();
          Tensor rows = cell.bincount(new TensorOptional(), classes * bins).to(hits.scalar_type());
          Tensor right = cell.bincount(new TensorOptional(hits), classes * bins);
          double[] middles = new double[bins];
          Arrays.setAll(middles, b -> (b + 0.5) / bins);
          Tensor empty = rows.eq(new Scalar(0));
          return torch
              .where(
                  empty.view(classes, bins),
                  Tensors.of(middles, bins).expand(classes, bins),
                  right.div(rows.masked_fill(empty, new Scalar(1.0))).view(classes, bins))
              .contiguous();
        });
  }

  /**
   * The frequencies that belong to the probabilities, normalised; uniform where all are 0.
   *
   * @param p float64 [N, C]
   * @param frequencies [C, B]
   * @return [N, C]
   */
  public static Tensor probabilities(Tensor p, Tensor frequencies) {
    return OneVersusRest.normalised(raw(p, frequencies));
  }

  /**
   * The frequencies that belong to the probabilities, not normalised.
   *
   * @param p float64 [N, C]
   * @param frequencies [C, B]
   * @return [N, C]
   */
  public static Tensor raw(Tensor p, Tensor frequencies) {
    return Scopes.tensor(
        () -> {
          long bins = frequencies.size(1);
          Tensor cell = bin(p, bins).add(classOffsets(p.size(1), bins));
          return frequencies.flatten().index_select(0, cell.flatten()).view(p.shape());
        });
  }

  private static Tensor bin(Tensor p, long bins) {
    double[] edges = new double[Math.toIntExact(bins) - 1];
    Arrays.setAll(edges, b -> (b + 1) / (double) bins);
    return torch.bucketize(p.contiguous(), Tensors.of(edges, edges.length));
  }

  private static Tensor classOffsets(long classes, long bins) {
    return torch.arange(new Scalar(classes)).mul(new Scalar(bins));
  }

  @Override
  Fitted learn(Tensor logits, Tensor labels) {
    ConvexFit.requireEachClass("histogram binning", labels, logits.size(1));
    return new Fitted(
        logits.size(1),
        Map.of("frequencies", fitMap(torch.softmax(logits, 1), labels, settings().bins)));
  }

  @Override
  void shapes(Shapes shapes, Fitted fitted) {
    shapes.tensor("frequencies", fitted.tensor("frequencies"), "C", "B");
    Shapes.notEmpty("frequencies", fitted.tensor("frequencies"));
  }

  @Override
  Tensor calibrated(Fitted fitted, Tensor logits) {
    return probabilities(torch.softmax(logits, 1), fitted.tensor("frequencies"));
  }
}
