package org.outrigger.select.data;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.outrigger.core.OutriggerException;

/**
 * What each stage of a pipeline of data did: seed, generate, filter, evolve, remove duplicates. All
 * stages are measured on as many samples, so that the differences are of the stage, not of the
 * size.
 *
 * @param stages in order, two or more
 */
public record PipelineReport(List<Stage> stages) {
  /**
   * The set after one stage.
   *
   * @param name of the stage
   * @param size samples that the stage left
   * @param report measured on as many samples as every other stage
   * @param change of each measure since the stage before; empty for the first
   */
  public record Stage(String name, int size, QdcReport report, Map<String, Double> change) {}

  public PipelineReport {
    stages = List.copyOf(stages);
  }

  /**
   * Measures the stages.
   *
   * @param sets the set after each stage, named as the stage
   * @throws OutriggerException if there are fewer than two, or their embeddings differ in source
   */
  public static PipelineReport of(Qdc qdc, List<QdcData> sets) {
    if (sets.size() < 2) {
      throw new OutriggerException(
          "A pipeline has two stages or more: what one did shows against the one before.");
    }
    List<QdcReport> reports = qdc.compare(sets);
    List<Stage> stages = new ArrayList<>();
    for (int i = 0; i < reports.size(); i++) {
      QdcReport report = reports.get(i);
      stages.add(
          new Stage(
              report.name(),
              sets.get(i).size(),
              report,
              i == 0 ? Map.of() : report.minus(reports.get(i - 1))));
    }
    return new PipelineReport(stages);
  }

  /** As JSON-able values. */
  public List<Map<String, Object>> toJson() {
    return stages.stream()
        .map(
            stage -> {
              Map<String, Object> one = new LinkedHashMap<>();
              one.put("stage", stage.name());
              one.put("size", stage.size());
              one.put("report", stage.report().toJson());
              one.put("change", stage.change());
              return one;
            })
        .toList();
  }
}
