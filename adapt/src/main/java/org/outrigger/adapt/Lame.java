package org.outrigger.adapt;

import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.LongOptional;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.model.Output;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;

/**
 * LAME: the predictions of a batch are made to agree with those of their neighbours in feature
 * space, and the model stays as it is. Over rows y_i that are distributions it minimises {@code
 * sum_i KL(y_i || p_i) - 1/2 lambda sum_ij W_ij y_i . y_j}, by {@code Y <- softmax(log p + lambda W
 * Y)} until it settles.
 *
 * <p>The batch is the unit: an input gets another answer in another batch, and one alone keeps its
 * own. It pays where neighbours in a stream share their class; in batches of many classes it costs
 * a little with {@code knn}, and {@code rbf} then draws all rows to one class. The logits that it
 * gives are log-probabilities.
 *
 * <p>Boudiaf et al., "Parameter-free Online Test-time Adaptation", CVPR 2022.
 */
@Card(
    slug = "lame",
    name = "LAME",
    summary = "Neighbours in a batch agree on their classes; nothing is trained.",
    paper = "Boudiaf et al., Parameter-free Online Test-time Adaptation, CVPR 2022",
    year = 2022,
    room = Room.ADAPT,
    needs = {Need.LOGITS, Need.FEATURES},
    state = "none")
public final class Lame extends Decorator<Lame.Settings> {
  private static final double FLOOR = 1e-10;
  private static final double SETTLED = 1e-8;
  private static final double ROW_SUM = 1e-4;
  private static final long BY_DIFFERENCES = 2;

  /** How alike two rows are. */
  public enum Affinity {
    /** 1 for the nearest rows of a row, else 0. */
    KNN,
    /** {@code exp(-d^2 / 2 sigma^2)}, sigma being the mean distance to the k-th row, itself 1st. */
    RBF,
    /** The cosine. */
    LINEAR
  }

  /**
   * @param affinity how alike two rows are; {@code rbf} is the default of the authors' code
   * @param knn how many neighbours a row has, or the rank that sets the width of {@code rbf}; 1 or
   *     more
   * @param forceSymmetry whether the affinities are averaged with their transpose
   * @param boundLambda how much neighbours count, 0 or more
   * @param maxSteps the most iterations, 1 or more
   */
  public record Settings(
      Affinity affinity, int knn, boolean forceSymmetry, double boundLambda, int maxSteps) {
    public Settings {
      Objects.requireNonNull(affinity);
      HyperParameter.atLeast("knn", knn, 1);
      HyperParameter.notNegative("boundLambda", boundLambda);
      HyperParameter.atLeast("maxSteps", maxSteps, 1);
    }

    public static Settings defaults() {
      return new Settings(Affinity.KNN, 5, false, 1, 100);
    }
  }

  /**
   * What the iterations came to.
   *
   * @param logAssignments [N, C], float64: the logarithm of Y
   * @param energies the bound that each iteration minimised, in order
   */
  public record Assignment(Tensor logAssignments, List<Double> energies) {}

  public Lame() {
    this(Settings.defaults());
  }

  public Lame(Settings settings) {
    super(settings, new Source());
  }

  /**
   * The whole correction of a batch.
   *
   * @param probabilities [N, C], rows that sum to one
   * @param features [N, D]
   * @throws OutriggerException if they are not finite, differ in rows, or are no distributions
   */
  public static Assignment assign(Tensor probabilities, Tensor features, Settings settings) {
    check(probabilities, features);
    return of(probabilities, features, settings);
  }

  private static Assignment of(Tensor probabilities, Tensor features, Settings settings) {
    return Scopes.scoped(
        () -> {
          Tensor p = probabilities.to(ScalarType.Double);
          Tensor kernel =
              p.size(0) == 1
                  ? p.new_zeros(1, 1) // A row alone has no neighbour, and is not its own.
                  : affinity(unit(features), settings.affinity(), settings.knn());
          if (settings.forceSymmetry()) {
            kernel = symmetric(kernel);
          }
          return kept(smooth(p, kernel, settings.boundLambda(), settings.maxSteps()));
        });
  }

  private static Assignment kept(Assignment made) {
    return new Assignment(Scopes.keep(new Tensor(made.logAssignments())), made.energies());
  }

  private static void check(Tensor probabilities, Tensor features) {
    Shapes.check()
        .tensor("The probabilities", probabilities, "N", "C")
        .tensor("The features", features, "N", "D");
    Shapes.notEmpty("The batch", probabilities);
    Shapes.finite("The probabilities", probabilities);
    Shapes.finite("The features", features);
    boolean distributions =
        Scopes.scoped(
            () ->
                probabilities.amin().item_double() >= 0
                    && probabilities.sum(1).sub(new Scalar(1.0)).abs().amax().item_double()
                        <= ROW_SUM);
    if (!distributions) {
      throw new OutriggerException(
          "LAME corrects probabilities, but these rows are negative somewhere or do not sum to one:"
              + " give the softmax of logits.");
    }
  }

  /** Rows scaled to unit length in float64, [N, D]; a zero row stays zero. */
  public static Tensor unit(Tensor features) {
    return Scopes.tensor(() -> torch.normalize(features.to(ScalarType.Double)));
  }

  /**
   * The affinities W of a batch.
   *
   * @param unit what {@link #unit} gave, [N, D]
   * @param knn see {@link Settings}
   * @return [N, N]
   */
  public static Tensor affinity(Tensor unit, Affinity affinity, int knn) {
    return Scopes.tensor(
        () -> {
          if (affinity == Affinity.LINEAR) {
            return unit.mm(unit.t());
          }
          long rows = unit.size(0);
          Tensor apart = torch.cdist(unit, unit, 2, new LongOptional(BY_DIFFERENCES));
          if (affinity == Affinity.RBF) {
            Tensor ranked = apart.topk(Math.min(knn, rows), 1, false, true).get0();
            double sigma = ranked.select(1, ranked.size(1) - 1).mean().item_double();
            return sigma == 0
                ? apart.eq(new Scalar(0.0)).to(unit.scalar_type())
                : apart.mul(apart).div(new Scalar(-2 * sigma * sigma)).exp();
          }
          long neighbours = Math.min(knn, rows - 1);
          Tensor none = torch.zeros_like(apart);
          apart.fill_diagonal_(new Scalar(Double.POSITIVE_INFINITY));
          Tensor nearest = apart.topk(neighbours, 1, false, false).get1();
          return none.scatter_(1, nearest, new Scalar(1.0));
        });
  }

  /** The mean of a square matrix and its transpose. */
  public static Tensor symmetric(Tensor kernel) {
    return Scopes.tensor(() -> kernel.add(kernel.t()).mul(new Scalar(0.5)));
  }

  /**
   * The iterations.
   *
   * @param probabilities [N, C], float64
   * @param kernel W, [N, N], float64
   */
  public static Assignment smooth(
      Tensor probabilities, Tensor kernel, double boundLambda, int maxSteps) {
    List<Double> energies = new ArrayList<>();
    try (PointerScope all = new PointerScope()) {
      Tensor log = probabilities.add(new Scalar(FLOOR)).log();
      Scalar one = new Scalar(1.0);
      Scalar lambda = new Scalar(boundLambda);
      Tensor assigned = torch.log_softmax(log, 1);
      for (int n = 0; n < maxSteps; n++) {
        Tensor before = assigned;
        try (PointerScope step = new PointerScope()) {
          Tensor pulled = torch.addmm(log, kernel, before.exp(), one, lambda);
          Tensor after = torch.log_softmax(pulled, 1);
          energies.add(energy(log, pulled, after, boundLambda));
          assigned = Scopes.keep(after);
        }
        before.close();
        if (n > 1) {
          double previous = energies.get(n - 1);
          if (Math.abs(energies.get(n) - previous) <= SETTLED * Math.abs(previous)) {
            break;
          }
        }
      }
      return new Assignment(Scopes.keep(new Tensor(assigned)), List.copyOf(energies));
    }
  }

  /**
   * {@code sum U Y - lambda P Y + Y log Y} of Y = softmax(P - U), where P has lambda in it: since
   * log Y is P - U less its log-sum, minus those sums and what lambda leaves of P.
   *
   * @param pulled P - U
   * @param assigned log Y
   */
  private static double energy(Tensor log, Tensor pulled, Tensor assigned, double lambda) {
    double sums = pulled.sub(assigned).sum().item_double() / pulled.size(1);
    return lambda == 1
        ? -sums
        : (1 - lambda) * pulled.sub(log).mul(assigned.exp()).sum().item_double() - sums;
  }

  @Override
  protected Output step(Tensor inputs) {
    Output output = inner().adapt(inputs);
    Tensor logits = output.logits();
    Shapes.finite("The logits", logits);
    Shapes.finite("The features", output.features());
    Tensor probabilities = torch.softmax(logits.to(ScalarType.Double), 1);
    Tensor assigned = of(probabilities, output.features(), settings()).logAssignments();
    return new Output(assigned.to(logits.scalar_type()), output.features());
  }
}
