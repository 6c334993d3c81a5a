package org.outrigger.adapt;

import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.Room;
import org.outrigger.core.model.Output;

/**
 * Episodic adaptation: the adapter below starts over before every batch, so that each batch is
 * adapted to by itself and nothing is remembered. Wang et al., ICLR 2021; Zhang et al., NeurIPS
 * 2022.
 */
@Card(
    slug = "episodic",
    name = "Episodic",
    summary = "Starts the adapter below over before every batch.",
    paper = "Wang et al., Tent: Fully Test-Time Adaptation by Entropy Minimization, ICLR 2021",
    year = 2021,
    room = Room.ADAPT,
    needs = {},
    state = "that of the adapter below")
public final class Episodic extends Decorator<Episodic.Settings> {
  /** There is nothing to set. */
  public record Settings() {
    public static Settings defaults() {
      return new Settings();
    }
  }

  public Episodic() {
    this(Settings.defaults());
  }

  public Episodic(Settings settings) {
    super(settings, new Tent());
  }

  @Override
  protected Output step(Tensor inputs) {
    startOver();
    return inner().adapt(inputs);
  }
}
