package org.outrigger.adapt;

import java.util.function.UnaryOperator;
import org.bytedeco.pytorch.Tensor;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.io.State;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.model.Model;
import org.outrigger.core.model.Output;

/**
 * The source model as it is, with the normalisation statistics of its training: what every adapter
 * is compared with, and what corrections of outputs are put over by default. It works on any model,
 * which it borrows.
 */
@Card(
    slug = "source",
    name = "Source",
    summary = "The model as it is; nothing follows the stream.",
    paper = "none: the baseline without adaptation",
    year = 2015,
    room = Room.ADAPT,
    needs = {Need.LOGITS},
    state = "none")
public final class Source extends BaseAdapter<Source.Settings> {
  /** There is nothing to set. */
  public record Settings() {
    public static Settings defaults() {
      return new Settings();
    }
  }

  private @Nullable Model model;
  private @Nullable UnaryOperator<Output> correction;

  public Source() {
    this(Settings.defaults());
  }

  public Source(Settings settings) {
    super(settings);
  }

  @Override
  protected void configure(Model model, @Nullable IndexedDataset source, @Nullable State saved) {
    this.model = model;
  }

  @Override
  protected Output step(Tensor inputs) {
    Output output = model().predict(inputs);
    return correction == null ? output : correction.apply(output);
  }

  /** Lets {@code change} recompute the logits of every prediction. */
  void correct(UnaryOperator<Output> change) {
    correction = change;
  }

  @Override
  public Model model() {
    if (model == null) {
      throw new OutriggerException("source has not been started: call start with a model first.");
    }
    return model;
  }

  @Override
  protected void release() {
    model = null;
  }
}
