package org.outrigger.stream;

import java.util.Arrays;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

/**
 * Prior re-estimation by maximum likelihood: from the source's mix of classes on, {@code r_ic ~
 * p_c(x_i) q_c / p_c}, each row normalised, and {@code q = mean r}, until q stays. The
 * probabilities must be calibrated; an overconfident model exaggerates the change.
 *
 * <p>Saerens, Latinne, Decaestecker, "Adjusting the Outputs of a Classifier to New a Priori
 * Probabilities: A Simple Procedure", Neural Computation 2002.
 */
@Card(
    slug = "em-prior",
    name = "EM prior re-estimation",
    summary = "The changed mix of classes by maximum likelihood; calibrate first.",
    paper =
        "Saerens, Latinne, Decaestecker. Adjusting the Outputs of a Classifier. Neural Computation 2002",
    year = 2002,
    room = Room.STREAM,
    needs = {Need.LOGITS, Need.LABELS},
    state = "the mix of classes of the source")
public final class EmPrior extends SourceEstimator<EmPrior.Settings> {
  /**
   * @param iterations at most, 1 or more
   * @param tolerance no share changing by more ends it, 0 or more
   */
  public record Settings(int iterations, double tolerance) {
    public Settings {
      HyperParameter.atLeast("iterations", iterations, 1);
      HyperParameter.notNegative("tolerance", tolerance);
    }

    public static Settings defaults() {
      return new Settings(1000, 1e-8);
    }
  }

  public EmPrior() {
    this(Settings.defaults());
  }

  public EmPrior(Settings settings) {
    super(settings);
  }

  /**
   * The estimated mix of classes.
   *
   * @param probabilities float64 [M, C]
   * @param source the mix that they were learned with, positive, [C]
   * @return [C], sums to one
   */
  public static Tensor prior(
      Tensor probabilities, Tensor source, int iterations, double tolerance) {
    return Scopes.tensor(
        () -> {
          double[] q = Tensors.doubles(source);
          Tensor likelihood = probabilities.div(source.unsqueeze(0));
          for (int i = 0; i < iterations; i++) {
            double[] now = q;
            double[] next =
                Scopes.scoped(
                    () -> {
                      Tensor r = likelihood.mul(Tensors.of(now, now.length).unsqueeze(0));
                      return Tensors.doubles(r.div(r.sum(1).unsqueeze(1)).mean(0));
                    });
            q = next;
            double moved = 0;
            for (int c = 0; c < q.length; c++) {
              moved = Math.max(moved, Math.abs(q[c] - now[c]));
            }
            if (moved <= tolerance) {
              break;
            }
          }
          return Tensors.of(q, q.length);
        });
  }

  @Override
  double[][] learn(Tensor probabilities, Tensor labels) {
    double[] source = Tensors.doubles(shares(labels, probabilities.size(1)));
    for (int c = 0; c < source.length; c++) {
      if (source[c] == 0) {
        throw new OutriggerException(
            "No source row has class " + c + ": give held-out data of every class.");
      }
    }
    return new double[][] {source};
  }

  @Override
  int rows(int classes) {
    return 1;
  }

  @Override
  LabelShift estimate(double[][] learned, Tensor probabilities) {
    Settings s = settings();
    double[] source = learned[0];
    double[] q =
        Tensors.doubles(
            prior(probabilities, Tensors.of(source, source.length), s.iterations, s.tolerance));
    double[] weights = new double[q.length];
    Arrays.setAll(weights, c -> q[c] / source[c]);
    return new LabelShift(weights, q, false);
  }
}
