package org.outrigger.evaluate.stream;

import java.util.List;
import org.outrigger.core.OutriggerException;

/**
 * What a stream came to.
 *
 * @param total over all rows
 * @param domains for each domain over all rounds, in the order of the stream
 * @param rounds for each round the domains
 * @param curve accuracy over time, if it was asked for
 */
public record StreamReport(
    Figures total, List<Figures> domains, List<List<Figures>> rounds, List<Point> curve) {
  public StreamReport {
    domains = List.copyOf(domains);
    rounds = rounds.stream().map(List::copyOf).toList();
    curve = List.copyOf(curve);
  }

  /**
   * Figures of some rows; NaN where no row has a label.
   *
   * @param name of the domain
   * @param rows how many there were
   * @param labelled how many of them have a label of 0 or more, on which all figures but the time
   *     rest
   * @param accuracy share of right predictions
   * @param ece expected calibration error, 15 equal-width bins
   * @param brier Brier score summed over classes, in [0, 2]
   * @param nll negative log-likelihood in nats
   * @param millisPerRow milliseconds of prediction and adaptation a row
   */
  public record Figures(
      String name,
      long rows,
      long labelled,
      double accuracy,
      double ece,
      double brier,
      double nll,
      double millisPerRow) {
    /** Share of wrong predictions. */
    public double error() {
      return 1 - accuracy;
    }
  }

  /**
   * A point of the curve.
   *
   * @param rows how many rows of the stream it comes after
   * @param accuracy over the rows since the last point; NaN if none of them has a label
   */
  public record Point(long rows, double accuracy) {}

  /** The plain mean of the domains' accuracies; those without labels are left out. */
  public double accuracy() {
    return mean(domains);
  }

  /** The plain mean of the domains' errors. */
  public double error() {
    return 1 - accuracy();
  }

  /** The plain mean of the domains' accuracies in a round, from 0. */
  public double accuracy(int round) {
    return mean(rounds.get(round));
  }

  /** The plain mean of the domains' accuracies in the last round. */
  public double lastAccuracy() {
    return accuracy(rounds.size() - 1);
  }

  /** The figures of the domain of that name. */
  public Figures domain(String name) {
    return domains.stream()
        .filter(domain -> domain.name().equals(name))
        .findFirst()
        .orElseThrow(
            () ->
                new OutriggerException(
                    "The stream has no domain '"
                        + name
                        + "': choose from "
                        + domains.stream().map(Figures::name).toList()
                        + "."));
  }

  private static double mean(List<Figures> domains) {
    return domains.stream()
        .filter(domain -> domain.labelled() > 0)
        .mapToDouble(Figures::accuracy)
        .average()
        .orElse(Double.NaN);
  }
}
