package org.outrigger.calibrate;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.stream.Collectors;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;
import org.outrigger.core.torch.Tensors;

/**
 * A choice among calibrators by cross-validation. Each is fitted on all folds but one and judged by
 * the negative log-likelihood of that one. The best is the one with the smallest mean; all that are
 * worse by no more than one standard error of the difference count as good, and of these the one
 * with the fewest parameters is chosen. Full linear maps with more parameters than rows are left
 * out.
 *
 * @param chosen the one that was chosen, as it was given; to be fitted on all data
 * @param rows one a candidate, the best first
 * @param uncalibrated the mean negative log-likelihood of softmax alone, in nats
 */
public record CalibratorChoice(Calibrator chosen, List<Row> rows, double uncalibrated) {
  private static final double SMALLEST = 1e-12;

  /**
   * How a candidate did.
   *
   * @param name its slug
   * @param nll mean negative log-likelihood of held-out rows in nats; NaN if it was left out
   * @param behind how much worse than the best it is, in nats
   * @param standardError of that difference
   * @param parameters how many numbers its fits chose, at most
   * @param leftOut why it could not be used; empty if it could
   */
  public record Row(
      String name,
      double nll,
      double behind,
      double standardError,
      long parameters,
      String leftOut) {}

  @SuppressWarnings("ArrayRecordComponent")
  private record Score(Calibrator calibrator, double[] losses, long parameters, String leftOut) {
    double mean() {
      double sum = 0;
      for (double loss : losses) {
        sum += loss;
      }
      return sum / losses.length;
    }
  }

  /**
   * Chooses. The candidates are fitted on parts of the data on the way.
   *
   * @param candidates at least one
   * @param logits [N, C]
   * @param labels int64 [N]
   * @param folds at least 2
   * @throws OutriggerException if none can be fitted, with the reasons
   */
  public static CalibratorChoice of(
      List<Calibrator> candidates, Tensor logits, Tensor labels, int folds, long seed) {
    Shapes.check().tensor("logits", logits, "N", "C").tensor("labels", labels, "N");
    Shapes.notEmpty("logits", logits);
    Shapes.finite("logits", logits);
    Shapes.labels("labels", labels, logits.size(1), false);
    return Scopes.scoped(
        () -> {
          Folds parts = Folds.of(labels, folds, seed);
          Tensor z = logits.detach().to(ScalarType.Double);
          List<Score> scores = new ArrayList<>();
          candidates.forEach(each -> scores.add(score(each, z, labels, parts)));
          double[] plain = losses(torch.softmax(z, 1), labels);
          return choose(scores, new Score(candidates.get(0), plain, 0, "").mean());
        });
  }

  private static Score score(Calibrator calibrator, Tensor logits, Tensor labels, Folds folds) {
    double[] losses = new double[Math.toIntExact(logits.size(0))];
    long[] parameters = {0};
    if (calibrator instanceof FittedCalibrator<?> fitted
        && fitted.parametersFor(logits.size(1)) > logits.size(0)) {
      // Such a fit takes minutes with many classes, and is not chosen in the end.
      return new Score(
          calibrator,
          losses,
          0,
          fitted.parametersFor(logits.size(1)) + " parameters, but " + losses.length + " rows.");
    }
    try {
      for (int f = 0; f < folds.count(); f++) {
        int fold = f;
        Scopes.run(
            () -> {
              Tensor in = folds.training(fold);
              Tensor out = folds.held(fold);
              calibrator.fit(logits.index_select(0, in), labels.index_select(0, in));
              parameters[0] = Math.max(parameters[0], calibrator.parameterCount());
              double[] part =
                  losses(
                      calibrator.probabilities(logits.index_select(0, out)),
                      labels.index_select(0, out));
              long[] rows = Tensors.longs(out);
              for (int i = 0; i < rows.length; i++) {
                losses[(int) rows[i]] = part[i];
              }
            });
      }
      return new Score(calibrator, losses, parameters[0], "");
    } catch (OutriggerException e) {
      return new Score(calibrator, losses, 0, String.valueOf(e.getMessage()));
    }
  }

  /** Each row's loss; a probability below 1e-12 counts as that. */
  private static double[] losses(Tensor probabilities, Tensor labels) {
    return Tensors.doubles(
        probabilities
            .gather(1, labels.unsqueeze(1))
            .squeeze(1)
            .clamp_min(new Scalar(SMALLEST))
            .log()
            .neg());
  }

  private static CalibratorChoice choose(List<Score> scores, double uncalibrated) {
    List<Score> usable = scores.stream().filter(score -> score.leftOut.isEmpty()).toList();
    if (usable.isEmpty()) {
      throw new OutriggerException(
          "No calibrator can be fitted on this data. "
              + scores.stream()
                  .map(score -> score.calibrator.card().slug() + ": " + score.leftOut)
                  .collect(Collectors.joining(" ")));
    }
    Score best = usable.stream().min(Comparator.comparingDouble(Score::mean)).orElseThrow();
    Score simplest = best;
    List<Row> rows = new ArrayList<>();
    for (Score score : scores) {
      if (!score.leftOut.isEmpty()) {
        rows.add(row(score, Double.NaN, Double.NaN, Double.NaN));
        continue;
      }
      double[] behind = difference(score.losses, best.losses);
      rows.add(row(score, score.mean(), behind[0], behind[1]));
      if (behind[0] <= behind[1] && score.parameters < simplest.parameters) {
        simplest = score;
      }
    }
    // NaN, that is left out, comes last.
    rows.sort(Comparator.comparingDouble(Row::nll));
    return new CalibratorChoice(simplest.calibrator, List.copyOf(rows), uncalibrated);
  }

  private static Row row(Score score, double nll, double behind, double error) {
    return new Row(
        score.calibrator.card().slug(), nll, behind, error, score.parameters, score.leftOut);
  }

  /** The mean of a - b and its standard error. */
  private static double[] difference(double[] a, double[] b) {
    double mean = 0;
    for (int i = 0; i < a.length; i++) {
      mean += (a[i] - b[i]) / a.length;
    }
    double square = 0;
    for (int i = 0; i < a.length; i++) {
      double d = a[i] - b[i] - mean;
      square += d * d;
    }
    return new double[] {mean, Math.sqrt(square / Math.max(1, a.length - 1) / a.length)};
  }

  /** The choice in a sentence, for people. */
  public String reason() {
    String figures =
        rows.stream()
            .filter(row -> row.leftOut.isEmpty())
            .map(row -> String.format(Locale.ROOT, "%s %.3f", row.name, row.nll))
            .collect(Collectors.joining(", "));
    return "Calibrator "
        + chosen.card().slug()
        + " chosen: the fewest parameters within one standard error of the best cross-validated"
        + " negative log-likelihood ("
        + figures
        + String.format(Locale.ROOT, "; uncalibrated %.3f).", uncalibrated);
  }
}
