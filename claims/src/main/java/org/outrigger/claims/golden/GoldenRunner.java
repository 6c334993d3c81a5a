package org.outrigger.claims.golden;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
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

  /**
   * What one case came to.
   *
   * @param compared how many numbers were compared
   * @param problems empty if it passed
   */
  public record Result(String slug, String name, Path file, int compared, List<String> problems) {
    public boolean passed() {
      return problems.isEmpty();
    }
  }

  /**
   * What a folder came to.
   *
   * @param results of every file that was run
   * @param waiting files whose slug belongs to a room that has no method yet
   */
  public record Report(List<Result> results, List<Path> waiting) {
    public boolean passed() {
      return !results.isEmpty() && results.stream().allMatch(Result::passed);
    }
  }

  /**
   * Runs every file below {@code folder}. A slug that no suite knows fails, unless its room has no
   * method yet.
   */
  public Report runAll(Path folder) {
    List<Result> results = new ArrayList<>();
    List<Path> waiting = new ArrayList<>();
    for (Path file : files(folder)) {
      if (waits(file)) {
        waiting.add(file);
      } else {
        results.add(run(file));
      }
    }
    return new Report(results, waiting);
  }

  /** Whether the file's slug belongs to a room of the house that has no method yet. */
  public boolean waits(Path file) {
    String slug;
    try {
      slug = GoldenCase.read(file).method();
    } catch (OutriggerException e) {
      return false;
    }
    return !suites.containsKey(slug)
        && GoldenRooms.of(slug)
            .filter(room -> Methods.cards().stream().noneMatch(card -> card.room() == room))
            .isPresent();
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

  /** Runs one file; what goes wrong is in the result. */
  public Result run(Path file) {
    GoldenCase golden;
    try {
      golden = GoldenCase.read(file);
    } catch (OutriggerException e) {
      return new Result("?", file.getFileName().toString(), file, 0, List.of(e.firstLine()));
    }
    GoldenSuite suite = suites.get(golden.method());
    List<String> problems = new ArrayList<>();
    if (suite == null) {
      problems.add("no suite for slug '" + golden.method() + "'");
    } else {
      try {
        Scopes.run(() -> suite.check(golden));
        problems.addAll(golden.problems());
      } catch (RuntimeException e) {
        problems.add(e.toString());
      }
    }
    return new Result(golden.method(), golden.name(), file, golden.compared(), problems);
  }
}
