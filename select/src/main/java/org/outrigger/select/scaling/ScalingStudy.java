package org.outrigger.select.scaling;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.ToDoubleFunction;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;

/**
 * All laws of a set of runs: one for each axis, architecture, data set and metric that has enough
 * points.
 *
 * @param curves what was fitted, or why not
 * @param level confidence of intervals and bands
 */
public record ScalingStudy(List<Curve> curves, double level) {
  public ScalingStudy {
    curves = List.copyOf(curves);
  }

  /**
   * One law, or the reason why there is none.
   *
   * @param axis what is spent
   * @param held what the other resource was held at, in words; empty if nothing was
   * @param law null if the points determine none
   * @param problem why not; empty if there is a law
   */
  public record Curve(
      Axis axis,
      String architecture,
      String dataset,
      String metric,
      String held,
      @Nullable FittedLaw law,
      String problem) {
    /** The law, where there is one. */
    public FittedLaw fitted() {
      return Objects.requireNonNull(law, problem);
    }

    /** For tables and messages. */
    public String name() {
      return architecture + ", " + dataset + ", " + metric;
    }
  }

  /** A run with its loss on one data set. */
  private record Point(RunTable.Run run, double loss) {}

  static ScalingStudy of(RunTable runs, TsfmScaling method) {
    List<Curve> curves = new ArrayList<>();
    for (Axis axis : Axis.values()) {
      for (String architecture : runs.distinct(RunTable.Row::architecture)) {
        for (String dataset : runs.distinct(RunTable.Row::dataset)) {
          for (String metric : runs.distinct(RunTable.Row::metric)) {
            List<RunTable.Row> rows =
                runs.rows().stream()
                    .filter(row -> row.architecture().equals(architecture))
                    .filter(row -> row.dataset().equals(dataset) && row.metric().equals(metric))
                    .toList();
            Curve curve = curve(axis, rows, architecture, dataset, metric, method);
            if (curve != null) {
              curves.add(curve);
            }
          }
        }
      }
    }
    if (curves.isEmpty()) {
      throw new OutriggerException(
          "The runs differ in nothing that is spent: a law needs at least 3 model sizes, data sizes"
              + " or amounts of compute.");
    }
    return new ScalingStudy(curves, method.settings().level());
  }

  /** Null where the axis does not vary: nobody asked for that law. */
  private static @Nullable Curve curve(
      Axis axis,
      List<RunTable.Row> rows,
      String architecture,
      String dataset,
      String metric,
      TsfmScaling method) {
    double[] x;
    double[] y;
    String held = "";
    try {
      if (axis == Axis.C) {
        List<RunTable.Row> with = rows.stream().filter(row -> row.compute() > 0).toList();
        if (with.stream().mapToDouble(RunTable.Row::compute).distinct().count() < 2) {
          return null;
        }
        Envelope envelope =
            Envelope.of(
                with.stream().mapToDouble(RunTable.Row::compute).toArray(),
                with.stream().mapToDouble(RunTable.Row::value).toArray());
        x = envelope.x();
        y = envelope.y();
        held = "lower envelope of " + with.size() + " records";
      } else {
        boolean models = axis == Axis.N;
        ToDoubleFunction<RunTable.Run> spent =
            models ? RunTable.Run::parameters : RunTable.Run::data;
        ToDoubleFunction<RunTable.Run> other =
            models ? RunTable.Run::data : RunTable.Run::parameters;
        List<RunTable.Row> with =
            rows.stream().filter(row -> spent.applyAsDouble(row.run()) > 0).toList();
        double most =
            with.stream().mapToDouble(row -> other.applyAsDouble(row.run())).max().orElse(0);
        List<RunTable.Row> chosen =
            with.stream()
                .filter(row -> Double.compare(other.applyAsDouble(row.run()), most) == 0)
                .toList();
        if (chosen.stream().mapToDouble(row -> spent.applyAsDouble(row.run())).distinct().count()
            < 2) {
          return null;
        }
        List<Point> points = points(chosen, method.settings().smallest());
        x = points.stream().mapToDouble(point -> spent.applyAsDouble(point.run())).toArray();
        y = points.stream().mapToDouble(Point::loss).toArray();
        if (most > 0) {
          held = ScalingAdvice.number(most) + " " + (models ? Axis.D : Axis.N).unit();
        }
      }
      return new Curve(axis, architecture, dataset, metric, held, method.fit(x, y), "");
    } catch (OutriggerException e) {
      return new Curve(axis, architecture, dataset, metric, held, null, e.firstLine());
    }
  }

  private static List<Point> points(List<RunTable.Row> rows, int smallest) {
    Map<RunTable.Run, List<RunTable.Row>> runs =
        rows.stream()
            .collect(
                Collectors.groupingBy(RunTable.Row::run, LinkedHashMap::new, Collectors.toList()));
    List<Point> points = new ArrayList<>();
    runs.forEach(
        (run, curve) ->
            points.add(
                new Point(
                    run,
                    TsfmScaling.runLoss(
                        curve.stream().mapToDouble(RunTable.Row::value).toArray(), smallest))));
    return points;
  }

  /** The curves that have a law. */
  public List<Curve> laws() {
    return curves.stream().filter(curve -> curve.law() != null).toList();
  }

  /** The curves of one axis. */
  public ScalingStudy only(Axis axis) {
    List<Curve> some = curves.stream().filter(curve -> curve.axis() == axis).toList();
    if (some.isEmpty()) {
      throw new OutriggerException(
          "The runs do not vary along the axis "
              + axis
              + " ("
              + axis.unit()
              + "). They do along: "
              + curves.stream()
                  .map(c -> c.axis().toString())
                  .distinct()
                  .collect(Collectors.joining(", "))
              + ".");
    }
    return new ScalingStudy(some, level);
  }

  /** As JSON-able values. */
  public Map<String, Object> toJson() {
    List<Object> all = new ArrayList<>();
    for (Curve curve : curves) {
      Map<String, Object> one = new LinkedHashMap<>();
      one.put("axis", curve.axis());
      one.put("architecture", curve.architecture());
      one.put("dataset", curve.dataset());
      one.put("metric", curve.metric());
      one.put("held", curve.held());
      if (curve.law() == null) {
        one.put("problem", curve.problem());
      } else {
        FittedLaw fitted = curve.law();
        one.put("alpha", fitted.alpha());
        one.put("log10X0", fitted.law().log10X0());
        one.put("irreducible", fitted.law().offset());
        one.put("r2", fitted.law().r2());
        one.put("x", fitted.x());
        one.put("y", fitted.y());
      }
      all.add(one);
    }
    return Map.of("laws", all, "level", level);
  }
}
