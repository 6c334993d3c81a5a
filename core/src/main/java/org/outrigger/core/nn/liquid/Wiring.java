package org.outrigger.core.nn.liquid;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

/**
 * Which neuron reaches which, and with which sign. Neurons 0 .. motors-1 give the output; entries
 * are -1 (inhibitory), 0 (no synapse) or 1, from source to destination. {@link #ncp} wires a neural
 * circuit policy: sensors reach inter neurons, these command neurons, these motor neurons. Lechner
 * et al., Neural circuit policies enabling auditable autonomy, Nature Machine Intelligence 2020.
 */
public final class Wiring {
  /** The authors' seed of circuits. */
  public static final long CIRCUIT_SEED = 22222;

  private static final int[] BALANCED = {-1, 1};
  private static final int[] MOSTLY_EXCITING = {-1, 1, 1};

  private final double[][] sensory;
  private final double[][] adjacency;
  private final int motors;
  private final List<int[]> layers;

  private Wiring(double[][] sensory, double[][] adjacency, int motors, List<int[]> layers) {
    this.sensory = sensory;
    this.adjacency = adjacency;
    this.motors = motors;
    this.layers = layers;
  }

  /**
   * The sizes of a circuit.
   *
   * @param sensoryFanout inter neurons that a sensor reaches
   * @param interFanout command neurons that an inter neuron reaches
   * @param recurrentCommandSynapses synapses between command neurons, with repetition
   * @param motorFanin command neurons that reach a motor neuron
   */
  public record Circuit(
      int inter,
      int command,
      int motor,
      int sensoryFanout,
      int interFanout,
      int recurrentCommandSynapses,
      int motorFanin) {
    public Circuit {
      HyperParameter.atLeast("inter", inter, 1);
      HyperParameter.atLeast("command", command, 1);
      HyperParameter.atLeast("motor", motor, 1);
      HyperParameter.between("sensoryFanout", sensoryFanout, 1, inter);
      HyperParameter.between("interFanout", interFanout, 1, command);
      HyperParameter.atLeast("recurrentCommandSynapses", recurrentCommandSynapses, 0);
      HyperParameter.between("motorFanin", motorFanin, 1, command);
    }

    /**
     * The sizes that AutoNCP derives.
     *
     * @param units all neurons, more than outputs + 2
     * @param sparsity 0.1 (dense) to 1 (sparse); 0.5 in the authors' code
     */
    public static Circuit auto(int units, int outputs, double sparsity) {
      HyperParameter.atLeast("outputs", outputs, 1);
      HyperParameter.require(
          outputs < units - 2, "outputs", outputs, "below units - 2 = " + (units - 2));
      HyperParameter.between("sparsity", sparsity, 0.1, 1);
      double density = 1 - sparsity;
      int command = Math.max((int) (0.4 * (units - outputs)), 1);
      int inter = units - outputs - command;
      int fanout = Math.max((int) (command * density), 1);
      return new Circuit(
          inter,
          command,
          outputs,
          Math.max((int) (inter * density), 1),
          fanout,
          Math.max((int) (command * density * 2), 1),
          fanout);
    }
  }

  /**
   * A wiring as given.
   *
   * @param sensory [inputs, units], entries -1, 0 or 1
   * @param adjacency [units, units], entries -1, 0 or 1
   * @param motors how many of the first neurons give the output
   * @param layers the neurons of each layer, from the inputs to the motors; each neuron in one
   */
  public static Wiring of(
      double[][] sensory, double[][] adjacency, int motors, List<int[]> layers) {
    int units = adjacency.length;
    HyperParameter.atLeast("units", units, 1);
    HyperParameter.atLeast("inputs", sensory.length, 1);
    HyperParameter.between("motors", motors, 1, units);
    for (double[][] matrix : List.of(sensory, adjacency)) {
      for (double[] row : matrix) {
        if (row.length != units || Arrays.stream(row).anyMatch(v -> v != -1 && v != 0 && v != 1)) {
          throw new OutriggerException(
              "A wiring of " + units + " neurons has rows of " + units + " entries -1, 0 or 1.");
        }
      }
    }
    int[] all = layers.stream().flatMapToInt(Arrays::stream).sorted().toArray();
    if (!Arrays.equals(all, IntStream.range(0, units).toArray())) {
      throw new OutriggerException(
          "The layers of a wiring must hold each of its " + units + " neurons once.");
    }
    return new Wiring(sensory, adjacency, motors, List.copyOf(layers));
  }

  /** Every input and neuron reaches every neuron; a third of the synapses inhibits. */
  public static Wiring fullyConnected(int inputs, int units, int outputs, long seed) {
    return random(inputs, units, outputs, 0, seed);
  }

  /**
   * Synapses at random places, the same share of both matrices.
   *
   * @param sparsity the share of synapses that are missing, 0 to below 1
   */
  public static Wiring random(int inputs, int units, int outputs, double sparsity, long seed) {
    HyperParameter.atLeast("inputs", inputs, 1);
    HyperParameter.atLeast("units", units, 1);
    HyperParameter.between("outputs", outputs, 1, units);
    HyperParameter.require(sparsity >= 0 && sparsity < 1, "sparsity", sparsity, "0 to below 1");
    SplittableRandom random = new SplittableRandom(Rng.derive(seed, "wiring"));
    double[][] sensory = new double[inputs][units];
    double[][] adjacency = new double[units][units];
    for (double[][] matrix : List.of(adjacency, sensory)) {
      int places = matrix.length * units;
      int synapses = (int) Math.round(places * (1 - sparsity));
      for (int place : choose(synapses, IntStream.range(0, places).toArray(), random)) {
        matrix[place / units][place % units] = sign(MOSTLY_EXCITING, random);
      }
    }
    return new Wiring(sensory, adjacency, outputs, List.of(IntStream.range(0, units).toArray()));
  }

  /** {@link #ncp} with the sizes of {@link Circuit#auto}. */
  public static Wiring autoNcp(int inputs, int units, int outputs, double sparsity, long seed) {
    return ncp(inputs, Circuit.auto(units, outputs, sparsity), seed);
  }

  /**
   * A neural circuit policy. Motor neurons have the first numbers, then command, then inter
   * neurons. What no synapse would reach or leave gets synapses of its own, about as many as its
   * neighbours have.
   */
  public static Wiring ncp(int inputs, Circuit sizes, long seed) {
    HyperParameter.atLeast("inputs", inputs, 1);
    SplittableRandom random = new SplittableRandom(Rng.derive(seed, "wiring"));
    int[] motor = IntStream.range(0, sizes.motor).toArray();
    int[] command = IntStream.range(sizes.motor, sizes.motor + sizes.command).toArray();
    int units = sizes.motor + sizes.command + sizes.inter;
    int[] inter = IntStream.range(sizes.motor + sizes.command, units).toArray();
    int[] sensors = IntStream.range(0, inputs).toArray();
    double[][] sensory = new double[inputs][units];
    double[][] adjacency = new double[units][units];
    fan(sensory, sensors, inter, sizes.sensoryFanout, random);
    fan(adjacency, inter, command, sizes.interFanout, random);
    for (int i = 0; i < sizes.recurrentCommandSynapses; i++) {
      int from = command[random.nextInt(command.length)];
      adjacency[from][command[random.nextInt(command.length)]] = sign(BALANCED, random);
    }
    for (int to : motor) {
      for (int from : choose(sizes.motorFanin, command, random)) {
        adjacency[from][to] = sign(BALANCED, random);
      }
    }
    int spare = clip(sizes.motor * sizes.motorFanin / command.length, motor.length);
    for (int from : command) {
      if (Arrays.stream(motor).allMatch(to -> adjacency[from][to] == 0)) {
        for (int to : choose(spare, motor, random)) {
          adjacency[from][to] = sign(BALANCED, random);
        }
      }
    }
    return new Wiring(sensory, adjacency, sizes.motor, List.of(inter, command, motor));
  }

  /** Each source reaches some destinations; destinations left out get sources of their own. */
  private static void fan(
      double[][] matrix, int[] from, int[] to, int fanout, SplittableRandom random) {
    boolean[] reached = new boolean[matrix[0].length];
    for (int source : from) {
      for (int destination : choose(fanout, to, random)) {
        matrix[source][destination] = sign(BALANCED, random);
        reached[destination] = true;
      }
    }
    int fanin = clip(from.length * fanout / to.length, from.length);
    for (int destination : to) {
      if (!reached[destination]) {
        for (int source : choose(fanin, from, random)) {
          matrix[source][destination] = sign(BALANCED, random);
        }
      }
    }
  }

  private static int clip(int value, int most) {
    return Math.min(Math.max(value, 1), most);
  }

  private static int sign(int[] among, SplittableRandom random) {
    return among[random.nextInt(among.length)];
  }

  /** Some of these without repetition. */
  private static int[] choose(int count, int[] among, SplittableRandom random) {
    int[] pool = among.clone();
    for (int i = 0; i < count; i++) {
      int j = i + random.nextInt(pool.length - i);
      int swap = pool[i];
      pool[i] = pool[j];
      pool[j] = swap;
    }
    return Arrays.copyOf(pool, count);
  }

  public int inputs() {
    return sensory.length;
  }

  public int units() {
    return adjacency.length;
  }

  /** How many of the first neurons give the output. */
  public int motors() {
    return motors;
  }

  /** The neurons of each layer, from the inputs to the motors; copies. */
  public List<int[]> layers() {
    return layers.stream().map(int[]::clone).toList();
  }

  /** Float64 [units, units], owned by the enclosing scope. */
  public Tensor adjacency() {
    return Tensors.of(adjacency);
  }

  /** Float64 [inputs, units], owned by the enclosing scope. */
  public Tensor sensoryAdjacency() {
    return Tensors.of(sensory);
  }

  /**
   * The mask of a layer of {@link WiredCfcCell}: which values of the layer before and of its own
   * state reach its neurons, [neurons, before + neurons]; a layer reaches itself without gaps.
   */
  public Tensor mask(int layer) {
    int[] own = layers.get(layer);
    List<double[]> rows = new ArrayList<>();
    if (layer == 0) {
      for (double[] source : sensory) {
        rows.add(Arrays.stream(own).mapToDouble(n -> Math.abs(source[n])).toArray());
      }
    } else {
      for (int source : layers.get(layer - 1)) {
        rows.add(Arrays.stream(own).mapToDouble(n -> Math.abs(adjacency[source][n])).toArray());
      }
    }
    return Scopes.tensor(
        () ->
            torch
                .cat(
                    new TensorVector(
                        Tensors.of(rows.toArray(new double[0][])),
                        torch.ones(own.length, own.length).to(ScalarType.Double)),
                    0)
                .t()
                .contiguous());
  }

  @Override
  public String toString() {
    long synapses =
        Arrays.stream(adjacency).flatMapToDouble(Arrays::stream).filter(v -> v != 0).count();
    return "Wiring("
        + inputs()
        + " -> "
        + units()
        + " -> "
        + motors
        + ", "
        + synapses
        + " synapses)";
  }
}
