package org.outrigger.adapt;

import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Room;
import org.outrigger.core.model.Output;

/**
 * RDumb: the adapter below starts over every so many batches, which keeps it from collapsing on a
 * stream that never ends. Press et al., RDumb: A simple approach that questions our progress in
 * continual test-time adaptation, NeurIPS 2023.
 */
@Card(
    slug = "periodic-reset",
    name = "Periodic reset",
    summary = "Starts the adapter below over every so many batches.",
    paper =
        "Press et al., RDumb: A simple approach that questions our progress in continual"
            + " test-time adaptation, NeurIPS 2023",
    year = 2023,
    room = Room.ADAPT,
    needs = {},
    state = "a count, and the state of the adapter below")
public final class PeriodicReset extends Decorator<PeriodicReset.Settings> {
  private static final String SINCE = "since";

  /**
   * @param every how many batches lie between two resets, 1 or more
   */
  public record Settings(int every) {
    public Settings {
      HyperParameter.atLeast("every", every, 1);
    }

    public static Settings defaults() {
      return new Settings(1000);
    }
  }

  public PeriodicReset() {
    this(Settings.defaults());
  }

  public PeriodicReset(Settings settings) {
    super(settings, new Tent());
  }

  @Override
  protected Output step(Tensor inputs) {
    double since = memory().number(SINCE, 0);
    if (since >= settings().every()) {
      startOver();
      since = 0;
    }
    Output output = inner().adapt(inputs);
    memory().put(SINCE, since + 1);
    return output;
  }
}
