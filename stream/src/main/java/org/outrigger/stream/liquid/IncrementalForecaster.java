package org.outrigger.stream.liquid;

import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.nn.Activation;
import org.outrigger.core.nn.Layer;
import org.outrigger.core.nn.Linear;
import org.outrigger.core.nn.Sequential;
import org.outrigger.core.optim.Adam;
import org.outrigger.core.optim.Optimiser;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;

/**
 * Incremental learning, what liquid networks are compared with: a fully connected network over the
 * last loads and the time of day, trained before the stream and again every {@code refitEvery}
 * steps on the last {@code memory} steps of the followed links, from the weights that it has. It
 * counts steps, not time: elapsed times move its time of day alone. Not safe for concurrent use.
 */
public final class IncrementalForecaster implements LinkForecaster {
  /**
   * @param lags loads that it sees, 1 or more
   * @param hidden width of its two hidden layers
   * @param period steps of a day
   * @param horizon steps ahead, 1 or more
   * @param refitEvery steps between two trainings, 1 or more
   * @param memory steps that it is trained on again, more than {@code lags + horizon}
   * @param epochs passes of the first training
   * @param refitEpochs passes of each later one
   * @param learningRate of Adam
   * @param seed of the weights
   */
  public record Settings(
      int lags,
      int hidden,
      double period,
      int horizon,
      int refitEvery,
      int memory,
      int epochs,
      int refitEpochs,
      double learningRate,
      long seed) {
    public Settings {
      HyperParameter.atLeast("lags", lags, 1);
      HyperParameter.atLeast("hidden", hidden, 1);
      HyperParameter.positive("period", period);
      HyperParameter.atLeast("horizon", horizon, 1);
      HyperParameter.atLeast("refitEvery", refitEvery, 1);
      HyperParameter.atLeast("memory", memory, lags + horizon + 1L);
      HyperParameter.atLeast("epochs", epochs, 1);
      HyperParameter.atLeast("refitEpochs", refitEpochs, 1);
      HyperParameter.positive("learningRate", learningRate);
    }

    /** Refitted once a period on the last two. */
    public static Settings of(int period, int horizon, long seed) {
      int lags = Math.min(12, period);
      return new Settings(
          lags,
          32,
          period,
          horizon,
          period,
          Math.max(2 * period, lags + horizon + 1),
          300,
          150,
          1e-2,
          seed);
    }

    /** With other numbers of passes. */
    public Settings withEpochs(int first, int later) {
      return new Settings(
          lags, hidden, period, horizon, refitEvery, memory, first, later, learningRate, seed);
    }
  }

  private final Settings settings;
  private @Nullable Layer fitted;
  private @Nullable Layer current;
  private double mean;
  private double scale = 1;
  private @Nullable Tensor seen;
  private @Nullable Tensor times;
  private long steps;

  public IncrementalForecaster(Settings settings) {
    this.settings = settings;
  }

  private Layer build() {
    try (Rng rng = Rng.named(settings.seed, "incremental")) {
      return new Sequential(
          new Linear(settings.lags + 2L, settings.hidden, rng),
          Activation.relu(),
          new Linear(settings.hidden, settings.hidden, rng),
          Activation.relu(),
          new Linear(settings.hidden, 1, rng));
    }
  }

  @Override
  public void fit(Tensor loads, @Nullable Tensor elapsed) {
    Scopes.run(() -> Clock.check(loads, elapsed));
    long needed = settings.lags + settings.horizon + 1L;
    if (loads.size(1) < needed) {
      throw new OutriggerException(
          "The series have "
              + loads.size(1)
              + " steps, but lags and horizon take "
              + needed
              + ": give longer series.");
    }
    close();
    Layer network = build();
    fitted = network;
    Scopes.run(
        () -> {
          Tensor y = loads.detach().to(ScalarType.Double);
          mean = y.mean().item_double();
          scale = Math.max(y.sub(new Scalar(mean)).square().mean().sqrt().item_double(), 1e-12);
          train(network, standardise(y), Clock.times(y.size(1), elapsed, 0), settings.epochs);
        });
    begin();
  }

  private Tensor standardise(Tensor loads) {
    return loads.sub(new Scalar(mean)).div(new Scalar(scale));
  }

  @Override
  public void begin() {
    Layer start = required(fitted);
    forget();
    current = start.deepCopy();
  }

  private void forget() {
    if (current != null) {
      current.close();
    }
    current = null;
    Scopes.release(seen);
    Scopes.release(times);
    seen = null;
    times = null;
    steps = 0;
  }

  private static Layer required(@Nullable Layer layer) {
    if (layer == null) {
      throw new OutriggerException("The forecaster is not fitted yet: call fit first.");
    }
    return layer;
  }

  /** Rows of lags and time of day for each step from the first with all lags: [S, T', lags + 2]. */
  private Tensor rows(Tensor x, Tensor at) {
    long count = x.size(1) - settings.lags + 1;
    Tensor lags = x.unfold(1, settings.lags, 1);
    Tensor day =
        Clock.timeOfDay(
            at.narrow(0, settings.lags - 1L, count).add(new Scalar((double) settings.horizon)),
            settings.period);
    return torch
        .cat(new TensorVector(lags, day.unsqueeze(0).expand(x.size(0), count, 2)), 2)
        .to(ScalarType.Float);
  }

  private void train(Layer network, Tensor x, Tensor at, int epochs) {
    long count = x.size(1) - settings.lags + 1 - settings.horizon;
    Tensor input = rows(x, at).narrow(1, 0, count);
    Tensor target = x.narrow(1, settings.lags - 1L + settings.horizon, count).to(ScalarType.Float);
    try (Optimiser adam = new Adam(network.parameters(), Adam.Settings.of(settings.learningRate))) {
      for (int epoch = 0; epoch < epochs; epoch++) {
        Scopes.run(
            () -> {
              adam.clearGradients();
              torch.mse_loss(network.forward(input).squeeze(2), target).backward();
              adam.step();
            });
      }
    }
  }

  @Override
  public Tensor follow(Tensor loads, @Nullable Tensor elapsed) {
    Layer network = required(current);
    Scopes.run(() -> Clock.check(loads, elapsed));
    if (seen != null && seen.size(0) != loads.size(0)) {
      throw new OutriggerException(
          "It follows "
              + seen.size(0)
              + " links, not "
              + loads.size(0)
              + ": call begin to follow others.");
    }
    return Scopes.tensor(
        () -> {
          Tensor y = loads.detach().to(ScalarType.Double);
          java.util.List<Tensor> parts = new java.util.ArrayList<>();
          for (long at = 0; at < y.size(1); ) {
            // Up to the step after which it is trained again.
            long block =
                Math.min(
                    y.size(1) - at,
                    settings.refitEvery - Math.floorMod(steps, settings.refitEvery));
            Tensor part = elapsed == null ? null : elapsed.narrow(0, at, block);
            parts.add(block(network, y.narrow(1, at, block), part));
            at += block;
          }
          return torch.cat(new TensorVector(parts.toArray(new Tensor[0])), 1);
        });
  }

  private Tensor block(Layer network, Tensor loads, @Nullable Tensor elapsed) {
    return Scopes.tensor(
        () -> {
          long count = loads.size(1);
          Tensor x = standardise(loads);
          double before = times == null ? 0 : times.select(0, times.size(0) - 1).item_double();
          Tensor at = Clock.times(count, elapsed, before);
          Tensor all = seen == null ? x : torch.cat(new TensorVector(seen, x), 1);
          Tensor clock = times == null ? at : torch.cat(new TensorVector(times, at), 0);
          // Before there are enough lags, the first load stands for those before it.
          long missing = Math.max(0, count + settings.lags - 1 - all.size(1));
          Tensor padded =
              missing == 0
                  ? all
                  : torch.cat(
                      new TensorVector(all.narrow(1, 0, 1).expand(all.size(0), missing), all), 1);
          Tensor paddedClock =
              missing == 0
                  ? clock
                  : torch.cat(new TensorVector(clock.narrow(0, 0, 1).expand(missing), clock), 0);
          long length = count + settings.lags - 1;
          Tensor input =
              rows(
                  padded.narrow(1, padded.size(1) - length, length),
                  paddedClock.narrow(0, paddedClock.size(0) - length, length));
          Tensor forecast =
              Scopes.noGrad(() -> network.forward(input).squeeze(2).to(ScalarType.Double));
          remember(all, clock);
          steps += count;
          if (steps % settings.refitEvery == 0 && all.size(1) > settings.lags + settings.horizon) {
            Tensor recent = java.util.Objects.requireNonNull(seen);
            train(network, recent, java.util.Objects.requireNonNull(times), settings.refitEpochs);
          }
          return forecast.mul(new Scalar(scale)).add(new Scalar(mean));
        });
  }

  private void remember(Tensor all, Tensor clock) {
    long keep = Math.min(all.size(1), settings.memory);
    Tensor newest = Scopes.own(all.narrow(1, all.size(1) - keep, keep).clone());
    Tensor newestTimes = Scopes.own(clock.narrow(0, clock.size(0) - keep, keep).clone());
    Scopes.release(seen);
    Scopes.release(times);
    seen = newest;
    times = newestTimes;
  }

  /** The steps after which it is trained again, counted from {@link #begin}. */
  public int refitEvery() {
    return settings.refitEvery;
  }

  @Override
  public int horizon() {
    return settings.horizon;
  }

  @Override
  public void close() {
    forget();
    if (fitted != null) {
      fitted.close();
    }
    fitted = null;
  }
}
