package org.outrigger.adapt.edge;

import java.util.LinkedHashMap;
import java.util.Map;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.io.State;
import org.outrigger.core.model.Model;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.model.Output;
import org.outrigger.core.torch.Scopes;

/** The side of {@link UVpa} that predicts with a prompt and uploads what it is uncertain of. */
public final class UVpaDevice implements EdgeDevice {
  private static final String TYPE = "edge/u-vpa-device";

  private final UVpa.Settings settings;
  private final PromptedModel prompted;
  private @Nullable Tensor random;
  private long version;
  private long batch;
  private long uploaded;
  private long restarts;

  /**
   * @param model is copied
   * @throws org.outrigger.core.OutriggerException if it has no dropout layer
   */
  public UVpaDevice(UVpa.Settings settings, Model model) {
    this.settings = settings;
    prompted = new PromptedModel(settings, model);
  }

  @Override
  public String method() {
    return UVpa.SLUG;
  }

  @Override
  public Map<String, Object> hello() {
    return Map.of("classes", model().classes(), "digest", prompted.digest());
  }

  @Override
  public NeuralModel model() {
    return prompted.model();
  }

  PromptedModel prompted() {
    return prompted;
  }

  @Override
  public Output predict(Tensor inputs) {
    return prompted.predict(inputs);
  }

  @Override
  public Message choose(Tensor inputs, Output output) {
    Tensor uncertainty = uncertainty(inputs);
    boolean restart = false;
    if (settings.restart() && prompted.active() && version > 0) {
      prompted.active(false);
      Tensor plain = uncertainty(inputs);
      restart = mean(uncertainty) > mean(plain);
      if (restart) {
        uncertainty = plain;
        restarts++;
      } else {
        prompted.active(true);
      }
    }
    Tensor chosen = DropoutUncertainty.most(uncertainty, settings.fraction());
    return upload(inputs, chosen, uncertainty, restart);
  }

  /**
   * How uncertain the model is of each row of a batch, with the prompt.
   *
   * @param inputs [N, ...], finite
   * @return [N]
   */
  public Tensor uncertainty(Tensor inputs) {
    return Scopes.tensor(() -> settings.uncertainty().of(prompted.passes(inputs)));
  }

  /**
   * An upload of rows that were chosen in another way.
   *
   * @param chosen row numbers, int64 [K], at least one
   * @param uncertainty of the whole batch, [N]
   * @param restart whether the prompt is to start anew
   * @return its tensors belong to the enclosing scope
   */
  public Message upload(Tensor inputs, Tensor chosen, Tensor uncertainty, boolean restart) {
    uploaded += chosen.size(0);
    batch++;
    Map<String, Object> values = new LinkedHashMap<>();
    values.put("batch", batch);
    values.put("version", version);
    values.put("uncertainty", mean(uncertainty));
    values.put("restart", restart);
    return new Message(
        Message.Kind.UPLOAD, values, Map.of(CemaDevice.SAMPLES, inputs.index_select(0, chosen)));
  }

  private static double mean(Tensor uncertainty) {
    return Scopes.scoped(() -> uncertainty.to(ScalarType.Double).mean().item_double());
  }

  @Override
  public void receive(Message answer) {
    answer.expect(Message.Kind.IDLE, Message.Kind.PROMPT);
    if (answer.kind() == Message.Kind.PROMPT) {
      long newer = answer.count("version");
      if (newer > version) {
        prompted.load(answer.tensors());
        prompted.active(true);
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
    return uploaded;
  }

  @Override
  public long restarts() {
    return restarts;
  }

  @Override
  public State state() {
    Tensor now = Scopes.scoped(() -> Scopes.own(prompted.rng().state()));
    Scopes.release(random);
    random = now;
    NestedState state =
        new NestedState()
            .value("version", version)
            .value("batch", batch)
            .value("uploaded", uploaded)
            .value("restarts", restarts)
            .value("active", prompted.active() ? 1 : 0)
            .tensor("random", now);
    prompted.contents().forEach((name, tensor) -> state.tensor("prompt/" + name, tensor));
    return state.of(TYPE);
  }

  @Override
  public void restore(State state) {
    NestedState.allOrNothing(state(), state.expect(TYPE, 1), this::apply);
  }

  private void apply(State state) {
    long newVersion = NestedState.count(state, "version");
    long newBatch = NestedState.count(state, "batch");
    long newUploaded = NestedState.count(state, "uploaded");
    long newRestarts = NestedState.count(state, "restarts");
    boolean active = NestedState.count(state, "active") > 0;
    Tensor numbers = state.tensor("random");
    prompted.load(NestedState.below(state, "prompt"));
    prompted.rng().state(numbers);
    prompted.active(active);
    version = newVersion;
    batch = newBatch;
    uploaded = newUploaded;
    restarts = newRestarts;
  }

  @Override
  public void close() {
    prompted.close();
    Scopes.release(random);
    random = null;
  }
}
