package org.outrigger.guard;

import java.util.List;
import java.util.stream.IntStream;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.data.Dataset;
import org.outrigger.core.method.Need;
import org.outrigger.core.model.Model;
import org.outrigger.core.model.Output;
import org.outrigger.core.model.RecordedOutputs;
import org.outrigger.core.torch.Tensors;
import org.outrigger.detect.Detector;

/** What fitted detectors make of the rows that were held out. */
final class HoldOutScores {
  private HoldOutScores() {}

  /** Scores of the held-out known rows; detectors that need the inputs get a second walk. */
  static double[][] of(
      Model model,
      List<Detector> detectors,
      RecordedOutputs holdOut,
      Dataset validation,
      int batchSize) {
    boolean inputs = detectors.stream().anyMatch(d -> d.needs().contains(Need.INPUT_GRADIENTS));
    double[][] raw = new double[detectors.size()][Math.toIntExact(holdOut.size())];
    if (inputs) {
      walkAgain(model, detectors, holdOut.rows(), validation, batchSize, raw);
    } else {
      int[] done = {0};
      holdOut.forEach(
          part -> {
            for (int d = 0; d < raw.length; d++) {
              double[] scores = Tensors.doubles(detectors.get(d).score(part.output()));
              System.arraycopy(scores, 0, raw[d], done[0], scores.length);
            }
            done[0] += (int) part.output().size();
          });
    }
    return keepKnown(holdOut, raw);
  }

  private static double[][] keepKnown(RecordedOutputs holdOut, double[][] raw) {
    Tensor labels = holdOut.labels();
    if (labels == null) {
      return raw;
    }
    long[] y = Tensors.longs(labels);
    double[][] kept = new double[raw.length][];
    for (int d = 0; d < raw.length; d++) {
      double[] scores = raw[d];
      kept[d] =
          IntStream.range(0, scores.length)
              .filter(i -> y[i] >= 0)
              .mapToDouble(i -> scores[i])
              .toArray();
    }
    return kept;
  }

  private static void walkAgain(
      Model model,
      List<Detector> detectors,
      long[] rows,
      Dataset validation,
      int batchSize,
      double[][] raw) {
    List<String> maps = Guard.maps(model, detectors);
    ChosenRows.walk(
        validation,
        rows,
        batchSize,
        (inputs, from) -> {
          Output output = model.predict(inputs, maps);
          double[][] scores = Guard.scores(model, detectors, inputs, output);
          for (int d = 0; d < raw.length; d++) {
            System.arraycopy(scores[d], 0, raw[d], from, scores[d].length);
          }
        });
  }

  /** The largest of the detectors' scaled scores, row by row; a single detector's own scores. */
  static double[] combined(double[][] raw, List<ScoreScale> scales) {
    if (raw.length == 1) {
      return raw[0];
    }
    double[] largest = new double[raw[0].length];
    for (int i = 0; i < largest.length; i++) {
      double most = 0;
      for (int d = 0; d < raw.length; d++) {
        most = Math.max(most, scales.get(d).of(raw[d][i]));
      }
      largest[i] = most;
    }
    return largest;
  }
}
