package org.outrigger.select.data;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import org.outrigger.core.OutriggerException;

/**
 * What was measured of a data set: values with the settings and the sample size that they hold for.
 *
 * @param name of the data set
 * @param n samples
 * @param embedding what made the embeddings, such as {@code features of resnet.pt}; empty if none
 * @param measures in order; at least one
 */
public record QdcReport(String name, int n, String embedding, List<Measure> measures) {
  /** What a measure is about. */
  public enum Family {
    QUALITY,
    DIVERSITY,
    COMPLEXITY
  }

  /**
   * One measure.
   *
   * @param name unique in the report
   * @param value finite
   * @param settings that it depends on, in words; may be empty
   * @param n samples that it was computed on
   * @param larger whether a larger value means more of its family
   * @param embedded whether it depends on the embeddings
   */
  public record Measure(
      Family family,
      String name,
      double value,
      String settings,
      int n,
      boolean larger,
      boolean embedded) {}

  public QdcReport {
    measures = List.copyOf(measures);
    if (measures.isEmpty()) {
      throw new OutriggerException(
          "There is nothing to measure of "
              + name
              + ": give texts, embeddings, attributes, quality, solve counts or losses.");
    }
  }

  /** The measure of that name, if it was taken. */
  public Optional<Measure> find(String measure) {
    return measures.stream().filter(m -> m.name().equals(measure)).findFirst();
  }

  /**
   * The value of that measure.
   *
   * @throws OutriggerException if it was not taken
   */
  public double value(String measure) {
    return find(measure)
        .orElseThrow(
            () ->
                new OutriggerException(
                    "'"
                        + measure
                        + "' was not measured of "
                        + name
                        + ". Measured: "
                        + String.join(", ", measures.stream().map(Measure::name).toList())
                        + "."))
        .value();
  }

  /**
   * This report minus an earlier one, over the measures that both have.
   *
   * @throws OutriggerException if the sets differ in size, in embeddings, or in the settings of a
   *     measure: such figures cannot be compared
   */
  public Map<String, Double> minus(QdcReport earlier) {
    comparable(earlier);
    Map<String, Double> differences = new LinkedHashMap<>();
    for (Measure mine : measures) {
      earlier
          .find(mine.name())
          .ifPresent(
              other -> {
                if (!mine.settings().equals(other.settings()) || mine.n() != other.n()) {
                  throw new OutriggerException(
                      mine.name()
                          + " was measured with other settings of "
                          + name
                          + " ("
                          + mine.settings()
                          + ") than of "
                          + earlier.name
                          + " ("
                          + other.settings()
                          + "): measure both alike.");
                }
                differences.put(mine.name(), mine.value() - other.value());
              });
    }
    return differences;
  }

  /** Demands that the figures of another report can be compared with these. */
  public void comparable(QdcReport other) {
    if (n != other.n) {
      throw new OutriggerException(
          name
              + " has "
              + n
              + " samples and "
              + other.name
              + " "
              + other.n
              + ": diversity depends on the number, so subsample to the smaller one first.");
    }
    if (!embedding.equals(other.embedding)) {
      throw new OutriggerException(
          "The embeddings of "
              + name
              + " come from '"
              + embedding
              + "', those of "
              + other.name
              + " from '"
              + other.embedding
              + "': use the same for both.");
    }
  }

  /** As JSON-able values. */
  public Map<String, Object> toJson() {
    Map<String, Object> all = new LinkedHashMap<>();
    all.put("name", name);
    all.put("n", n);
    all.put("embedding", embedding);
    List<Object> list = new ArrayList<>();
    for (Measure m : measures) {
      Map<String, Object> one = new LinkedHashMap<>();
      one.put("family", m.family().name().toLowerCase(Locale.ROOT));
      one.put("measure", m.name());
      one.put("value", m.value());
      one.put("settings", m.settings());
      one.put("n", m.n());
      one.put("largerMeansMore", m.larger());
      list.add(one);
    }
    all.put("measures", list);
    return all;
  }
}
