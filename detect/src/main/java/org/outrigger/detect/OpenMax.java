package org.outrigger.detect;

import java.util.ArrayList;
import java.util.List;
import org.bytedeco.pytorch.LongOptional;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.ScalarOptional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.model.Outputs;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;
import org.outrigger.core.torch.Tensors;

/**
 * OpenMax: a softmax with one more class for the unknown. Each of the alpha best classes hands the
 * share {@code omega_i w_c} of its logit to that class, where {@code w_c} says how extreme the
 * logit vector's distance from the class mean is: the CDF of a Weibull distribution fitted to the
 * class's largest known distances. The score is the unknown class's probability.
 *
 * <p>Bendale and Boult, "Towards Open Set Deep Networks", CVPR 2016.
 */
@Card(
    slug = "openmax",
    name = "OpenMax",
    summary = "Softmax with an unknown class, from extreme distances to each class's mean logits.",
    paper = "Bendale, Boult. Towards Open Set Deep Networks. CVPR 2016",
    year = 2016,
    room = Room.DETECT,
    needs = {Need.LOGITS, Need.LABELS},
    state = "for each class the mean logits and the Weibull shape, scale and shift")
public final class OpenMax extends FittedDetector<OpenMax.Settings> {
  /** The shift of the tail before the fit, as in the reference implementation. */
  public static final double TRANSLATION = 10_000;

  /** Exact differences: the product form loses digits for close points. */
  private static final long DIRECT = 2;

  /**
   * @param alpha how many of the best classes are revised; all if there are fewer; 3 by default
   * @param tailSize how many of the largest distances of a class are fitted, at least 2; 20 by
   *     default
   * @param euclidWeight the weight of the Euclidean distance; the cosine distance has the rest; 1
   *     by default
   * @param correctOnly whether only correctly classified rows make the class statistics
   */
  public record Settings(int alpha, int tailSize, double euclidWeight, boolean correctOnly) {
    public Settings {
      HyperParameter.atLeast("alpha", alpha, 1);
      HyperParameter.atLeast("tailSize", tailSize, 2);
      HyperParameter.between("euclidWeight", euclidWeight, 0, 1);
    }

    public static Settings defaults() {
      return new Settings(3, 20, 1, true);
    }
  }

  public OpenMax() {
    this(Settings.defaults());
  }

  public OpenMax(Settings settings) {
    super(settings);
  }

  /**
   * The mean logits of each class.
   *
   * @param logits [N, C]
   * @param labels int64 [N]
   * @return float64 [C, C]; NaN for a class without rows
   */
  public static Tensor centres(Tensor logits, Tensor labels) {
    long classes = logits.size(1);
    Tensor sums =
        torch
            .zeros(new long[] {classes, classes}, new TensorOptions(ScalarType.Double))
            .index_add_(0, labels, logits.to(ScalarType.Double));
    return sums.div(torch.one_hot(labels, classes).sum(0).unsqueeze(1));
  }

  /**
   * The distance of each row from each class mean.
   *
   * @param logits [N, C]
   * @param centres float64 [K, C]
   * @return float64 [N, K]
   */
  public static Tensor distances(Tensor logits, Tensor centres, double euclidWeight) {
    Tensor x = logits.to(ScalarType.Double);
    Tensor euclid = torch.cdist(x, centres, 2, new LongOptional(DIRECT));
    if (euclidWeight == 1) {
      return euclid;
    }
    Tensor cosine = torch.matmul(unit(x), unit(centres).t()).neg().add(new Scalar(1.0));
    return euclid.mul(new Scalar(euclidWeight)).add(cosine.mul(new Scalar(1 - euclidWeight)));
  }

  private static Tensor unit(Tensor rows) {
    Tensor length = rows.norm(new ScalarOptional(new Scalar(2)), new long[] {1}, true);
    return rows.div(length.clamp_min(new Scalar(Double.MIN_NORMAL)));
  }

  /**
   * How extreme each distance is: the Weibull CDF at the shifted distance.
   *
   * @param distances float64 [N, C]
   * @param weibull float64 [C, 3]: shape, scale, smallest distance of the tail
   * @param translation the shift that was added before the fit
   * @return float64 [N, C], in [0, 1]
   */
  public static Tensor extremeness(Tensor distances, Tensor weibull, double translation) {
    Tensor shifted =
        distances
            .sub(weibull.select(1, 2))
            .add(new Scalar(translation))
            .clamp_min(new Scalar(0.0))
            .div(weibull.select(1, 1));
    return torch.pow(shifted, weibull.select(1, 0)).neg().expm1().neg();
  }

  /**
   * The revised softmax.
   *
   * @param logits [N, C]
   * @param extremeness float64 [N, C]
   * @param alpha how many of the best classes are revised
   * @return float64 [N, C+1], the unknown class first; each row sums to 1
   */
  public static Tensor probabilities(Tensor logits, Tensor extremeness, int alpha) {
    Tensor f = logits.to(ScalarType.Double);
    int revised = (int) Math.min(alpha, f.size(1));
    double[] omega = new double[revised];
    for (int i = 0; i < revised; i++) {
      omega[i] = (revised - i) / (double) revised;
    }
    Tensor best = torch.topk(f, revised, 1, true, true).get1();
    Tensor weights =
        torch
            .zeros_like(f)
            .scatter(1, best, Tensors.of(omega, 1, revised).expand_as(best).contiguous());
    Tensor taken = f.mul(weights).mul(extremeness);
    Tensor unknown = taken.sum(new long[] {1}, true, null);
    return torch.softmax(torch.cat(new TensorVector(unknown, f.sub(taken)), 1), 1);
  }

  @Override
  protected Fitted learn(Outputs known) {
    long classes = known.classes();
    Tensor sums = torch.zeros(new long[] {classes, classes}, new TensorOptions(ScalarType.Double));
    Tensor counts = torch.zeros(new long[] {classes}, new TensorOptions(ScalarType.Long));
    Rows.forEach(
        who(),
        known,
        rows -> {
          Tensor kept = kept(rows);
          Tensor labels = rows.labels().index_select(0, kept);
          Tensor logits = rows.logits().index_select(0, kept);
          sums.index_add_(0, labels, logits.to(ScalarType.Double));
          counts.add_(torch.one_hot(labels, classes).sum(0));
        });
    long[] sizes = Tensors.longs(counts);
    for (int c = 0; c < sizes.length; c++) {
      if (sizes[c] < 2) {
        throw new OutriggerException(
            who()
                + " needs at least two "
                + (settings().correctOnly() ? "correctly classified " : "")
                + "known rows of each class, but class "
                + c
                + " has "
                + sizes[c]
                + ".");
      }
    }
    Tensor centres = sums.div(counts.unsqueeze(1));
    List<Tensor> labels = new ArrayList<>();
    List<Tensor> own = new ArrayList<>();
    try {
      Rows.forEach(
          who(),
          known,
          rows -> {
            Tensor kept = kept(rows);
            Tensor label = rows.labels().index_select(0, kept);
            Tensor all =
                distances(rows.logits().index_select(0, kept), centres, settings().euclidWeight());
            labels.add(Scopes.own(label));
            own.add(Scopes.own(all.gather(1, label.unsqueeze(1)).flatten()));
          });
      Tensor weibull = tails(cat(labels), cat(own), sizes);
      return new Fitted(classes, 0).with("centres", centres).with("weibull", weibull);
    } finally {
      labels.forEach(Scopes::release);
      own.forEach(Scopes::release);
    }
  }

  /** The positions of the rows that count. */
  private Tensor kept(Rows rows) {
    Tensor all = torch.ones_like(rows.labels());
    return (settings().correctOnly() ? Classes.predicted(rows.logits()).eq(rows.labels()) : all)
        .nonzero()
        .flatten();
  }

  private Tensor tails(Tensor labels, Tensor distances, long[] sizes) {
    double[] flat = new double[sizes.length * 3];
    for (int c = 0; c < sizes.length; c++) {
      int label = c;
      double[] tail =
          Scopes.scoped(
              () -> {
                Tensor ofClass =
                    distances.index_select(0, labels.eq(new Scalar(label)).nonzero().flatten());
                long size = Math.min(settings().tailSize(), sizes[label]);
                return Tensors.doubles(torch.topk(ofClass, size, 0, true, true).get0());
              });
      double min = tail[tail.length - 1];
      try {
        Weibull weibull = Weibull.fit(tail, TRANSLATION - min);
        flat[3 * c] = weibull.shape();
        flat[3 * c + 1] = weibull.scale();
        flat[3 * c + 2] = min;
      } catch (OutriggerException e) {
        throw new OutriggerException(
            who()
                + " cannot fit the tail of class "
                + c
                + ": its largest distances from the class mean are all equal.",
            e);
      }
    }
    return Tensors.of(flat, sizes.length, 3);
  }

  private static Tensor cat(List<Tensor> parts) {
    return torch.cat(new TensorVector(parts.toArray(new Tensor[0])), 0);
  }

  @Override
  protected void shapes(Shapes shapes, Fitted fitted) {
    shapes
        .tensor("The saved centres", fitted.tensor("centres"), "C", "C")
        .tensor("The saved Weibull parameters", fitted.tensor("weibull"), "C", "3");
  }

  @Override
  protected Tensor score(Fitted fitted, Rows rows) {
    Tensor logits = rows.logits();
    Shapes.check()
        .size("C", fitted.classes(), "the data that " + who() + " was fitted on")
        .tensor("The logits", logits, "N", "C");
    Tensor distances = distances(logits, fitted.tensor("centres"), settings().euclidWeight());
    Tensor extremeness = extremeness(distances, fitted.tensor("weibull"), TRANSLATION);
    return probabilities(logits, extremeness, settings().alpha()).select(1, 0);
  }
}
