package org.outrigger.detect;

import java.util.LinkedHashMap;
import java.util.Map;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptional;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.State;
import org.outrigger.core.io.Stateful;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;

/**
 * Means and covariances of features in one pass, in float64: the number and the sum of the rows of
 * each class, and the scatter of all rows about their mean. Parts that were gathered apart can be
 * merged; the order changes the last bits only.
 *
 * <p>The scatter is kept about the running mean, so that features with a large common offset lose
 * no digits. Not safe for concurrent use.
 */
public final class ClassMoments implements Stateful, AutoCloseable {
  private static final String TYPE = "class-moments";
  private static final long BLOCK = 8192;

  private Tensor counts; // [C]
  private Tensor sums; // [C, D]
  private Tensor scatter; // [D, D], or empty if only means are wanted

  /**
   * Starts empty.
   *
   * @param classes the number of classes C; 1 if there are none
   * @param dimension the number of features D
   */
  public ClassMoments(long classes, long dimension) {
    this(classes, dimension, dimension);
  }

  private ClassMoments(long classes, long dimension, long scattered) {
    counts = Scopes.own(Scopes.tensor(() -> zeros(classes)));
    sums = Scopes.own(Scopes.tensor(() -> zeros(classes, dimension)));
    scatter = Scopes.own(Scopes.tensor(() -> zeros(scattered, scattered)));
  }

  /** Moments that leave the scatter out, which is most of the work: there are no covariances. */
  public static ClassMoments ofMeans(long classes, long dimension) {
    return new ClassMoments(classes, dimension, 0);
  }

  private static Tensor zeros(long... shape) {
    return torch.zeros(shape, new TensorOptions(ScalarType.Double));
  }

  /**
   * Adds rows.
   *
   * @param features [N, D], finite
   * @param labels int64 [N] in 0 .. C-1; null puts all rows in class 0
   */
  public void add(Tensor features, @Nullable Tensor labels) {
    Shapes shapes =
        Shapes.check().size("D", dimension(), "the moments").tensor("Features", features, "N", "D");
    if (labels != null) {
      shapes.tensor("Labels", labels, "N");
      Shapes.labels("Labels", labels, classes(), false);
    }
    long rows = features.size(0);
    for (long from = 0; from < rows; from += BLOCK) {
      long start = from;
      long length = Math.min(BLOCK, rows - from);
      Scopes.run(
          () ->
              addBlock(
                  features.narrow(0, start, length).to(ScalarType.Double),
                  labels == null ? null : labels.narrow(0, start, length)));
    }
  }

  private void addBlock(Tensor x, @Nullable Tensor labels) {
    if (scattered()) {
      Tensor mean = x.mean(0);
      double n = x.size(0);
      Tensor centred = x.sub(mean);
      shift(mean, n);
      scatter.addmm_(centred.t(), centred);
    }
    if (labels == null) {
      counts.add_(new Scalar((double) x.size(0)));
      sums.add_(x.sum(0));
    } else {
      counts.add_(torch.bincount(labels, new TensorOptional(), classes()));
      sums.index_add_(0, labels, x);
    }
  }

  private boolean scattered() {
    return scatter.numel() > 0;
  }

  private Tensor scatter() {
    if (!scattered()) {
      throw new IllegalStateException("These moments hold means only");
    }
    return scatter;
  }

  /** What joining {@code n} rows with that mean adds to the scatter besides their own. */
  private void shift(Tensor mean, double n) {
    double before = count();
    if (before > 0) {
      Tensor apart = mean.sub(mean());
      scatter.addr_(apart, apart, new Scalar(1.0), new Scalar(before * n / (before + n)));
    }
  }

  /** Adds what another gathered from other rows. */
  public void merge(ClassMoments other) {
    if (other.classes() != classes() || other.dimension() != dimension()) {
      throw new OutriggerException(
          "Moments of "
              + other.classes()
              + " classes and "
              + other.dimension()
              + " features cannot be merged into those of "
              + classes()
              + " and "
              + dimension()
              + ".");
    }
    if (other.count() > 0) {
      Scopes.run(
          () -> {
            if (scattered()) {
              shift(other.mean(), other.count());
              scatter.add_(other.scatter());
            }
            counts.add_(other.counts);
            sums.add_(other.sums);
          });
    }
  }

  /** The number of classes C. */
  public long classes() {
    return sums.size(0);
  }

  /** The number of features D. */
  public long dimension() {
    return sums.size(1);
  }

  /** The number of rows. */
  public double count() {
    return Scopes.scoped(() -> counts.sum().item_double());
  }

  /** The rows of each class, float64 [C], borrowed. */
  public Tensor counts() {
    return counts;
  }

  /** The mean of all rows, [D]. */
  public Tensor mean() {
    return Scopes.tensor(() -> sums.sum(0).div(counts.sum()));
  }

  /** The mean of each class, [C, D]; NaN for a class without rows. */
  public Tensor means() {
    return Scopes.tensor(() -> sums.div(counts.unsqueeze(1)));
  }

  /** The covariance of all rows about their mean, divided by their number, [D, D]. */
  public Tensor covariance() {
    return Scopes.tensor(() -> scatter().div(counts.sum()));
  }

  /** The largest mean square of a feature: how large the numbers behind the covariances are. */
  double scale() {
    return Scopes.scoped(() -> covariance().diagonal().add(mean().square()).amax().item_double());
  }

  /** The covariance of the rows about their class's mean, divided by their number, [D, D]. */
  public Tensor within() {
    return Scopes.tensor(
        () -> {
          Tensor present = counts.gt(new Scalar(0)).nonzero().flatten();
          Tensor apart =
              means().index_select(0, present).sub(mean()).mul(weights(present).unsqueeze(1));
          return scatter().sub(apart.t().mm(apart)).div(counts.sum());
        });
  }

  private Tensor weights(Tensor present) {
    return counts.index_select(0, present).sqrt();
  }

  /** The mean of (z - origin)(z - origin)^T over all rows, [D, D]. */
  public Tensor secondMoment(Tensor origin) {
    return Scopes.tensor(
        () -> {
          Tensor apart = mean().sub(origin);
          return scatter().div(counts.sum()).add(torch.outer(apart, apart));
        });
  }

  @Override
  public State state() {
    Map<String, Tensor> tensors = new LinkedHashMap<>();
    tensors.put("counts", counts);
    tensors.put("sums", sums);
    tensors.put("scatter", scatter);
    return new State(TYPE, 1, Map.of(), tensors);
  }

  @Override
  public void restore(State state) {
    state.expect(TYPE, 1);
    Shapes.check()
        .tensor("The saved counts", state.tensor("counts"), "C")
        .tensor("The saved sums", state.tensor("sums"), "C", "D")
        .tensor("The saved scatter", state.tensor("scatter"), "S", "S");
    long scattered = state.tensor("scatter").size(0);
    if (scattered != 0 && scattered != state.tensor("sums").size(1)) {
      throw new OutriggerException(
          "The saved scatter does not fit the saved sums: the file is damaged.");
    }
    Tensor[] next = new Tensor[3];
    Scopes.run(
        () -> {
          // Copies: adding changes them in place.
          next[0] = Scopes.own(state.tensor("counts").to(ScalarType.Double).clone());
          next[1] = Scopes.own(state.tensor("sums").to(ScalarType.Double).clone());
          next[2] = Scopes.own(state.tensor("scatter").to(ScalarType.Double).clone());
        });
    close();
    counts = next[0];
    sums = next[1];
    scatter = next[2];
  }

  @Override
  public void close() {
    Scopes.release(counts);
    Scopes.release(sums);
    Scopes.release(scatter);
  }
}
