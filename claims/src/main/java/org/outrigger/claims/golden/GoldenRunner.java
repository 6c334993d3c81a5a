package org.outrigger.claims.golden;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.ServiceLoader;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.Methods;
import org.outrigger.core.torch.Scopes;

/** Runs every golden case below a folder that is laid out as {@code SLUG/CASE.json}. */
public final class GoldenRunner {
  private final Map<String, GoldenSuite> suites = new TreeMap<>();

  public GoldenRunner() {
    this(ServiceLoader.load(GoldenSuite.class, GoldenRunner.class.getClassLoader()));
  }

  GoldenRunner(Iterable<GoldenSuite> suites) {
    suites.forEach(suite -> this.suites.put(suite.slug(), suite));
  }

  /** What a case can come to. */
  public enum Outcome {
    PASSED,
    FAILED,
    /** Nothing in it can be checked before another method is built. */
    WAITING
  }

  /**
   * What one case came to.
   *
   * @param compared how many numbers were compared
   * @param problems empty unless it failed
   * @param waiting what waits for a method that is not built, with that method's slug: outputs, or
   *     {@code *} for the whole case
   */
  public record Result(
      String slug,
      String name,
      Path file,
      int compared,
      List<String> problems,
      Map<String, String> waiting) {
    public Result {
      problems = List.copyOf(problems);
      waiting = Collections.unmodifiableMap(new LinkedHashMap<>(waiting));
    }

    public Outcome outcome() {
      if (!problems.isEmpty()) {
        return Outcome.FAILED;
      }
      return compared == 0 ? Outcome.WAITING : Outcome.PASSED;
    }

    public boolean passed() {
      return outcome() == Outcome.PASSED;
    }
  }

  /**
   * What a folder came to.
   *
   * @param results of the cases that passed or failed, in order
   * @param waiting the cases of which nothing can be checked yet
   */
  public record Report(List<Result> results, List<Result> waiting) {
    public Report {
      results = List.copyOf(results);
      waiting = List.copyOf(waiting);
    }

    /** Whether at least one case passed and none failed. */
    public boolean passed() {
      return !results.isEmpty() && results.stream().allMatch(Result::passed);
    }

    /** How many outputs wait within cases whose other outputs were checked. */
    public int waitingOutputs() {
      return results.stream().mapToInt(result -> result.waiting().size()).sum();
    }
  }

  /** Runs every file below {@code folder}. */
  public Report runAll(Path folder) {
    List<Result> results = new ArrayList<>();
    List<Result> waiting = new ArrayList<>();
    for (Path file : files(folder)) {
      Result result = run(file);
      (result.outcome() == Outcome.WAITING ? waiting : results).add(result);
    }
    return new Report(results, waiting);
  }

  /** The slugs that can be checked. */
  public List<String> slugs() {
    return List.copyOf(suites.keySet());
  }

  /**
   * The case files below {@code folder}, sorted; the folder may also be one slug's own.
   *
   * @throws OutriggerException if there are none
   */
  public static List<Path> files(Path folder) {
    if (!Files.isDirectory(folder)) {
      throw new OutriggerException(folder + " is not a folder of golden cases (SLUG/CASE.json).");
    }
    try (Stream<Path> walk = Files.walk(folder, 2)) {
      List<Path> files = walk.filter(f -> f.toString().endsWith(".json")).sorted().toList();
      if (files.isEmpty()) {
        throw new OutriggerException(folder + " holds no golden case (SLUG/CASE.json).");
      }
      return files;
    } catch (IOException e) {
      throw new OutriggerException(folder + " cannot be read: " + e.getMessage(), e);
    }
  }

  /**
   * Runs one file; what goes wrong is in the result. A slug of the catalogue that no suite checks
   * waits as long as no method of that name is built; any other unknown slug is a failure.
   */
  public Result run(Path file) {
    GoldenCase golden;
    try {
      golden = GoldenCase.read(file);
    } catch (OutriggerException e) {
      String name = file.getFileName().toString();
      return new Result("?", name, file, 0, List.of(e.firstLine()), Map.of());
    }
    String slug = golden.method();
    GoldenSuite suite = suites.get(slug);
    List<String> problems = new ArrayList<>();
    Map<String, String> waiting = Map.of();
    if (suite != null) {
      try {
        Scopes.run(() -> suite.check(golden));
        problems.addAll(golden.problems());
        waiting = golden.waiting();
      } catch (RuntimeException e) {
        problems.add(e.toString());
      }
    } else if (GoldenRooms.of(slug).isEmpty()) {
      problems.add("no suite for slug '" + slug + "'");
    } else if (Methods.cards().stream().anyMatch(card -> card.slug().equals(slug))) {
      problems.add("no suite for slug '" + slug + "', although that method is built");
    } else {
      waiting = Map.of("*", slug);
    }
    return new Result(slug, golden.name(), file, golden.compared(), problems, waiting);
  }
}
