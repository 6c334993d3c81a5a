package org.outrigger.select.scaling;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;

/**
 * All runs of a study, one after the other. With a folder it can be stopped at any time: finished
 * runs are skipped and a run that was stopped continues at its last checkpoint.
 *
 * @param plans what is trained
 * @param settings how
 * @param sets what is measured
 * @param folder of checkpoints, networks and {@code runs.csv}; null to keep all in memory
 * @param everySteps steps between checkpoints
 */
public record ScalingSweep(
    List<ScalingRun.Plan> plans,
    SweepSettings settings,
    List<EvaluationSet> sets,
    @Nullable Path folder,
    int everySteps) {
  public ScalingSweep {
    plans = List.copyOf(plans);
    sets = List.copyOf(sets);
    if (plans.isEmpty() || sets.isEmpty()) {
      throw new OutriggerException("A sweep needs runs and something to measure them on.");
    }
    if (everySteps < 1) {
      throw new OutriggerException(
          "everySteps = " + everySteps + " is out of range: use 1 or more.");
    }
  }

  /** Follows a sweep. */
  @FunctionalInterface
  public interface Listener {
    /**
     * A step is done.
     *
     * @param run its place among the plans, from 0
     * @param steps done in this run
     */
    void stepped(int run, ScalingRun.Plan plan, long steps);
  }

  /** Every architecture, size, amount of data and seed. */
  public static List<ScalingRun.Plan> grid(
      List<ModelSize> sizes,
      List<? extends SeriesSource> sources,
      boolean encoder,
      boolean decoder,
      List<Long> seeds) {
    List<ScalingRun.Plan> plans = new ArrayList<>();
    for (long seed : seeds) {
      for (boolean isDecoder : new boolean[] {false, true}) {
        if (isDecoder ? decoder : encoder) {
          for (SeriesSource source : sources) {
            for (ModelSize size : sizes) {
              plans.add(new ScalingRun.Plan(size, isDecoder, source, seed));
            }
          }
        }
      }
    }
    return plans;
  }

  /** Where a run keeps its checkpoint and, at the end, its network. */
  public @Nullable Path file(ScalingRun.Plan plan) {
    return folder == null ? null : folder.resolve(plan.name() + ".safetensors");
  }

  /**
   * Trains what is not finished.
   *
   * @return the figures of all runs
   */
  public RunTable run(Listener listener) {
    if (folder != null) {
      try {
        Files.createDirectories(folder);
      } catch (IOException e) {
        throw new OutriggerException(
            folder + " cannot be made a folder for the runs: " + e.getMessage(), e);
      }
    }
    List<RunTable.Row> rows = new ArrayList<>();
    for (int i = 0; i < plans.size(); i++) {
      int run = i;
      ScalingRun.Plan plan = plans.get(i);
      rows.addAll(
          new ScalingRun(
                  plan,
                  settings,
                  sets,
                  file(plan),
                  everySteps,
                  steps -> listener.stepped(run, plan, steps))
              .run());
      if (folder != null) {
        new RunTable(rows).write(folder.resolve("runs.csv"));
      }
    }
    return new RunTable(rows);
  }
}
