package org.outrigger.evaluate.report;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/**
 * A chart as an ECharts option without colours, which the page adds for its theme.
 *
 * @param title what it shows
 * @param note one or two sentences that say how to read it
 * @param option the ECharts option, of JSON types
 */
public record Chart(String title, String note, Map<String, Object> option) {

  /**
   * A named line.
   *
   * @param name for the legend
   * @param x positions
   * @param y values, as many
   */
  public record Line(String name, double[] x, double[] y) {}

  private static final int HEIGHT = 310;
  private static final int BAR = 19;
  private static final int MARGINS = 64;

  /** How many colours the page has before they begin again. */
  private static final int COLOURS = 8;

  private static final List<String> STROKES = List.of("solid", "dashed", "dotted");

  /** Lines over a common, numeric horizontal axis. */
  public static Chart lines(String title, String note, String xName, String yName, Line... lines) {
    List<Object> series = new ArrayList<>();
    for (Line line : lines) {
      series.add(
          Map.of(
              "type",
              "line",
              "name",
              line.name(),
              "showSymbol",
              line.x().length <= 12,
              "lineStyle",
              Map.of("type", STROKES.get(series.size() / COLOURS % STROKES.size())),
              "data",
              points(line.x(), line.y())));
    }
    Map<String, Object> option = axes(xName, yName);
    option.put("series", series);
    option.put("legend", Map.of("show", lines.length > 1));
    return new Chart(title, note, option);
  }

  /**
   * Measured points with a fitted curve and its band.
   *
   * @param name for the legend
   * @param x positions of the points
   * @param y their values
   * @param curveX positions of the curve
   * @param curveY its values
   * @param low lower end of the band, as many
   * @param high upper end
   */
  public record Fitted(
      String name,
      double[] x,
      double[] y,
      double[] curveX,
      double[] curveY,
      double[] low,
      double[] high) {}

  /**
   * Points, curves and bands. A logarithmic axis has readable ticks only over several powers of ten
   * of everyday size: otherwise give logarithms, as for the vertical axis here.
   *
   * @param logarithmic whether the horizontal axis is logarithmic
   */
  public static Chart fitted(
      String title,
      String note,
      String xName,
      String yName,
      boolean logarithmic,
      List<Fitted> all) {
    List<Object> series = new ArrayList<>();
    for (Fitted each : all) {
      int colour = series.size() / 4;
      series.add(
          Map.of(
              "type",
              "scatter",
              "name",
              each.name(),
              "colour",
              colour,
              "symbolSize",
              9,
              "data",
              points(each.x(), each.y())));
      series.add(curve(each.name(), colour, 1, "solid", each.curveX(), each.curveY()));
      series.add(curve(each.name(), colour, 0.55, "dashed", each.curveX(), each.low()));
      series.add(curve(each.name(), colour, 0.55, "dashed", each.curveX(), each.high()));
    }
    Map<String, Object> option = axes(xName, yName);
    Map<String, Object> across = copy(option.get("xAxis"));
    if (logarithmic) {
      across.put("type", "log");
    }
    across.put("min", "dataMin");
    across.put("max", "dataMax");
    option.put("xAxis", across);
    Map<String, Object> up = copy(option.get("yAxis"));
    up.put("scale", true);
    option.put("yAxis", up);
    option.put("tooltip", Map.of("trigger", "item"));
    option.put("series", series);
    option.put("legend", Map.of("show", true));
    return new Chart(title, note, option);
  }

  private static Map<String, Object> curve(
      String name, int colour, double opacity, String stroke, double[] x, double[] y) {
    return Map.of(
        "type",
        "line",
        "name",
        name,
        "colour",
        colour,
        "showSymbol",
        false,
        "lineStyle",
        Map.of("type", stroke, "width", opacity == 1 ? 2 : 1, "opacity", opacity),
        "data",
        points(x, y));
  }

  /** The same with a vertical axis that spans the values alone, for small differences. */
  public Chart zoomed() {
    Map<String, Object> closer = new LinkedHashMap<>(option);
    Map<String, Object> up = copy(option.get("yAxis"));
    up.put("scale", true);
    closer.put("yAxis", up);
    return new Chart(title, note, closer);
  }

  /**
   * Receiver operating characteristics: false positives across, true positives up. The curves have
   * the colours that the same groups have in a {@link #histogram} behind a first one of the known.
   */
  public static Chart roc(String title, String note, Line... curves) {
    Chart chart = lines(title, note, "known inputs flagged", "unknown inputs flagged", curves);
    List<Object> series = new ArrayList<>();
    for (Object each : (List<?>) Objects.requireNonNull(chart.option.get("series"))) {
      Map<String, Object> line = copy(each);
      line.put("showSymbol", false);
      line.put("colour", series.size() + 1);
      series.add(line);
    }
    series.add(diagonal("chance"));
    chart.option.put("series", series);
    unit(chart.option, "xAxis");
    unit(chart.option, "yAxis");
    return chart;
  }

  /**
   * Overlaid histograms with common bins, each scaled to shares of its own group.
   *
   * @param groups the values of each group by name
   * @param mark a vertical line, such as a threshold; NaN for none
   */
  public static Chart histogram(
      String title, String note, String xName, Map<String, double[]> groups, double mark) {
    double[] all =
        groups.values().stream()
            .flatMapToDouble(Arrays::stream)
            .filter(Double::isFinite)
            .sorted()
            .toArray();
    if (all.length == 0) {
      return lines(title, note, xName, "share");
    }
    // The outermost half per cent would stretch the axis; it is counted in the end bins.
    double low = all[(int) (0.005 * (all.length - 1))];
    double high = all[(int) Math.ceil(0.995 * (all.length - 1))];
    if (Double.isFinite(mark)) {
      low = Math.min(low, mark);
      high = Math.max(high, mark);
    }
    int bins = 48;
    double width = high > low ? (high - low) / bins : 1;
    List<Object> series = new ArrayList<>();
    for (Map.Entry<String, double[]> group : groups.entrySet()) {
      double[] share = new double[bins];
      for (double value : group.getValue()) {
        if (!Double.isNaN(value)) {
          int bin = (int) Math.floor((value - low) / width);
          share[Math.max(0, Math.min(bins - 1, bin))] += 1.0 / group.getValue().length;
        }
      }
      double[] centres = new double[bins];
      for (int b = 0; b < bins; b++) {
        centres[b] = low + (b + 0.5) * width;
      }
      Map<String, Object> one = new LinkedHashMap<>();
      one.put("type", "line");
      one.put("step", "middle");
      one.put("name", group.getKey());
      one.put("showSymbol", false);
      one.put("areaStyle", Map.of("opacity", 0.22));
      one.put("data", points(centres, share));
      if (Double.isFinite(mark) && series.isEmpty()) {
        one.put(
            "markLine",
            Map.of(
                "symbol",
                "none",
                "label",
                Map.of("formatter", "threshold", "position", "end", "rotate", 0),
                "data",
                List.of(Map.of("xAxis", round(mark)))));
      }
      series.add(one);
    }
    Map<String, Object> option = axes(xName, "share of inputs");
    // Above the label of the vertical line.
    Map<String, Object> up = copy(option.get("yAxis"));
    up.put("nameGap", 26);
    option.put("yAxis", up);
    option.put("series", series);
    option.put("legend", Map.of("show", true));
    return new Chart(title, note, option);
  }

  /**
   * A reliability diagram: in each confidence bin, how often the prediction was right.
   *
   * @param confidence mean confidence of each bin that is not empty
   * @param accuracy the share right, as many
   * @param share of all inputs in the bin
   */
  public static Chart reliability(
      String title, String note, double[] confidence, double[] accuracy, double[] share) {
    Map<String, Object> option = axes("confidence", "share correct");
    unit(option, "xAxis");
    unit(option, "yAxis");
    List<Object> series = new ArrayList<>();
    series.add(diagonal("perfectly calibrated"));
    series.add(
        Map.of(
            "type",
            "line",
            "name",
            "measured",
            "symbolSize",
            8,
            "data",
            points(confidence, accuracy)));
    series.add(
        Map.of(
            "type",
            "bar",
            "name",
            "share of inputs",
            "barWidth",
            8,
            "itemStyle",
            Map.of("opacity", 0.35),
            "data",
            points(confidence, share)));
    option.put("series", series);
    option.put("legend", Map.of("show", true));
    return new Chart(title, note, option);
  }

  /**
   * A point for each pair, with the line on which both are equal.
   *
   * @param points their name for the legend, and where they are
   * @param low where the line begins
   * @param high where it ends
   */
  public static Chart scatter(
      String title, String note, String xName, String yName, Line points, double low, double high) {
    Map<String, Object> option = axes(xName, yName);
    Map<String, Object> up = copy(option.get("yAxis"));
    up.put("scale", true);
    option.put("yAxis", up);
    Map<String, Object> equal = copy(diagonal("equal"));
    equal.put("data", List.of(List.of(round(low), round(low)), List.of(round(high), round(high))));
    option.put(
        "series",
        List.of(
            Map.of(
                "type",
                "scatter",
                "name",
                points.name(),
                "symbolSize",
                5,
                "data",
                points(points.x(), points.y())),
            equal));
    option.put("tooltip", Map.of("trigger", "item"));
    option.put("legend", Map.of("show", true));
    return new Chart(title, note, option);
  }

  /** Horizontal bars, one a name; the first name is drawn at the top. */
  public static Chart bars(String title, String note, String xName, Map<String, Double> values) {
    List<String> names = new ArrayList<>(values.keySet());
    List<Object> data = new ArrayList<>();
    values
        .values()
        .forEach(
            value ->
                data.add(
                    Map.of(
                        "value",
                        Math.round(value * 1000) / 1000.0,
                        "label",
                        Map.of("formatter", ReportPage.number(value)))));
    java.util.Collections.reverse(names);
    java.util.Collections.reverse(data);
    // Room for the longest name: the chart library's own measure cuts names off.
    int letters = names.stream().mapToInt(String::length).max().orElse(0);
    Map<String, Object> option = new LinkedHashMap<>();
    option.put(
        "grid",
        Map.of("left", Math.min(220, 20 + 7 * letters), "right", 48, "top", 16, "bottom", 48));
    option.put("tooltip", Map.of("trigger", "axis"));
    option.put(
        "xAxis",
        new LinkedHashMap<>(
            Map.of("type", "value", "name", xName, "nameLocation", "middle", "nameGap", 26)));
    option.put(
        "yAxis",
        new LinkedHashMap<>(
            Map.of("type", "category", "data", names, "axisLabel", Map.of("hideOverlap", false))));
    option.put(
        "series",
        List.of(
            Map.of(
                "type",
                "bar",
                "barMaxWidth",
                18,
                "label",
                Map.of("show", true, "position", "right"),
                "data",
                data)));
    return new Chart(title, note, option);
  }

  /**
   * A field of coloured cells around zero.
   *
   * @param across names of the columns
   * @param up names of the rows; the first is drawn at the top
   * @param values one array a row, one value a column; NaN leaves a cell empty
   * @param limit the value, above 0, at which the colour is full
   */
  public static Chart heatMap(
      String title,
      String note,
      String xName,
      List<String> across,
      List<String> up,
      double[][] values,
      double limit) {
    List<Object> cells = new ArrayList<>();
    for (int r = 0; r < values.length; r++) {
      for (int c = 0; c < values[r].length; c++) {
        if (!Double.isNaN(values[r][c])) {
          cells.add(List.of(c, up.size() - 1 - r, round(values[r][c])));
        }
      }
    }
    List<String> names = new ArrayList<>(up);
    java.util.Collections.reverse(names);
    int letters = names.stream().mapToInt(String::length).max().orElse(0);
    Map<String, Object> option = new LinkedHashMap<>();
    option.put(
        "grid",
        Map.of("left", Math.min(220, 20 + 7 * letters), "right", 86, "top", 16, "bottom", 48));
    option.put("tooltip", Map.of("trigger", "item"));
    option.put(
        "xAxis",
        new LinkedHashMap<>(
            Map.of(
                "type",
                "category",
                "data",
                across,
                "name",
                xName,
                "nameLocation",
                "middle",
                "nameGap",
                28)));
    option.put(
        "yAxis",
        new LinkedHashMap<>(
            Map.of("type", "category", "data", names, "axisLabel", Map.of("hideOverlap", false))));
    option.put(
        "visualMap",
        new LinkedHashMap<>(
            Map.of(
                "min",
                -limit,
                "max",
                limit,
                "calculable",
                false,
                "orient",
                "vertical",
                "right",
                0,
                "top",
                "middle",
                "precision",
                1)));
    option.put("series", List.of(Map.of("type", "heatmap", "name", title, "data", cells)));
    return new Chart(title, note, option);
  }

  /** The same with vertical lines at these positions, each named {@code name}. */
  public Chart marked(String name, double... positions) {
    List<Object> series = new ArrayList<>();
    for (Object each : (List<?>) Objects.requireNonNull(option.get("series"))) {
      Map<String, Object> line = copy(each);
      if (series.isEmpty() && positions.length > 0) {
        List<Object> marks = new ArrayList<>();
        for (double at : positions) {
          marks.add(Map.of("xAxis", round(at)));
        }
        line.put(
            "markLine",
            Map.of(
                "symbol",
                "none",
                "silent",
                true,
                "label",
                Map.of("formatter", name, "position", "end", "rotate", 0),
                "data",
                marks));
      }
      series.add(line);
    }
    Map<String, Object> changed = new LinkedHashMap<>(option);
    changed.put("series", series);
    // Above the labels of the vertical lines.
    Map<String, Object> up = copy(option.get("yAxis"));
    up.put("nameGap", 26);
    changed.put("yAxis", up);
    return new Chart(title, note, changed);
  }

  /** Pixels that it needs: bars have room for their names. */
  int height() {
    return option.get("yAxis") instanceof Map<?, ?> axis
            && axis.get("data") instanceof List<?> names
        ? Math.max(HEIGHT, names.size() * BAR + MARGINS)
        : HEIGHT;
  }

  private static Map<String, Object> axes(String xName, String yName) {
    Map<String, Object> option = new LinkedHashMap<>();
    option.put(
        "grid", Map.of("left", 12, "right", 24, "top", 44, "bottom", 36, "containLabel", true));
    option.put("tooltip", Map.of("trigger", "axis"));
    option.put(
        "xAxis",
        new LinkedHashMap<String, Object>(
            Map.of(
                "type",
                "value",
                "name",
                xName,
                "nameLocation",
                "middle",
                "nameGap",
                26,
                "scale",
                true)));
    option.put(
        "yAxis",
        new LinkedHashMap<String, Object>(
            Map.of(
                "type",
                "value",
                "name",
                yName,
                "nameLocation",
                "end",
                "nameTextStyle",
                Map.of("align", "left"))));
    return option;
  }

  private static void unit(Map<String, Object> option, String axis) {
    Map<String, Object> changed = copy(option.get(axis));
    changed.put("min", 0);
    changed.put("max", 1);
    option.put(axis, changed);
  }

  private static Map<String, Object> diagonal(String name) {
    return Map.of(
        "type",
        "line",
        "name",
        name,
        "colour",
        -1,
        "showSymbol",
        false,
        "lineStyle",
        Map.of("type", "dashed", "width", 1),
        "data",
        List.of(List.of(0, 0), List.of(1, 1)));
  }

  @SuppressWarnings("unchecked")
  private static Map<String, Object> copy(@org.jspecify.annotations.Nullable Object map) {
    return new LinkedHashMap<>((Map<String, Object>) Objects.requireNonNull(map));
  }

  private static List<Object> points(double[] x, double[] y) {
    List<Object> points = new ArrayList<>(x.length);
    for (int i = 0; i < x.length; i++) {
      if (Double.isFinite(x[i]) && Double.isFinite(y[i])) {
        points.add(List.of(round(x[i]), round(y[i])));
      }
    }
    return points;
  }

  /** Five significant digits are more than a screen shows, and keep the page small. */
  private static double round(double value) {
    if (value == 0 || !Double.isFinite(value)) {
      return 0;
    }
    return new java.math.BigDecimal(value).round(new java.math.MathContext(5)).doubleValue();
  }
}
