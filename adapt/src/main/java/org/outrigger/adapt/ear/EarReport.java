package org.outrigger.adapt.ear;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.Batch;
import org.outrigger.core.data.Batches;
import org.outrigger.core.data.Dataset;
import org.outrigger.core.metric.Accuracy;
import org.outrigger.core.model.Capabilities;
import org.outrigger.core.model.Model;
import org.outrigger.core.torch.Tensors;

/**
 * What an EAR has learned, what that costs, and how it does on data: whether domains are confused
 * shows which of them are near each other and could share an adaptor.
 *
 * @param encoderParameters how many parameters the encoder has; 0 if it does not show them
 * @param bytes of projections, routing and class descriptors
 * @param domains what is known of each
 * @param tests how it does on data
 */
public record EarReport(
    long encoderParameters, long bytes, List<LearnedDomain> domains, List<Test> tests) {
  /**
   * How an EAR does on a data set.
   *
   * @param name of the data set; if a domain is called so, its rows should be routed there
   * @param rows how many it has
   * @param accuracy of the routed predictions; NaN without labels
   * @param routed how many rows went to each domain
   * @param meanScore the mean OOD score
   * @param unknown the share of rows below the threshold of their domain
   */
  public record Test(
      String name,
      long rows,
      double accuracy,
      List<Long> routed,
      double meanScore,
      double unknown) {}

  /**
   * Measures an EAR.
   *
   * @param tests data by name, may be empty
   */
  public static EarReport of(Ear ear, Map<String, ? extends Dataset> tests, int batchSize) {
    List<LearnedDomain> domains = ear.domains();
    if (domains.isEmpty()) {
      throw new OutriggerException("EAR knows no domain yet: there is nothing to report.");
    }
    List<Test> measured = new ArrayList<>();
    tests.forEach((name, data) -> measured.add(test(ear, name, data, batchSize, domains.size())));
    return new EarReport(parameters(ear.model()), ear.bytes(), domains, measured);
  }

  private static Test test(Ear ear, String name, Dataset data, int batchSize, int domains) {
    long[] routed = new long[domains];
    Accuracy accuracy = new Accuracy();
    double scores = 0;
    long unknown = 0;
    try (Batches batches = data.batches(batchSize)) {
      while (batches.hasNext()) {
        try (PointerScope scope = new PointerScope();
            Batch batch = batches.next()) {
          Routed rows = ear.predict(batch);
          for (long domain : Tensors.longs(rows.domains())) {
            routed[(int) domain]++;
          }
          scores += rows.scores().sum().item_double();
          unknown += rows.unknown().sum().item_long();
          Tensor labels = batch.labels();
          if (labels != null) {
            accuracy.add(rows.logits(), labels);
          }
        }
      }
    }
    long rows = Arrays.stream(routed).sum();
    if (rows == 0) {
      throw new OutriggerException("'" + data.name() + "' has no rows that can be read.");
    }
    return new Test(
        name,
        rows,
        accuracy.count() == 0 ? Double.NaN : accuracy.value(),
        Arrays.stream(routed).boxed().toList(),
        scores / rows,
        unknown / (double) rows);
  }

  /** How many parameters a model has; 0 if it does not show them. */
  static long parameters(Model model) {
    return model
        .as(Capabilities.Differentiable.class)
        .map(shown -> shown.parameters().values().stream().mapToLong(Tensor::numel).sum())
        .orElse(0L);
  }

  /** The share of the rows of a test that went to the domain of its name; NaN if there is none. */
  public double routingAccuracy(Test test) {
    for (int d = 0; d < domains.size(); d++) {
      if (domains.get(d).name().equals(test.name)) {
        return test.routed.get(d) / (double) test.rows;
      }
    }
    return Double.NaN;
  }

  /** As plain values, for JSON. */
  public Map<String, Object> toMap() {
    Map<String, Object> map = new LinkedHashMap<>();
    map.put("encoderParameters", encoderParameters);
    map.put("bytes", bytes);
    map.put("domains", domains);
    map.put(
        "tests",
        tests.stream()
            .map(
                test -> {
                  Map<String, Object> each = new LinkedHashMap<>();
                  each.put("name", test.name);
                  each.put("rows", test.rows);
                  each.put("accuracy", test.accuracy);
                  Map<String, Long> routed = new LinkedHashMap<>();
                  for (int d = 0; d < domains.size(); d++) {
                    routed.put(domains.get(d).name(), test.routed.get(d));
                  }
                  each.put("routed", routed);
                  each.put("routingAccuracy", routingAccuracy(test));
                  each.put("meanScore", test.meanScore);
                  each.put("unknown", test.unknown);
                  return each;
                })
            .toList());
    return map;
  }

  /** One line: how much is kept for how many domains. */
  public String summary() {
    long adaptors = domains.stream().mapToLong(LearnedDomain::adaptorParameters).sum();
    long heads = domains.stream().mapToLong(LearnedDomain::headParameters).sum();
    return String.format(
        Locale.ROOT,
        "%d %s; adaptors %,d, heads %,d, encoder %,d parameters; descriptors %.1f MB",
        domains.size(),
        domains.size() == 1 ? "domain" : "domains",
        adaptors,
        heads,
        encoderParameters,
        bytes / 1e6);
  }
}
