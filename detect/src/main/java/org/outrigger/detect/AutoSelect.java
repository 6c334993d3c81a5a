package org.outrigger.detect;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.function.Function;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Methods;
import org.outrigger.core.method.Need;
import org.outrigger.core.metric.Auroc;
import org.outrigger.core.model.Model;
import org.outrigger.core.model.Output;
import org.outrigger.core.model.Outputs;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;
import org.outrigger.core.torch.Tensors;

/**
 * Chooses a detector by a fixed rule that looks at known data only:
 *
 * <ol>
 *   <li>Fit every candidate that the model can serve; leave out those that cannot be fitted.
 *   <li>Make unknown inputs of several kinds from known inputs that were not used for fitting
 *       ({@link GeneratedUnknowns}), and measure each candidate's AUROC of known against unknown
 *       for each kind.
 *   <li>Average over the kinds. Of the candidates within {@code margin} of the best average take
 *       the first in the list, which goes from simple to costly.
 * </ol>
 *
 * <p>No data that the user will be judged on takes part. What is made is far from any real unknown
 * input, so the figures rank detectors and promise nothing.
 */
public final class AutoSelect {
  /**
   * From simple to costly: logits alone, shaped activations, one product with the features, and at
   * last a search among all known rows.
   */
  private static final List<String> CANDIDATES =
      List.of("msp", "maxlogit", "energy", "gen", "react", "ash-s", "mahalanobis", "vim", "knn");

  private static final int BATCH = 64;

  private AutoSelect() {}

  /**
   * How to choose.
   *
   * @param margin how much AUROC a simpler candidate may lose against the best, in [0, 1]
   * @param seed of the unknown inputs
   */
  public record Settings(double margin, long seed) {
    public Settings {
      HyperParameter.between("margin", margin, 0, 1);
    }

    public static Settings defaults() {
      return new Settings(0.01, 0);
    }
  }

  /**
   * What a candidate came to.
   *
   * @param detector its name
   * @param auroc by kind of unknown input; empty if it was left out
   * @param mean over the kinds; NaN if it was left out
   * @param leftOut why, or empty
   */
  public record Row(
      String detector, Map<String, Double> auroc, double mean, Optional<String> leftOut) {}

  /**
   * The outcome.
   *
   * @param detector the chosen one, fitted; the caller closes it
   * @param table all candidates in their order
   */
  public record Choice(Detector detector, List<Row> table) {}

  /** New detectors to choose from, from simple to costly. */
  public static List<Detector> candidates() {
    return CANDIDATES.stream().map(name -> Methods.create(Detector.class, name, Map.of())).toList();
  }

  /**
   * The rule's last step.
   *
   * @param means average AUROC of each candidate, from simple to costly; NaN for one left out
   * @return the position of the chosen one
   * @throws OutriggerException if all were left out
   */
  public static int pick(double[] means, double margin) {
    double best = Double.NEGATIVE_INFINITY;
    for (double mean : means) {
      best = Double.isNaN(mean) ? best : Math.max(best, mean);
    }
    for (int i = 0; i < means.length; i++) {
      if (means[i] >= best - margin) {
        return i;
      }
    }
    throw new OutriggerException("No detector can be chosen: every candidate was left out.");
  }

  /**
   * Chooses among detectors for a model.
   *
   * @param candidates from simple to costly; they are fitted, and closed unless chosen
   * @param fit outputs of {@code model} on known data
   * @param held known inputs that are not among those, [N, C, H, W] or [N, D], at least two
   */
  public static Choice select(
      Model model, List<Detector> candidates, Outputs fit, Tensor held, Settings settings) {
    return Scopes.scoped(
        () -> {
          Map<String, Tensor> unknown = GeneratedUnknowns.all(held, settings.seed);
          return choose(
              candidates,
              detector -> prepare(model, detector, fit),
              (detector, kind) -> {
                Tensor inputs = kind == null ? held : unknown.get(kind);
                return score(model, detector, Objects.requireNonNull(inputs));
              },
              List.copyOf(unknown.keySet()),
              settings.margin);
        });
  }

  /**
   * Chooses among detectors from recorded outputs.
   *
   * @param candidates from simple to costly; they are fitted, and closed unless chosen
   * @param fit outputs on known data
   * @param held outputs on other known data
   * @param unknown outputs of the same model on generated unknown inputs, by kind
   */
  public static Choice select(
      List<Detector> candidates,
      Outputs fit,
      Outputs held,
      Map<String, Outputs> unknown,
      double margin) {
    return choose(
        candidates,
        detector -> {
          detector.fit(fit);
          return Optional.empty();
        },
        (detector, kind) -> {
          Outputs outputs = kind == null ? held : unknown.get(kind);
          return score(detector, Objects.requireNonNull(outputs));
        },
        List.copyOf(unknown.keySet()),
        margin);
  }

  /** Gives the scores of the held known data (kind null) or of one kind of unknown inputs. */
  private interface Scores {
    double[] of(Detector detector, @Nullable String kind);
  }

  private static Choice choose(
      List<Detector> candidates,
      Function<Detector, Optional<String>> prepare,
      Scores scores,
      List<String> kinds,
      double margin) {
    if (kinds.isEmpty()) {
      throw new OutriggerException("A detector is chosen on at least one kind of unknown inputs.");
    }
    List<Row> table = new ArrayList<>();
    for (Detector detector : candidates) {
      table.add(measure(detector, prepare, scores, kinds));
    }
    int chosen;
    try {
      chosen = pick(table.stream().mapToDouble(Row::mean).toArray(), margin);
    } catch (OutriggerException e) {
      candidates.forEach(Detector::close);
      List<String> reasons =
          table.stream().map(row -> row.detector + ": " + row.leftOut.orElse("")).toList();
      throw new OutriggerException(e.firstLine() + " " + String.join(" ", reasons), e);
    }
    for (int i = 0; i < candidates.size(); i++) {
      if (i != chosen) {
        candidates.get(i).close();
      }
    }
    return new Choice(candidates.get(chosen), List.copyOf(table));
  }

  private static Row measure(
      Detector detector,
      Function<Detector, Optional<String>> prepare,
      Scores scores,
      List<String> kinds) {
    String name = detector.card().slug();
    try {
      Optional<String> reason = prepare.apply(detector);
      if (reason.isPresent()) {
        return new Row(name, Map.of(), Double.NaN, reason);
      }
      double[] known = scores.of(detector, null);
      Map<String, Double> auroc = new LinkedHashMap<>();
      kinds.forEach(kind -> auroc.put(kind, Auroc.of(known, scores.of(detector, kind))));
      double mean =
          auroc.values().stream().mapToDouble(Double::doubleValue).average().orElse(Double.NaN);
      return new Row(name, auroc, mean, Optional.empty());
    } catch (OutriggerException e) {
      return new Row(name, Map.of(), Double.NaN, Optional.of(e.firstLine()));
    }
  }

  private static Optional<String> prepare(Model model, Detector detector, Outputs fit) {
    Optional<Need> missing = model.missing(detector.needs());
    if (missing.isPresent()) {
      return Optional.of("The model does not offer " + missing.get().meaning() + ".");
    }
    detector.fit(fit);
    return Optional.empty();
  }

  private static double[] score(Model model, Detector detector, Tensor inputs) {
    return Scopes.scoped(
        () -> {
          TensorVector parts = new TensorVector();
          for (long from = 0; from < inputs.size(0); from += BATCH) {
            Tensor batch = inputs.narrow(0, from, Math.min(BATCH, inputs.size(0) - from));
            parts.push_back(
                Scopes.tensor(
                    () -> {
                      Output output = model.predict(batch, detector.maps(model));
                      return detector.score(model, batch, output).to(ScalarType.Double);
                    }));
          }
          return finite(detector, torch.cat(parts, 0));
        });
  }

  private static double[] score(Detector detector, Outputs outputs) {
    return Scopes.scoped(
        () -> {
          TensorVector parts = new TensorVector();
          outputs.forEach(
              batch ->
                  parts.push_back(
                      Scopes.keep(detector.score(batch.output()).to(ScalarType.Double))));
          if (parts.empty()) {
            throw new OutriggerException("There are no rows to choose a detector on.");
          }
          return finite(detector, torch.cat(parts, 0));
        });
  }

  private static double[] finite(Detector detector, Tensor scores) {
    Shapes.finite("The scores of " + detector.card().name(), scores);
    return Tensors.doubles(scores);
  }
}
