package org.outrigger.cli;

import java.util.Map;
import java.util.function.Function;
import org.bytedeco.pytorch.Tensor;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.optim.Adam;
import org.outrigger.core.optim.AdamW;
import org.outrigger.core.optim.Optimiser;
import org.outrigger.core.optim.Schedule;
import org.outrigger.core.optim.Sgd;
import org.outrigger.core.optim.TrainingListener;
import picocli.CommandLine.Option;

/** How steps are taken, and at what pace. */
final class OptimiserArguments {
  private enum Kind {
    SGD,
    ADAM,
    ADAMW
  }

  private enum Pace {
    COSINE,
    STEP,
    CONSTANT
  }

  @Option(
      names = {"--optimiser", "--optimizer"},
      paramLabel = "NAME",
      description = "sgd (with Nesterov momentum), adam or adamw; sgd by default, adamw for mlp.")
  private @Nullable Kind kind;

  @Option(
      names = {"--lr", "--learning-rate"},
      paramLabel = "RATE",
      description = "Learning rate; 0.1 for sgd and 0.001 for the others by default.")
  private @Nullable Double rate;

  @Option(
      names = "--weight-decay",
      paramLabel = "W",
      description = "5e-4 for sgd, 0 for adam and 0.01 for adamw by default.")
  private @Nullable Double decay;

  @Option(
      names = "--schedule",
      paramLabel = "NAME",
      defaultValue = "cosine",
      description =
          "cosine (down to 0), step (a tenth after half and again after three quarters of all"
              + " steps) or constant; ${DEFAULT-VALUE} by default.")
  private Pace pace = Pace.COSINE;

  @Option(
      names = "--warm-up",
      paramLabel = "N",
      description = "Epochs in which the learning rate rises from 0.")
  private int warmUp;

  /** How the optimiser is made for a network of that architecture. */
  Function<Map<String, Tensor>, Optimiser> optimiser(@Nullable String architecture) {
    Kind chosen = kind != null ? kind : "mlp".equals(architecture) ? Kind.ADAMW : Kind.SGD;
    return switch (chosen) {
      case SGD -> {
        Sgd.Settings usual = Sgd.Settings.nesterov(or(rate, 0.1));
        Sgd.Settings settings =
            new Sgd.Settings(
                usual.learningRate(),
                usual.momentum(),
                usual.dampening(),
                or(decay, usual.weightDecay()),
                usual.nesterov());
        yield parameters -> new Sgd(parameters, settings);
      }
      case ADAM -> {
        Adam.Settings settings = Adam.Settings.of(or(rate, 1e-3), or(decay, 0));
        yield parameters -> new Adam(parameters, settings);
      }
      case ADAMW -> {
        Adam.Settings settings = Adam.Settings.of(or(rate, 1e-3), or(decay, 0.01));
        yield parameters -> new AdamW(parameters, settings);
      }
    };
  }

  private static double or(@Nullable Double value, double usual) {
    return value == null ? usual : value;
  }

  Schedule schedule(TrainingListener.Plan plan) {
    long rising = Math.min(warmUp, plan.epochs() - 1) * plan.stepsPerEpoch();
    long rest = plan.totalSteps() - rising;
    Schedule schedule =
        switch (pace) {
          case COSINE -> Schedule.cosine(rest);
          case STEP -> Schedule.multiStep(0.1, rest / 2, rest * 3 / 4);
          case CONSTANT -> Schedule.constant();
        };
    return rising > 0 ? schedule.warmUp(rising) : schedule;
  }
}
