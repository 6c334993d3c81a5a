package org.outrigger.calibrate.nngp;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.calibrate.nngp.Posterior.Solver;
import org.outrigger.calibrate.nngp.ScaleMixture.Process;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.State;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;
import org.outrigger.core.torch.Tensors;

/** Reads a saved regression, checking all of it before anything is taken over. */
final class SavedRegression {
  private static final String POSTERIOR = "posterior.";

  private SavedRegression() {}

  static FittedRegression read(State state, ScaleMixtureRegression.Settings settings) {
    check(state, settings);
    HyperParameters at = hyperParameters(state.map("hyperParameters"));
    double mean = finite(state, "targetMean");
    double std = finite(state, "targetStd");
    double q = finite(state, "q");
    if (!(std > 0) || q < 0) {
      throw new OutriggerException(
          "The saved targetStd " + std + " or q " + q + " is impossible: the file is damaged.");
    }
    boolean burr = settings.process() == Process.BURR;
    double[] scales = burr ? Tensors.doubles(state.tensor("scales")) : new double[0];
    double[] weights = burr ? Tensors.doubles(state.tensor("weights")) : new double[0];
    return Scopes.scoped(
        () -> {
          Map<String, Tensor> posterior = new LinkedHashMap<>();
          names(settings.solver())
              .forEach(name -> posterior.put(name, copy(state.tensor(POSTERIOR + name))));
          return new FittedRegression(
              Scopes.own(copy(state.tensor("x"))),
              Columns.owned(copy(state.tensor("inputMean")), copy(state.tensor("inputDeviation"))),
              mean,
              std,
              at,
              state.number("logMarginal"),
              Posterior.restored(settings.solver(), posterior, q, at.eps(), settings.cg()),
              scales,
              weights);
        });
  }

  private static Tensor copy(Tensor tensor) {
    return tensor.detach().to(ScalarType.Double).clone();
  }

  private static List<String> names(Solver solver) {
    return solver == Solver.EXACT
        ? List.of("lower", "alpha")
        : List.of("alpha", "landmarks", "lower", "u", "inner");
  }

  private static void check(State state, ScaleMixtureRegression.Settings settings) {
    Shapes shapes = Shapes.check();
    boolean images = settings.network() == NngpKernel.Network.CNN;
    String[] input = images ? new String[] {"C", "H", "W"} : new String[] {"D"};
    String[] rows = images ? new String[] {"N", "C", "H", "W"} : new String[] {"N", "D"};
    shapes
        .tensor("The saved x", state.tensor("x"), rows)
        .tensor("The saved inputMean", state.tensor("inputMean"), input)
        .tensor("The saved inputDeviation", state.tensor("inputDeviation"), input);
    Solver solver = settings.solver();
    if (solver == Solver.EXACT) {
      shapes
          .tensor("The saved Cholesky factor", state.tensor(POSTERIOR + "lower"), "N", "N")
          .tensor("The saved alpha", state.tensor(POSTERIOR + "alpha"), "N");
    } else {
      String[] landmarks = rows.clone();
      landmarks[0] = "R";
      shapes
          .tensor("The saved landmarks", state.tensor(POSTERIOR + "landmarks"), landmarks)
          .tensor("The saved factor", state.tensor(POSTERIOR + "lower"), "R", "R")
          .tensor("The saved u", state.tensor(POSTERIOR + "u"), "N", "R")
          .tensor("The saved inner factor", state.tensor(POSTERIOR + "inner"), "R", "R")
          .tensor(
              "The saved alpha",
              state.tensor(POSTERIOR + "alpha"),
              solver == Solver.CG ? "N" : "R");
    }
    if (settings.process() == Process.BURR) {
      shapes
          .tensor("The saved scales", state.tensor("scales"), "J")
          .tensor("The saved weights", state.tensor("weights"), "J");
    }
    state.tensors().forEach((name, tensor) -> Shapes.finite("The saved " + name, tensor));
  }

  private static double finite(State state, String name) {
    double value = state.number(name);
    if (!Double.isFinite(value)) {
      throw new OutriggerException("The saved " + name + " is " + value + ": the file is damaged.");
    }
    return value;
  }

  static HyperParameters hyperParameters(Map<String, Object> saved) {
    Map<String, Double> values = new LinkedHashMap<>();
    for (String name :
        ScaleMixtureRegression.Settings.defaults().hyperParameters().values().keySet()) {
      if (!(saved.get(name) instanceof Number number)) {
        throw new OutriggerException(
            "The saved hyper-parameter " + name + " is missing: the file is damaged.");
      }
      values.put(name, number.doubleValue());
    }
    return HyperParameters.of(values);
  }
}
