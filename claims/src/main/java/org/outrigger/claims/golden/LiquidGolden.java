package org.outrigger.claims.golden;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import java.util.stream.IntStream;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.nn.Activation;
import org.outrigger.core.nn.liquid.CfcCell;
import org.outrigger.core.nn.liquid.LiquidCell;
import org.outrigger.core.nn.liquid.LtcCell;
import org.outrigger.core.nn.liquid.WiredCfcCell;
import org.outrigger.core.nn.liquid.Wiring;
import org.outrigger.core.torch.Gradients;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Tensors;
import tools.jackson.databind.JsonNode;

/** Golden cases of the liquid forecaster's cells: LTC, CfC, wired CfC, sizes of circuits. */
public final class LiquidGolden implements GoldenSuite {
  @Override
  public String slug() {
    return "liquid-link-load";
  }

  @Override
  public void check(GoldenCase golden) {
    if (golden.hasInput("units") && golden.hasInput("sparsity")) {
      circuits(golden);
    } else if (golden.hasInput("gleak") && golden.hasInput("x")) {
      ltc(golden);
    } else if (golden.hasInput("adjacency") && golden.hasInput("layer_0.ff1.weight")) {
      wired(golden);
    } else if (golden.hasInput("x") && golden.hasInput("h0")) {
      cfc(golden);
    } else {
      throw new OutriggerException(
          golden.file() + " is a kind of case that this suite does not know.");
    }
  }

  private static void circuits(GoldenCase golden) {
    double[] units = golden.values("units");
    double[] outputs = golden.values("output_size");
    double[] sparsity = golden.values("sparsity");
    List<Wiring.Circuit> sizes = new ArrayList<>();
    for (int i = 0; i < units.length; i++) {
      sizes.add(Wiring.Circuit.auto((int) units[i], (int) outputs[i], sparsity[i]));
    }
    for (String output : golden.outputs()) {
      double[] values =
          sizes.stream()
              .mapToDouble(
                  c ->
                      switch (output) {
                        case "inter" -> c.inter();
                        case "command" -> c.command();
                        case "motor" -> c.motor();
                        case "sensory_fanout" -> c.sensoryFanout();
                        case "inter_fanout" -> c.interFanout();
                        case "recurrent_command_synapses" -> c.recurrentCommandSynapses();
                        case "motor_fanin" -> c.motorFanin();
                        default -> Double.NaN;
                      })
              .toArray();
      golden.expect(output, values);
    }
  }

  private static void ltc(GoldenCase golden) {
    int inputs = (int) golden.input("x").size(2);
    int units = (int) golden.input("h0").size(1);
    int motors = (int) golden.param("motor");
    JsonNode params = golden.params();
    LtcCell.Settings settings =
        new LtcCell.Settings(
            params.path("ode_unfolds").asInt(6),
            params.path("epsilon").asDouble(1e-8),
            params.path("implicit_param_constraints").asBoolean(false),
            mapping(golden, "input"),
            mapping(golden, "output"));
    Wiring any = Wiring.fullyConnected(inputs, units, motors, 0);
    try (Rng rng = new Rng(0);
        LtcCell cell = new LtcCell(any, settings, rng)) {
      cell.to(ScalarType.Double);
      cell.loadStateDict(inputs(golden, "", cell), true);
      LiquidCell.Steps steps = cell.unroll(golden.input("x"), golden.input("h0"), times(golden));
      Tensor loss = steps.outputs().square().sum();
      for (String output : golden.outputs()) {
        switch (output) {
          case "outputs" -> golden.expect(output, steps.outputs());
          case "states" -> golden.expect(output, steps.states());
          case "loss" -> golden.expect(output, loss);
          default -> {}
        }
      }
      gradients(golden, "grad_", loss, cell);
    }
  }

  private static LtcCell.Mapping mapping(GoldenCase golden, String name) {
    return golden.hasInput(name + "_b")
        ? LtcCell.Mapping.AFFINE
        : golden.hasInput(name + "_w") ? LtcCell.Mapping.LINEAR : LtcCell.Mapping.NONE;
  }

  /** Checks the gradients that a case has; the graph can be walked once. */
  private static void gradients(GoldenCase golden, String prefix, Tensor loss, LiquidCell cell) {
    if (golden.outputs().stream().noneMatch(output -> output.startsWith(prefix))) {
      return;
    }
    List<String> names = List.copyOf(cell.parameters().keySet());
    List<Tensor> all = Gradients.of(loss, List.copyOf(cell.parameters().values()), false);
    for (int i = 0; i < names.size(); i++) {
      for (String name : new TreeSet<>(List.of(names.get(i), names.get(i).replace('.', '_')))) {
        if (golden.hasOutput(prefix + name)) {
          golden.expect(prefix + name, all.get(i));
        }
      }
    }
  }

  private static void cfc(GoldenCase golden) {
    JsonNode params = golden.params();
    List<String> modes = new ArrayList<>();
    params.path("modes").forEach(mode -> modes.add(mode.asString()));
    if (modes.isEmpty()) {
      modes.add(params.path("mode").asString("default"));
    }
    long inputs = golden.input("x").size(2);
    long hidden = golden.input("h0").size(1);
    for (String mode : modes) {
      String prefix = golden.hasInput(mode + ".ff1.weight") ? mode + "." : "";
      CfcCell.Settings settings =
          new CfcCell.Settings(
              CfcCell.Mode.of(mode),
              params.path("backbone_units").asInt(128),
              params.path("backbone_layers").asInt(1),
              0,
              Activation.Kind.of(params.path("backbone_activation").asString("lecun_tanh")));
      try (Rng rng = new Rng(0);
          CfcCell cell = new CfcCell(inputs, hidden, settings, rng)) {
        cell.to(ScalarType.Double);
        cell.loadStateDict(inputs(golden, prefix, cell), true);
        LiquidCell.Steps steps = cell.unroll(golden.input("x"), golden.input("h0"), times(golden));
        if (golden.hasOutput(prefix + "h")) {
          golden.expect(prefix + "h", steps.states());
        }
        Tensor loss = steps.states().square().sum();
        gradients(golden, prefix + "grad_", loss, cell);
      }
    }
  }

  private static void wired(GoldenCase golden) {
    double[][] adjacency = Tensors.rows(golden.input("adjacency"));
    double[][] sensory = Tensors.rows(golden.input("sensory_adjacency"));
    List<int[]> layers = new ArrayList<>();
    for (JsonNode layer : golden.params().path("layer_neurons")) {
      layers.add(IntStream.range(0, layer.size()).map(i -> layer.get(i).asInt()).toArray());
    }
    Wiring wiring = Wiring.of(sensory, adjacency, layers.get(layers.size() - 1).length, layers);
    CfcCell.Mode mode = CfcCell.Mode.of(golden.params().path("mode").asString("default"));
    try (Rng rng = new Rng(0);
        WiredCfcCell cell = new WiredCfcCell(wiring, mode, rng)) {
      cell.to(ScalarType.Double);
      // The masks stay those that the wiring gives.
      Map<String, Tensor> weights = inputs(golden, "", cell);
      weights.keySet().removeIf(name -> name.endsWith("sparsity_mask"));
      cell.loadStateDict(weights, false);
      Tensor elapsed = times(golden);
      if (elapsed == null) {
        double each = golden.params().path("timespan").asDouble(1);
        elapsed = golden.input("x").select(2, 0).zero_().add(Tensors.number(each));
      }
      LiquidCell.Steps steps = cell.unroll(golden.input("x"), golden.input("h0"), elapsed);
      Tensor loss = steps.outputs().square().sum();
      for (String output : golden.outputs()) {
        switch (output) {
          case "outputs" -> golden.expect(output, steps.outputs());
          case "states" -> golden.expect(output, steps.states());
          default -> {}
        }
      }
      gradients(golden, "grad_", loss, cell);
    }
  }

  private static @Nullable Tensor times(GoldenCase golden) {
    return golden.hasInput("timespans") ? golden.input("timespans") : null;
  }

  private static Map<String, Tensor> inputs(GoldenCase golden, String prefix, LiquidCell cell) {
    Map<String, Tensor> weights = new LinkedHashMap<>();
    cell.stateDict()
        .keySet()
        .forEach(
            name -> {
              if (golden.hasInput(prefix + name)) {
                weights.put(name, golden.input(prefix + name));
              }
            });
    return weights;
  }
}
