package org.outrigger.datasets;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Deque;
import java.util.List;
import java.util.SplittableRandom;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.torch.Rng;

/**
 * Traffic of a small backbone network with a link that fails. Nodes stand on a ring with some
 * chords; each pair of nodes has a demand with a wave over the day and noise; demands take a path
 * with the fewest links. When the busiest link fails, its demands are routed anew over the others,
 * whose loads change at once.
 *
 * @param links the links, "0-1" for that between nodes 0 and 1
 * @param failed the index of the link that fails
 * @param failure the first step after the failure
 * @param loads [steps][links], in the unit of the demands; the failed link carries 0
 * @param rerouted how many demands changed their path
 */
public record NetworkTraffic(
    List<String> links, int failed, int failure, double[][] loads, int rerouted) {
  /** Steps of a day. */
  public static final int PERIOD = 48;

  private static final double NOISE = 0.02;

  private record Demand(int from, int to, double level, double wave, double phase) {}

  /**
   * Simulates.
   *
   * @param nodes 4 or more
   * @param chords links across the ring, beside its own
   * @param before periods before the failure, 1 or more
   * @param after periods from the failure on, 1 or more
   */
  public static NetworkTraffic simulate(int nodes, int chords, int before, int after, long seed) {
    HyperParameter.atLeast("nodes", nodes, 4);
    HyperParameter.between("chords", chords, 1, nodes * (nodes - 3) / 2.0);
    HyperParameter.atLeast("before", before, 1);
    HyperParameter.atLeast("after", after, 1);
    SplittableRandom random = new SplittableRandom(Rng.derive(seed, "network"));
    List<int[]> links = links(nodes, chords, random);
    List<Demand> demands = new ArrayList<>();
    for (int from = 0; from < nodes; from++) {
      for (int to = from + 1; to < nodes; to++) {
        double level = between(random, 0.5, 1.5);
        // Most of the network is awake at the same time.
        double phase = between(random, -1, 1);
        demands.add(new Demand(from, to, level, level * between(random, 0.3, 0.7), phase));
      }
    }
    List<List<Integer>> paths = route(nodes, links, demands, -1);
    double[] usual = new double[links.size()];
    for (int d = 0; d < demands.size(); d++) {
      for (int link : paths.get(d)) {
        usual[link] += demands.get(d).level;
      }
    }
    int failed = 0;
    for (int link = 1; link < usual.length; link++) {
      failed = usual[link] > usual[failed] ? link : failed;
    }
    List<List<Integer>> detours = route(nodes, links, demands, failed);
    int failure = before * PERIOD;
    double[][] loads = new double[(before + after) * PERIOD][links.size()];
    SplittableRandom noise = new SplittableRandom(Rng.derive(seed, "network noise"));
    for (int t = 0; t < loads.length; t++) {
      for (int d = 0; d < demands.size(); d++) {
        Demand demand = demands.get(d);
        double angle = 2 * Math.PI * t / PERIOD + demand.phase;
        double share = 1 + NOISE * noise.nextGaussian();
        double traffic = (demand.level + demand.wave * Math.sin(angle)) * share;
        for (int link : (t < failure ? paths : detours).get(d)) {
          loads[t][link] += traffic;
        }
      }
    }
    int rerouted = 0;
    for (int d = 0; d < demands.size(); d++) {
      rerouted += paths.get(d).equals(detours.get(d)) ? 0 : 1;
    }
    return new NetworkTraffic(
        links.stream().map(link -> link[0] + "-" + link[1]).toList(),
        failed,
        failure,
        loads,
        rerouted);
  }

  private static double between(SplittableRandom random, double low, double high) {
    return low + (high - low) * random.nextDouble();
  }

  /** The ring, which stays connected when one link fails, and chords. */
  private static List<int[]> links(int nodes, int chords, SplittableRandom random) {
    List<int[]> links = new ArrayList<>();
    for (int node = 0; node < nodes; node++) {
      int next = (node + 1) % nodes;
      links.add(new int[] {Math.min(node, next), Math.max(node, next)});
    }
    while (links.size() < nodes + chords) {
      int a = random.nextInt(nodes);
      int b = random.nextInt(nodes);
      int[] link = {Math.min(a, b), Math.max(a, b)};
      if (a != b && links.stream().noneMatch(known -> Arrays.equals(known, link))) {
        links.add(link);
      }
    }
    return links;
  }

  /** The links of a path with the fewest of them for each demand, without the failed link. */
  private static List<List<Integer>> route(
      int nodes, List<int[]> links, List<Demand> demands, int failed) {
    List<List<Integer>> paths = new ArrayList<>();
    for (Demand demand : demands) {
      int[] via = new int[nodes];
      Arrays.fill(via, -1);
      boolean[] reached = new boolean[nodes];
      reached[demand.from] = true;
      Deque<Integer> open = new ArrayDeque<>(List.of(demand.from));
      while (!open.isEmpty() && !reached[demand.to]) {
        int at = open.remove();
        for (int l = 0; l < links.size(); l++) {
          int[] link = links.get(l);
          int next = link[0] == at ? link[1] : link[1] == at ? link[0] : -1;
          if (l != failed && next >= 0 && !reached[next]) {
            reached[next] = true;
            via[next] = l;
            open.add(next);
          }
        }
      }
      if (!reached[demand.to]) {
        throw new OutriggerException(
            "Node " + demand.to + " cannot be reached from node " + demand.from + ".");
      }
      List<Integer> path = new ArrayList<>();
      for (int at = demand.to; at != demand.from; ) {
        int[] link = links.get(via[at]);
        path.add(0, via[at]);
        at = link[0] == at ? link[1] : link[0];
      }
      paths.add(path);
    }
    return paths;
  }
}
