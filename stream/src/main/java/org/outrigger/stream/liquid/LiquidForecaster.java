package org.outrigger.stream.liquid;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.State;
import org.outrigger.core.io.Stateful;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Method;
import org.outrigger.core.method.Methods;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.nn.Layer;
import org.outrigger.core.nn.Linear;
import org.outrigger.core.nn.liquid.CfcCell;
import org.outrigger.core.nn.liquid.LiquidCell;
import org.outrigger.core.nn.liquid.LtcCell;
import org.outrigger.core.nn.liquid.WiredCfcCell;
import org.outrigger.core.nn.liquid.Wiring;
import org.outrigger.core.optim.Adam;
import org.outrigger.core.optim.Optimiser;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;

/**
 * Liquid link-load forecaster: a recurrent network with input-dependent time constants whose state
 * is carried over the stream, so that it follows re-routed traffic at once and without training.
 * The forecast is the last load plus an increment, {@code y(t + h) = x(t) + head(state(t))}. After
 * "Liquid Neural Network-based Adaptive Learning vs. Incremental Learning for Link Load Prediction
 * amid Concept Drift due to Network Failures", 2024; cells by Hasani et al. and Lechner et al.
 *
 * <p>Inputs of the network are the last load and the time of day of the predicted step. A head that
 * gave the load itself would saturate at loads beyond those of the training, which is what a
 * failure brings. Not safe for concurrent use.
 */
@Card(
    slug = "liquid-link-load",
    name = "Liquid link-load forecaster",
    summary = "A liquid network forecasts loads and follows a failure without being trained again.",
    paper =
        "Liquid Neural Network-based Adaptive Learning vs. Incremental Learning for Link Load"
            + " Prediction amid Concept Drift due to Network Failures, arXiv 2404.05304, 2024",
    year = 2024,
    room = Room.STREAM,
    needs = {Need.TRAINING},
    state = "weights, wiring, hidden state of each link, scale of the loads")
public final class LiquidForecaster implements Method, LinkForecaster, Stateful {
  private static final String TYPE = "forecaster/liquid-link-load";
  private static final int INPUTS = 3;
  private static final double SMALLEST = 1e-12;

  /** Which cell carries the state. */
  public enum Cell {
    /** closed-form cells along a neural circuit */
    CFC,
    /** liquid time-constant neurons of a neural circuit, with a solver */
    LTC
  }

  /**
   * @param cell the cell
   * @param mode of CfC cells
   * @param units neurons of the circuit, 4 or more
   * @param odeUnfolds solver steps a step of LTC cells
   * @param sparsity of the circuit, 0.1 to 1
   * @param period steps of a day
   * @param horizon steps ahead, 1 or more
   * @param windowPeriods length of a training window in periods, above 0
   * @param burnIn first steps of a window that do not count, as its state begins at zero
   * @param epochs passes over all windows at once, 1 or more
   * @param learningRate of Adam, above 0
   * @param seed of weights and circuit
   */
  public record Settings(
      Cell cell,
      CfcCell.Mode mode,
      int units,
      int odeUnfolds,
      double sparsity,
      double period,
      int horizon,
      double windowPeriods,
      int burnIn,
      int epochs,
      double learningRate,
      long seed) {
    public Settings {
      HyperParameter.atLeast("units", units, 4);
      HyperParameter.atLeast("odeUnfolds", odeUnfolds, 1);
      HyperParameter.between("sparsity", sparsity, 0.1, 1);
      HyperParameter.positive("period", period);
      HyperParameter.atLeast("horizon", horizon, 1);
      HyperParameter.positive("windowPeriods", windowPeriods);
      HyperParameter.atLeast("burnIn", burnIn, 0);
      HyperParameter.atLeast("epochs", epochs, 1);
      HyperParameter.positive("learningRate", learningRate);
      HyperParameter.require(
          windowPeriods * period > burnIn + 1,
          "burnIn",
          burnIn,
          "shorter than a window of " + windowPeriods * period + " steps");
    }

    public static Settings defaults() {
      return new Settings(Cell.CFC, CfcCell.Mode.DEFAULT, 24, 6, 0.5, 48, 1, 2, 12, 80, 1e-2, 0);
    }

    public Settings withCell(Cell value, int neurons, int passes) {
      return new Settings(
          value,
          mode,
          neurons,
          odeUnfolds,
          sparsity,
          period,
          horizon,
          windowPeriods,
          burnIn,
          passes,
          learningRate,
          seed);
    }

    public Settings withHorizon(int steps) {
      return new Settings(
          cell,
          mode,
          units,
          odeUnfolds,
          sparsity,
          period,
          steps,
          windowPeriods,
          burnIn,
          epochs,
          learningRate,
          seed);
    }

    public Settings withPeriod(double steps) {
      return new Settings(
          cell,
          mode,
          units,
          odeUnfolds,
          sparsity,
          steps,
          horizon,
          windowPeriods,
          burnIn,
          epochs,
          learningRate,
          seed);
    }

    public Settings withEpochs(int passes) {
      return withCell(cell, units, passes);
    }

    public Settings withSeed(long value) {
      return new Settings(
          cell,
          mode,
          units,
          odeUnfolds,
          sparsity,
          period,
          horizon,
          windowPeriods,
          burnIn,
          epochs,
          learningRate,
          value);
    }
  }

  private final Settings settings;
  private @Nullable Live live;

  /** A trained network and where it is in the stream. */
  private static final class Live implements AutoCloseable {
    final LiquidCell cell;
    final Linear head;
    final double mean;
    final double scale;
    @Nullable Tensor state;
    double time;

    Live(LiquidCell cell, Linear head, double mean, double scale) {
      this.cell = cell;
      this.head = head;
      this.mean = mean;
      this.scale = scale;
    }

    Map<String, Tensor> parameters(boolean all) {
      Map<String, Tensor> named = new LinkedHashMap<>();
      for (Map.Entry<String, Layer> part : Map.of("cell", (Layer) cell, "head", head).entrySet()) {
        Layer layer = part.getValue();
        (all ? layer.stateDict() : layer.parameters())
            .forEach((name, tensor) -> named.put(part.getKey() + "." + name, tensor));
      }
      return new TreeMap<>(named);
    }

    @Override
    public void close() {
      cell.close();
      head.close();
      Scopes.release(state);
    }
  }

  public LiquidForecaster() {
    this(Settings.defaults());
  }

  public LiquidForecaster(Settings settings) {
    this.settings = settings;
  }

  private Live build(double mean, double scale) {
    Wiring wiring = Wiring.autoNcp(INPUTS, settings.units, 1, settings.sparsity, settings.seed);
    try (Rng rng = Rng.named(settings.seed, "weights")) {
      LiquidCell cell =
          settings.cell == Cell.CFC
              ? new WiredCfcCell(wiring, settings.mode, rng)
              : new LtcCell(
                  wiring,
                  new LtcCell.Settings(
                      settings.odeUnfolds,
                      1e-8,
                      true,
                      LtcCell.Mapping.AFFINE,
                      LtcCell.Mapping.NONE),
                  rng);
      return new Live(cell, new Linear(settings.units, 1, rng), mean, scale);
    }
  }

  /** [S, T] of standardised loads and [T, 2] of times of day to the network's inputs, [S, T, 3]. */
  private static Tensor inputs(Tensor x, Tensor timeOfDay) {
    Tensor day = timeOfDay.unsqueeze(0).expand(x.size(0), x.size(1), 2);
    return torch.cat(new TensorVector(x.unsqueeze(2), day), 2).to(ScalarType.Float);
  }

  @Override
  public void fit(Tensor loads, @Nullable Tensor elapsed) {
    Scopes.run(() -> Clock.check(loads, elapsed));
    long length = Math.round(settings.windowPeriods * settings.period);
    long needed = length + settings.horizon;
    if (loads.size(1) < needed) {
      throw new OutriggerException(
          "The series have "
              + loads.size(1)
              + " steps, but a window and its horizon take "
              + needed
              + ": give longer series, or a smaller windowPeriods or period.");
    }
    Live fresh =
        Scopes.scoped(
            () -> {
              Tensor y = loads.detach().to(ScalarType.Double);
              double mean = y.mean().item_double();
              double scale = y.sub(new Scalar(mean)).square().mean().sqrt().item_double();
              Live made = build(mean, Math.max(scale, SMALLEST));
              try {
                train(made, y, elapsed, length);
                return made;
              } catch (RuntimeException e) {
                made.close();
                throw e;
              }
            });
    swap(fresh);
  }

  private void train(Live network, Tensor loads, @Nullable Tensor elapsed, long length) {
    Tensor x = standardise(network, loads);
    Tensor times = Clock.times(x.size(1), elapsed, 0).add(new Scalar((double) settings.horizon));
    Tensor all = inputs(x, Clock.timeOfDay(times, settings.period));
    List<Tensor> windows = new ArrayList<>();
    List<Tensor> targets = new ArrayList<>();
    List<Tensor> steps = new ArrayList<>();
    long stride = Math.max(1, Math.round(settings.period));
    for (long at = 0; at + length + settings.horizon <= x.size(1); at += stride) {
      windows.add(all.narrow(1, at, length));
      targets.add(x.narrow(1, at + settings.horizon, length));
      if (elapsed != null) {
        steps.add(
            elapsed
                .narrow(0, at, length)
                .to(ScalarType.Float)
                .unsqueeze(0)
                .expand(x.size(0), length));
      }
    }
    Tensor input = cat(windows);
    Tensor target = cat(targets).to(ScalarType.Float);
    Tensor time = steps.isEmpty() ? null : cat(steps);
    try (Optimiser adam =
        new Adam(network.parameters(false), Adam.Settings.of(settings.learningRate))) {
      for (int epoch = 0; epoch < settings.epochs; epoch++) {
        Scopes.run(
            () -> {
              adam.clearGradients();
              Tensor forecast = forecast(network, input, null, time)[0];
              long counted = length - settings.burnIn;
              Tensor loss =
                  torch.mse_loss(
                      forecast.narrow(1, settings.burnIn, counted),
                      target.narrow(1, settings.burnIn, counted));
              loss.backward();
              adam.step();
              network.cell.constrain();
            });
      }
    }
  }

  private static Tensor cat(List<Tensor> rows) {
    return torch.cat(new TensorVector(rows.toArray(new Tensor[0])), 0);
  }

  /** Standardised forecasts [S, T] and the states [S, T, units]. */
  private static Tensor[] forecast(
      Live network, Tensor input, @Nullable Tensor state, @Nullable Tensor elapsed) {
    LiquidCell.Steps steps = network.cell.unroll(input, state, elapsed);
    Tensor increment = network.head.forward(steps.states()).squeeze(2);
    return new Tensor[] {input.select(2, 0).add(increment), steps.states()};
  }

  private static Tensor standardise(Live network, Tensor loads) {
    return loads.sub(new Scalar(network.mean)).div(new Scalar(network.scale));
  }

  @Override
  public void begin() {
    Live now = fitted();
    Scopes.release(now.state);
    now.state = null;
    now.time = 0;
  }

  @Override
  public Tensor follow(Tensor loads, @Nullable Tensor elapsed) {
    Live now = fitted();
    Scopes.run(() -> Clock.check(loads, elapsed));
    if (now.state != null && now.state.size(0) != loads.size(0)) {
      throw new OutriggerException(
          "It follows "
              + now.state.size(0)
              + " links, not "
              + loads.size(0)
              + ": call begin to follow others.");
    }
    return Scopes.noGrad(
        () -> {
          long steps = loads.size(1);
          Tensor x = standardise(now, loads.detach().to(ScalarType.Double));
          Tensor times = Clock.times(steps, elapsed, now.time);
          Tensor day =
              Clock.timeOfDay(times.add(new Scalar((double) settings.horizon)), settings.period);
          Tensor time =
              elapsed == null
                  ? null
                  : elapsed.to(ScalarType.Float).unsqueeze(0).expand(loads.size(0), steps);
          Tensor[] made = forecast(now, inputs(x, day), now.state, time);
          Tensor last = Scopes.own(made[1].select(1, steps - 1).clone());
          Scopes.release(now.state);
          now.state = last;
          now.time = times.select(0, steps - 1).item_double();
          return made[0].to(ScalarType.Double).mul(new Scalar(now.scale)).add(new Scalar(now.mean));
        });
  }

  @Override
  public int horizon() {
    return settings.horizon;
  }

  private Live fitted() {
    if (live == null) {
      throw new OutriggerException("The liquid forecaster is not fitted yet: call fit first.");
    }
    return live;
  }

  private void swap(@Nullable Live fresh) {
    Live old = live;
    live = fresh;
    if (old != null) {
      old.close();
    }
  }

  @Override
  public Settings settings() {
    return settings;
  }

  @Override
  public State state() {
    Live now = fitted();
    Map<String, Tensor> tensors = new LinkedHashMap<>(now.parameters(true));
    if (now.state != null) {
      tensors.put("state", now.state);
    }
    return new State(
        TYPE,
        1,
        Map.of(
            "settings", Methods.values(settings),
            "mean", now.mean,
            "scale", now.scale,
            "time", now.time),
        tensors);
  }

  @Override
  public void restore(State saved) {
    saved.expect(TYPE, 1);
    // As text in one order: a file turns enums into names and forgets which numbers were long.
    String wanted = new TreeMap<>(Methods.values(settings)).toString();
    if (!wanted.equals(new TreeMap<>(saved.map("settings")).toString())) {
      throw new OutriggerException(
          "The saved forecaster has other settings, "
              + saved.map("settings")
              + ": restore it into one of those.");
    }
    double scale = saved.number("scale");
    HyperParameter.positive("the saved scale", scale);
    Live fresh = build(saved.number("mean"), scale);
    try {
      fresh.time = saved.number("time");
      for (Map.Entry<String, Layer> part :
          Map.of("cell", (Layer) fresh.cell, "head", fresh.head).entrySet()) {
        Map<String, Tensor> own = new LinkedHashMap<>();
        String prefix = part.getKey() + ".";
        saved
            .tensors()
            .forEach(
                (name, tensor) -> {
                  if (name.startsWith(prefix)) {
                    own.put(name.substring(prefix.length()), tensor);
                  }
                });
        part.getValue().loadStateDict(own, true);
      }
      Tensor state = saved.tensors().get("state");
      if (state != null) {
        Shapes.check().tensor("The saved state", state, "S", String.valueOf(settings.units));
        Shapes.finite("The saved state", state);
        fresh.state = Scopes.scoped(() -> Scopes.own(state.to(ScalarType.Float).clone()));
      }
    } catch (RuntimeException e) {
      fresh.close();
      throw e;
    }
    swap(fresh);
  }

  @Override
  public void close() {
    swap(null);
  }
}
