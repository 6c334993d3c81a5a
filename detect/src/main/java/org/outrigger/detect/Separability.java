package org.outrigger.detect;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.metric.DetectionMetrics;
import org.outrigger.core.metric.Interval;
import org.outrigger.core.model.Outputs;

/**
 * How far a frozen backbone with a linear probe can be trusted: for each kind of unknown inputs,
 * how well scores of the probe (MSP, energy) and the distance to the nearest known feature ({@link
 * PtOod}) tell them apart, and whether a line in feature space could at all.
 *
 * <p>The two questions differ. A classifier that is told which inputs are unknown usually separates
 * them almost perfectly ({@code separability}), while the probe, which only knows the known
 * classes, accepts them with confidence ({@code accepted}). The separating direction is there; the
 * probe's boundary does not use it. What this measures is no proof of a cause.
 *
 * <p>Miyai et al., "Can Pre-trained Networks Detect Familiar Out-of-Distribution Data?", 2023.
 *
 * @param backbone its name
 * @param known name of the known data
 * @param fitRows known rows that the probe and the bank were fitted on
 * @param testRows known rows that everything was measured on
 * @param accuracy share of these that the probe classifies right
 * @param ownHead whether the model's own last layer took the place of a fitted probe
 * @param kinds one a kind of unknown inputs
 */
public record Separability(
    String backbone,
    String known,
    long fitRows,
    long testRows,
    double accuracy,
    boolean ownHead,
    List<Kind> kinds) {
  private static final double UNSAFE_BELOW = 0.80;
  private static final double UNSAFE_GAP = 0.15;
  private static final double INVERTED_BELOW = 0.40;

  /** What {@link Kind#unsafe} says. */
  public static final String UNSAFE = "probe scores unsafe for familiar data";

  public Separability {
    kinds = List.copyOf(kinds);
  }

  /**
   * How to measure.
   *
   * @param k which neighbour the distance is measured to, from 1
   * @param normalise whether features are compared at unit length
   * @param bank the share of the rows fitted on that the bank keeps, above 0 and up to 1
   * @param ownHead whether the model's own last layer is judged instead of a probe fitted here
   * @param probe how probes are trained
   * @param seed of the choice of rows, the halves and the intervals
   */
  public record Settings(
      int k,
      boolean normalise,
      double bank,
      boolean ownHead,
      LinearProbe.Settings probe,
      long seed) {
    public Settings {
      new PtOod.Settings(k, normalise, bank, seed);
    }

    public static Settings defaults() {
      return new Settings(1, true, 1, false, LinearProbe.Settings.defaults(), 0);
    }

    public Settings withK(int neighbour) {
      return new Settings(neighbour, normalise, bank, ownHead, probe, seed);
    }

    public Settings withBank(double share) {
      return new Settings(k, normalise, share, ownHead, probe, seed);
    }

    public Settings withOwnHead(boolean own) {
      return new Settings(k, normalise, bank, own, probe, seed);
    }

    public Settings withProbe(LinearProbe.Settings how) {
      return new Settings(k, normalise, bank, ownHead, how, seed);
    }

    /** With another seed, for the probe too. */
    public Settings withSeed(long value) {
      return new Settings(k, normalise, bank, ownHead, probe.withSeed(value), value);
    }
  }

  /**
   * Unknown inputs to measure on. An input of a known class is not unknown, whatever data it comes
   * from: either the names of the data's classes show that none is shared, or the caller states it.
   *
   * @param name for reports
   * @param outputs of the model
   * @param classNames of the data; empty if it has none
   * @param noSharedClass the caller's word that no input belongs to a known class
   */
  public record Unknown(
      String name, Outputs outputs, List<String> classNames, boolean noSharedClass) {
    public Unknown {
      classNames = List.copyOf(classNames);
    }
  }

  /**
   * One score against one kind of unknown inputs.
   *
   * @param metrics AUROC, and FPR95 with known inputs positive, among others
   * @param auroc with its 95 % bootstrap interval
   */
  public record Score(DetectionMetrics metrics, Interval auroc) {}

  /**
   * One kind of unknown inputs.
   *
   * @param name of the data
   * @param rows how many
   * @param separability accuracy, on held-out halves of equal size, of a linear classifier that was
   *     told known from unknown; 0.5 is inseparable
   * @param accepted share of the unknown inputs with a largest softmax probability above the fifth
   *     percentile of the known ones', which is the FPR95 of MSP
   * @param msp of the probe
   * @param energy of the probe
   * @param knn distance in feature space
   */
  public record Kind(
      String name,
      long rows,
      Interval separability,
      double accepted,
      Score msp,
      Score energy,
      Score knn) {
    /**
     * Whether scores of the probe are {@value Separability#UNSAFE}: the AUROC of MSP is below 0.80
     * and more than 0.15 below that of the distance.
     */
    public boolean unsafe() {
      double auroc = msp.metrics.auroc();
      return auroc < UNSAFE_BELOW && knn.metrics.auroc() - auroc > UNSAFE_GAP;
    }

    /** Whether the probe finds these unknown inputs more familiar than known ones. */
    public boolean inverted() {
      return Math.min(msp.metrics.auroc(), energy.metrics.auroc()) < INVERTED_BELOW;
    }

    /** What follows for a user, in a sentence or two. */
    public String advice() {
      String inverted =
          inverted()
              ? " The probe is surer of them than of known inputs: its ranking is inverted here, and"
                  + " turned round it would miss other unknown inputs."
              : "";
      if (unsafe()) {
        return "Probe scores are unsafe for this data: use pt-ood or knn instead." + inverted;
      }
      if (Math.max(knn.metrics.auroc(), msp.metrics.auroc()) < UNSAFE_BELOW) {
        return "Neither the probe nor the distance finds these inputs reliably: take another"
            + " backbone or fine-tune this one."
            + inverted;
      }
      return "Scores of the probe are no worse here than the distance allows." + inverted;
    }
  }

  /**
   * The difference of two backbones on the same kind, first minus second.
   *
   * @param name of the kind
   * @param separability difference of the linear separability
   * @param msp difference of the AUROC
   * @param energy difference of the AUROC
   * @param knn difference of the AUROC
   */
  public record Difference(
      String name, double separability, double msp, double energy, double knn) {}

  /** Whether scores of the probe are unsafe for one kind at least. */
  public boolean unsafe() {
    return kinds.stream().anyMatch(Kind::unsafe);
  }

  /** This backbone minus another, such as supervised minus self-supervised, kind by kind. */
  public List<Difference> minus(Separability other) {
    List<Difference> differences = new ArrayList<>();
    for (Kind kind : kinds) {
      other.kinds.stream()
          .filter(o -> o.name.equals(kind.name))
          .findFirst()
          .ifPresent(
              o ->
                  differences.add(
                      new Difference(
                          kind.name,
                          kind.separability.estimate() - o.separability.estimate(),
                          kind.msp.metrics.auroc() - o.msp.metrics.auroc(),
                          kind.energy.metrics.auroc() - o.energy.metrics.auroc(),
                          kind.knn.metrics.auroc() - o.knn.metrics.auroc())));
    }
    return differences;
  }

  /**
   * Measures a backbone. The rows of {@code fit} train the probe and fill the bank; nothing else
   * sees them.
   *
   * @param backbone its name
   * @param known name of the known data
   * @param classNames of the known data, or empty
   * @param fit labelled outputs of known inputs
   * @param test labelled outputs of other known inputs
   * @param unknown at least one kind
   * @throws OutriggerException if a kind shares a class with the known data, or nothing says that
   *     it does not
   */
  public static Separability of(
      String backbone,
      String known,
      List<String> classNames,
      Outputs fit,
      Outputs test,
      List<Unknown> unknown,
      Settings settings) {
    return SeparabilityMeasurement.of(backbone, known, classNames, fit, test, unknown, settings);
  }

  /** The figures as JSON types. */
  public Map<String, Object> toJson() {
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("backbone", backbone);
    json.put("known", known);
    json.put("fitRows", fitRows);
    json.put("testRows", testRows);
    json.put("accuracy", accuracy);
    json.put("ownHead", ownHead);
    List<Object> all = new ArrayList<>();
    for (Kind kind : kinds) {
      Map<String, Object> one = new LinkedHashMap<>();
      one.put("name", kind.name);
      one.put("rows", kind.rows);
      one.put("linearSeparability", kind.separability);
      one.put("accepted", kind.accepted);
      one.put("msp", json(kind.msp));
      one.put("energy", json(kind.energy));
      one.put("knn", json(kind.knn));
      one.put("unsafe", kind.unsafe());
      one.put("inverted", kind.inverted());
      one.put("advice", kind.advice());
      all.add(one);
    }
    json.put("unknown", all);
    return json;
  }

  private static Map<String, Object> json(Score score) {
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("auroc", score.auroc);
    json.put("fpr95IdPositive", score.metrics.fprIdPositive());
    json.put("fpr95OodPositive", score.metrics.fprOodPositive());
    return json;
  }
}
