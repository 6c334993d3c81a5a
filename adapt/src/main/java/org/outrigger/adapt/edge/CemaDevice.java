package org.outrigger.adapt.edge;

import java.util.LinkedHashMap;
import java.util.Map;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.State;
import org.outrigger.core.model.Model;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.model.Output;
import org.outrigger.core.torch.Shapes;

/** The side of {@link Cema} that predicts and chooses what to upload. */
public final class CemaDevice implements EdgeDevice {
  /** The name under which rows are uploaded. */
  static final String SAMPLES = "samples";

  private static final String TYPE = "edge/cema-device";

  private final RenormalisedCopy copy;
  private final UploadCriteria criteria;
  private long version;
  private long batch;
  private long reliable;

  /**
   * @param model is copied
   * @throws OutriggerException if it has no normalisation layers with a scale or shift
   */
  public CemaDevice(Cema.Settings settings, Model model) {
    criteria = new UploadCriteria(settings, model.classes());
    copy = new RenormalisedCopy(model);
  }

  @Override
  public String method() {
    return Cema.SLUG;
  }

  @Override
  public Map<String, Object> hello() {
    return Map.of("classes", model().classes(), "digest", copy.digest());
  }

  @Override
  public NeuralModel model() {
    return copy.model();
  }

  RenormalisedCopy copy() {
    return copy;
  }

  @Override
  public Output predict(Tensor inputs) {
    Shapes.finite("The batch", inputs);
    if (inputs.size(0) < copy.minimumBatch()) {
      throw new OutriggerException(
          "CEMA needs batches of "
              + copy.minimumBatch()
              + " rows or more for this model, but this one has "
              + inputs.size(0)
              + ".");
    }
    return copy.model().predict(inputs);
  }

  @Override
  public Message choose(Tensor inputs, Output output) {
    UploadCriteria.Selection selection = criteria.select(output.logits());
    reliable += selection.reliable().size(0);
    return upload(inputs, selection.kept());
  }

  /**
   * An upload of rows that were chosen in another way.
   *
   * @param chosen row numbers, int64 [K]; perhaps none
   * @return its tensors belong to the enclosing scope
   */
  public Message upload(Tensor inputs, Tensor chosen) {
    batch++;
    // The statistics of the first batch are those that the cloud's copy starts from.
    Map<String, Tensor> tensors = new LinkedHashMap<>(batch == 1 ? copy.statistics() : Map.of());
    if (chosen.numel() > 0) {
      tensors.put(SAMPLES, inputs.index_select(0, chosen));
    }
    return new Message(Message.Kind.UPLOAD, Map.of("batch", batch, "version", version), tensors);
  }

  @Override
  public void receive(Message answer) {
    answer.expect(Message.Kind.IDLE, Message.Kind.UPDATE);
    if (answer.kind() == Message.Kind.UPDATE) {
      long newer = answer.count("version");
      if (newer > version) {
        copy.load(answer.tensors());
        version = newer;
      }
    }
  }

  @Override
  public long version() {
    return version;
  }

  @Override
  public long reliable() {
    return reliable;
  }

  @Override
  public State state() {
    return new NestedState()
        .value("version", version)
        .value("batch", batch)
        .value("reliable", reliable)
        .part("criteria", criteria)
        .part("normalisation", copy)
        .of(TYPE);
  }

  @Override
  public void restore(State state) {
    NestedState.allOrNothing(state(), state.expect(TYPE, 1), this::apply);
  }

  private void apply(State state) {
    long newVersion = NestedState.count(state, "version");
    long newBatch = NestedState.count(state, "batch");
    long newReliable = NestedState.count(state, "reliable");
    NestedState.restore(state, "criteria", criteria);
    NestedState.restore(state, "normalisation", copy);
    version = newVersion;
    batch = newBatch;
    reliable = newReliable;
  }

  @Override
  public void close() {
    criteria.close();
    copy.close();
  }
}
