package org.outrigger.claims.golden;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.Methods;
import org.outrigger.core.torch.Tensors;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** One file of golden vectors: inputs, parameters, expected outputs and tolerances. */
public final class GoldenCase {
  private static final JsonMapper JSON = JsonMapper.builder().build();

  private final Path file;
  private final JsonNode root;
  private final Set<String> open = new LinkedHashSet<>();
  private final List<String> mismatches = new ArrayList<>();
  private final Map<String, String> waiting = new LinkedHashMap<>();
  private int compared;

  private GoldenCase(Path file, JsonNode root) {
    this.file = file;
    this.root = root;
    open.addAll(outputs());
  }

  /** Reads a file. */
  public static GoldenCase read(Path file) {
    try {
      JsonNode root = JSON.readTree(Files.readString(file));
      if (!root.path("inputs").isObject() || !root.path("outputs").isObject()) {
        throw new OutriggerException(file + " is not a golden case: it lacks inputs or outputs.");
      }
      return new GoldenCase(file, root);
    } catch (IOException | JacksonException e) {
      throw new OutriggerException(file + " cannot be read as a golden case: " + e.getMessage(), e);
    }
  }

  public Path file() {
    return file;
  }

  /** The slug it belongs to. */
  public String method() {
    return root.path("method").asString("");
  }

  /** The case's name. */
  public String name() {
    return root.path("case").asString("");
  }

  public boolean hasInput(String name) {
    return root.path("inputs").has(name);
  }

  public boolean hasOutput(String name) {
    return root.path("outputs").has(name);
  }

  /** The names of all expected outputs, in the file's order. */
  public List<String> outputs() {
    return List.copyOf(root.path("outputs").propertyNames());
  }

  /** An input as a float64 tensor. */
  public Tensor input(String name) {
    return tensor(need("inputs", name));
  }

  /** An input as an int64 tensor. */
  public Tensor labels(String name) {
    return input(name).to(org.bytedeco.pytorch.global.torch.ScalarType.Long);
  }

  /** An input's values in row-major order. */
  public double[] values(String name) {
    return numbers(need("inputs", name));
  }

  /** An expected output as a float64 tensor, for cases whose outputs feed later stages. */
  public Tensor output(String name) {
    return tensor(need("outputs", name));
  }

  /** Whether two expected outputs are the same within the file's tolerances. */
  public boolean sameOutputs(String one, String other) {
    double[] a = numbers(need("outputs", one));
    double[] b = numbers(need("outputs", other));
    for (int i = 0; i < Math.min(a.length, b.length); i++) {
      if (!near(a[i], b[i])) {
        return false;
      }
    }
    return a.length == b.length;
  }

  private boolean near(double actual, double expected) {
    return near(actual, expected, 0);
  }

  private boolean near(double actual, double expected, double slack) {
    double rtol = root.path("rtol").asDouble(1e-6);
    double atol = root.path("atol").asDouble(1e-9);
    return Double.isFinite(expected)
        ? Math.abs(actual - expected) <= atol + slack + rtol * Math.abs(expected)
        : Double.compare(actual, expected) == 0;
  }

  /** The parameters. */
  public JsonNode params() {
    return root.path("params");
  }

  /** A numeric parameter. */
  public double param(String name) {
    JsonNode value = params().path(name);
    if (!value.isNumber()) {
      throw new OutriggerException(file + " lacks the number params." + name + ".");
    }
    return value.asDouble();
  }

  /** Compares a result with the expected output of that name within the file's tolerances. */
  public void expect(String name, Tensor actual) {
    expect(name, Tensors.doubles(actual));
  }

  /** Compares a scalar result. */
  public void expect(String name, double actual) {
    expect(name, new double[] {actual});
  }

  /**
   * Compares a result that rounding alone moves by more than the file's tolerances allow.
   *
   * @param slack what a value may differ by besides
   * @param reason why rounding grows so large
   */
  public void expectRounded(String name, Tensor actual, double slack, String reason) {
    if (reason.isBlank()) {
      throw new IllegalArgumentException("Say why " + name + " is rounded");
    }
    expect(name, Tensors.doubles(actual), slack);
  }

  /** Compares a result, given in row-major order. */
  public void expect(String name, double[] actual) {
    expect(name, actual, 0);
  }

  private void expect(String name, double[] actual, double slack) {
    double[] expected = numbers(need("outputs", name));
    open.remove(name);
    if (expected.length != actual.length) {
      mismatches.add(name + ": " + actual.length + " values instead of " + expected.length);
      return;
    }
    for (int i = 0; i < expected.length; i++) {
      compared++;
      if (!near(actual[i], expected[i], slack)) {
        mismatches.add(name + "[" + i + "] = " + actual[i] + " instead of " + expected[i]);
        return;
      }
    }
  }

  /**
   * Leaves an output out because the method follows another definition on purpose.
   *
   * @param reason why, for the report
   */
  public void deviates(String name, String reason) {
    if (reason.isBlank()) {
      throw new IllegalArgumentException("Say why " + name + " is left out");
    }
    open.remove(name);
  }

  /**
   * Leaves an output to a method that is not built yet. Once a method of that name is built, it is
   * a problem that nothing checks the output.
   *
   * @param method the slug that the method will have
   */
  public void waits(String name, String method) {
    if (Methods.cards().stream().anyMatch(card -> card.slug().equals(method))) {
      mismatches.add(name + " is not checked, although " + method + " is built");
    }
    need("outputs", name);
    open.remove(name);
    waiting.put(name, method);
  }

  /** The outputs that wait, with the method that each waits for. */
  public Map<String, String> waiting() {
    return Collections.unmodifiableMap(waiting);
  }

  /** What went wrong: mismatches, then outputs that nothing checked; empty if the case passes. */
  public List<String> problems() {
    List<String> problems = new ArrayList<>(mismatches);
    open.forEach(name -> problems.add(name + " was not checked"));
    if (compared == 0 && waiting.isEmpty() && problems.isEmpty()) {
      problems.add("no value was compared");
    }
    return problems;
  }

  /** How many numbers were compared. */
  public int compared() {
    return compared;
  }

  private JsonNode need(String group, String name) {
    JsonNode node = root.path(group).path(name);
    if (node.isMissingNode()) {
      throw new OutriggerException(file + " lacks " + group + "." + name + ".");
    }
    return node;
  }

  private static Tensor tensor(JsonNode node) {
    double[] data = numbers(node);
    if (!node.isObject()) {
      return node.isArray() ? Tensors.of(data, data.length) : Tensors.of(data);
    }
    JsonNode shape = node.path("shape");
    long[] sizes = new long[shape.size()];
    for (int i = 0; i < sizes.length; i++) {
      sizes[i] = shape.get(i).asLong();
    }
    return Tensors.of(data, sizes);
  }

  private static double[] numbers(JsonNode node) {
    JsonNode data = node.isObject() ? node.path("data") : node;
    if (!data.isArray()) {
      return new double[] {number(data)};
    }
    List<Double> flat = new ArrayList<>();
    flatten(data, flat);
    return flat.stream().mapToDouble(Double::doubleValue).toArray();
  }

  private static void flatten(JsonNode node, List<Double> into) {
    for (JsonNode item : node) {
      if (item.isArray()) {
        flatten(item, into);
      } else {
        into.add(number(item));
      }
    }
  }

  private static double number(JsonNode node) {
    if (node.isString()) {
      return switch (node.asString()) {
        case "inf", "Infinity" -> Double.POSITIVE_INFINITY;
        case "-inf", "-Infinity" -> Double.NEGATIVE_INFINITY;
        case "nan", "NaN" -> Double.NaN;
        default -> throw new OutriggerException("'" + node.asString() + "' is not a number.");
      };
    }
    return node.isBoolean() ? (node.asBoolean() ? 1 : 0) : node.asDouble();
  }
}
