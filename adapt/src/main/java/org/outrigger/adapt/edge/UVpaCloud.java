package org.outrigger.adapt.edge;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.State;
import org.outrigger.core.model.Model;
import org.outrigger.core.model.Output;
import org.outrigger.core.optim.Adam;
import org.outrigger.core.optim.ParameterGroup;
import org.outrigger.core.torch.Gradients;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;

/**
 * The side of {@link UVpa} that learns: a teacher labels what was uploaded, a frozen copy of the
 * device's model learns a prompt to agree with it, and the prompt's average goes back.
 */
public final class UVpaCloud implements CloudSession {
  private static final String TYPE = "edge/u-vpa-cloud";
  private static final String AVERAGE = "average/";
  private static final String PROMPT = "prompt/";

  private final UVpa.Settings settings;
  private final PromptedModel student;
  private final Model teacher;
  private final Adam optimiser;
  private final Map<String, Tensor> average = new LinkedHashMap<>();
  private final Map<String, Tensor> first = new LinkedHashMap<>();
  private final Rng rng;
  private @Nullable Tensor random;
  private long version;
  private long updates;
  private long backward;

  /**
   * @param device the device's model; is copied
   * @param teacher is borrowed, must stay open, and stays as it is
   * @throws OutriggerException if the two have different numbers of classes
   */
  public UVpaCloud(UVpa.Settings settings, Model device, Model teacher) {
    CloudSession.requireSameClasses(device, teacher);
    this.settings = settings;
    this.teacher = teacher;
    student = new PromptedModel(settings, device);
    student.active(true);
    Scopes.run(
        () ->
            trained()
                .forEach(
                    (name, tensor) -> {
                      average.put(name, Scopes.own(tensor.detach().clone()));
                      first.put(name, Scopes.own(tensor.detach().clone()));
                    }));
    List<ParameterGroup> groups = new ArrayList<>();
    groups.add(ParameterGroup.of(Map.of(PromptedModel.VALUES, student.values())));
    if (!student.affine().isEmpty()) {
      groups.add(ParameterGroup.of(student.affine()).withLearningRate(settings.modelRate()));
    }
    optimiser = new Adam(groups, Adam.Settings.of(settings.promptRate()));
    rng = Rng.named(settings.seed(), "u-vpa restore");
  }

  /** The prompt's values and whatever else is trained, by name. */
  private Map<String, Tensor> trained() {
    Map<String, Tensor> trained = new LinkedHashMap<>(student.affine());
    trained.put(PromptedModel.VALUES, student.values());
    return trained;
  }

  @Override
  public String digest() {
    return student.digest();
  }

  @Override
  public Message answer(Message upload) {
    upload.expect(Message.Kind.UPLOAD);
    Tensor rows = upload.tensor(CemaDevice.SAMPLES);
    double uncertainty = upload.number("uncertainty");
    double momentum = DropoutUncertainty.momentum(settings.rate(), settings.scale(), uncertainty);
    Shapes.notEmpty("The upload", rows);
    Shapes.finite("The upload", rows);
    try (PointerScope scope = new PointerScope();
        Output probe = student.predict(rows);
        Output label = teacher.predict(rows)) {
      Shapes.finite("What the device's model says of the upload", probe.logits());
      Shapes.finite("What the teacher says of the upload", label.logits());
      Tensor target = torch.softmax(label.logits(), 1);
      if (Boolean.TRUE.equals(upload.values().get("restart"))) {
        restart();
      }
      Scopes.grad(
          true,
          () -> {
            learn(rows, target);
            return true;
          });
    }
    average(momentum);
    version++;
    return prompt();
  }

  /** Back to the first prompt; weights stay. */
  private void restart() {
    Scopes.run(
        () -> {
          Tensor start = Objects.requireNonNull(first.get(PromptedModel.VALUES));
          student.values().detach().copy_(start);
          Objects.requireNonNull(average.get(PromptedModel.VALUES)).copy_(start);
        });
    optimiser.reset(PromptedModel.VALUES);
    if (settings.form() == VisualPrompt.SPARSE) {
      student.places(null);
    }
  }

  private void learn(Tensor rows, Tensor target) {
    if (settings.form() == VisualPrompt.SPARSE && student.places() == null) {
      Scopes.run(() -> student.places(uncertainPlaces(rows)));
    }
    Tensor trust =
        settings.weighted()
            ? target.amax(new long[] {1}, false)
            : torch.ones_like(target.select(1, 0));
    for (int step = 0; step < settings.steps(); step++) {
      Scopes.run(
          () -> {
            Tensor logits = student.logits(rows);
            Tensor loss = UVpa.loss(logits, target).mul(trust).mean();
            optimiser.clearGradients();
            loss.backward();
            optimiser.step();
            optimiser.clearGradients();
            restoreSome();
          });
      updates++;
      backward += rows.size(0);
    }
  }

  /** The pixels that the entropy of the predictions reacts to most. */
  private Tensor uncertainPlaces(Tensor rows) {
    Tensor inputs = rows.detach().clone().requires_grad_(true);
    Tensor entropy = SelectiveDistillation.entropy(student.logits(inputs)).sum();
    Tensor map = Gradients.of(entropy, inputs).abs().mean(0);
    return VisualPrompt.mostUncertain(map.dim() == 3 ? map.sum(0) : map, settings.rho());
  }

  /** Lets each trained weight go back to its source value with a small probability. */
  private void restoreSome() {
    if (settings.restore() == 0) {
      return;
    }
    student
        .affine()
        .forEach(
            (name, weight) -> {
              Tensor start = Objects.requireNonNull(first.get(name));
              Tensor back = rng.uniform(weight.shape()).lt(new Scalar(settings.restore()));
              weight.detach().copy_(torch.where(back, start, weight.detach()));
            });
  }

  private void average(double momentum) {
    Scopes.run(
        () ->
            trained()
                .forEach(
                    (name, value) -> {
                      double keep = name.equals(PromptedModel.VALUES) ? momentum : settings.rate();
                      Tensor old = Objects.requireNonNull(average.get(name));
                      old.copy_(DropoutUncertainty.average(old, value.detach(), keep));
                    }));
  }

  private Message prompt() {
    Map<String, Tensor> tensors = new LinkedHashMap<>(average);
    Tensor places = student.places();
    if (settings.form() == VisualPrompt.SPARSE && places != null) {
      tensors.put(PromptedModel.PLACES, places);
    }
    return new Message(Message.Kind.PROMPT, Map.of("version", version), tensors);
  }

  @Override
  public Message latest(long held) {
    if (version > held) {
      return prompt();
    }
    // A cloud that was started anew counts on from what the device has.
    version = held;
    return Message.of(Message.Kind.IDLE, Map.of());
  }

  @Override
  public long updates() {
    return updates;
  }

  @Override
  public long backward() {
    return backward;
  }

  @Override
  public State state() {
    Tensor now = Scopes.scoped(() -> Scopes.own(rng.state()));
    Scopes.release(random);
    random = now;
    NestedState state =
        new NestedState()
            .value("version", version)
            .value("updates", updates)
            .value("backward", backward)
            .part("optimiser", optimiser)
            .tensor("random", now);
    student.contents().forEach((name, tensor) -> state.tensor(PROMPT + name, tensor));
    average.forEach((name, tensor) -> state.tensor(AVERAGE + name, tensor));
    return state.of(TYPE);
  }

  @Override
  public void restore(State state) {
    NestedState.allOrNothing(state(), state.expect(TYPE, 1), this::apply);
  }

  private void apply(State state) {
    long newVersion = NestedState.count(state, "version");
    long newUpdates = NestedState.count(state, "updates");
    long newBackward = NestedState.count(state, "backward");
    Tensor numbers = state.tensor("random");
    average.forEach(
        (name, own) -> {
          Tensor saved = state.tensor(AVERAGE + name);
          if (!Arrays.equals(saved.shape(), own.shape())) {
            throw new OutriggerException(
                "The saved average of '"
                    + name
                    + "' has another shape: resume with the model and settings it was saved with.");
          }
        });
    student.load(NestedState.below(state, "prompt"));
    NestedState.restore(state, "optimiser", optimiser);
    rng.state(numbers);
    Scopes.run(() -> average.forEach((name, own) -> own.copy_(state.tensor(AVERAGE + name))));
    version = newVersion;
    updates = newUpdates;
    backward = newBackward;
  }

  @Override
  public void close() {
    optimiser.close();
    average.values().forEach(Scopes::release);
    first.values().forEach(Scopes::release);
    average.clear();
    first.clear();
    student.close();
    rng.close();
    Scopes.release(random);
    random = null;
  }
}
