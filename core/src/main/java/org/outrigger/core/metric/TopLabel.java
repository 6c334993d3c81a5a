package org.outrigger.core.metric;

import java.util.Arrays;
import java.util.Comparator;
import java.util.stream.IntStream;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Shapes;
import org.outrigger.core.torch.Tensors;

/**
 * Predictions reduced to what most calibration figures need: how sure the model was of its top
 * class, and whether that was right. The arrays are not copied; leave them alone.
 *
 * @param confidence in [0, 1], one a row, at least one
 * @param correct one a row
 */
@SuppressWarnings("ArrayRecordComponent")
public record TopLabel(double[] confidence, boolean[] correct) {
  public TopLabel {
    if (confidence.length != correct.length) {
      throw new OutriggerException(
          "There are " + confidence.length + " confidences, but " + correct.length + " outcomes.");
    }
    if (confidence.length == 0) {
      throw new OutriggerException("There is no prediction: at least one is needed.");
    }
    for (int i = 0; i < confidence.length; i++) {
      if (!(confidence[i] >= 0 && confidence[i] <= 1)) {
        throw new OutriggerException(
            "Confidence " + i + " is " + confidence[i] + ", but probabilities are in [0, 1].");
      }
    }
  }

  /**
   * The top label of each row; the smallest class index wins a tie.
   *
   * @param probabilities [N][K], rows that sum to 1 within 1e-6
   * @param labels [N], classes 0 .. K-1
   */
  public static TopLabel of(double[][] probabilities, int[] labels) {
    checkProbabilities(probabilities, labels);
    double[] confidence = new double[labels.length];
    boolean[] correct = new boolean[labels.length];
    for (int i = 0; i < labels.length; i++) {
      int top = 0;
      for (int k = 1; k < probabilities[i].length; k++) {
        if (probabilities[i][k] > probabilities[i][top]) {
          top = k;
        }
      }
      // Rounding may leave a sure prediction a hair above 1.
      confidence[i] = Math.min(1, probabilities[i][top]);
      correct[i] = top == labels[i];
    }
    return new TopLabel(confidence, correct);
  }

  /** As {@link #of(double[][], int[])}, for tensors [N, K] and int64 [N]. */
  public static TopLabel of(Tensor probabilities, Tensor labels) {
    Shapes.check()
        .tensor("The probabilities", probabilities, "N", "K")
        .tensor("The labels", labels, "N");
    return of(Tensors.rows(probabilities), Tensors.ints(labels));
  }

  static void checkProbabilities(double[][] probabilities, int[] labels) {
    Accuracy.checkLengths(probabilities.length, labels.length);
    if (labels.length == 0) {
      throw new OutriggerException("There is no prediction: at least one is needed.");
    }
    int classes = probabilities[0].length;
    for (int i = 0; i < labels.length; i++) {
      double sum = Arrays.stream(probabilities[i]).sum();
      boolean negative = Arrays.stream(probabilities[i]).anyMatch(p -> p < 0);
      if (negative || !(Math.abs(sum - 1) <= 1e-6)) {
        throw new OutriggerException(
            "Row "
                + i
                + " is no probability distribution (sum "
                + sum
                + (negative ? ", with a negative value" : "")
                + "): apply a softmax in float64 first.");
      }
      if (probabilities[i].length != classes || labels[i] < 0 || labels[i] >= classes) {
        throw new OutriggerException(
            "Row "
                + i
                + " has label "
                + labels[i]
                + " and "
                + probabilities[i].length
                + " probabilities, but the classes are 0 to "
                + (classes - 1)
                + ".");
      }
    }
  }

  /** How many rows there are. */
  public int size() {
    return confidence.length;
  }

  /** The share of wrong predictions. */
  public double error() {
    int wrong = 0;
    for (boolean right : correct) {
      wrong += right ? 0 : 1;
    }
    return wrong / (double) size();
  }

  /** The rows by ascending confidence; equal ones keep their order. */
  int[] ascending() {
    return IntStream.range(0, size())
        .boxed()
        .sorted(Comparator.comparingDouble(i -> confidence[i] + 0.0))
        .mapToInt(Integer::intValue)
        .toArray();
  }

  /** The rows by descending confidence; equal ones keep their order. */
  int[] descending() {
    return IntStream.range(0, size())
        .boxed()
        .sorted(Comparator.comparingDouble(i -> 0.0 - confidence[i]))
        .mapToInt(Integer::intValue)
        .toArray();
  }
}
