package org.outrigger.adapt;

import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.BiFunction;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.model.Capabilities;
import org.outrigger.core.model.Model;
import org.outrigger.core.model.Output;
import org.outrigger.core.optim.Optimiser;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;

/**
 * CoTTA: a student learns the soft labels of its slow average, the teacher, loss = mean_i CE(q_i,
 * p_i), in all of its parameters; then the teacher follows, and each value of the student goes back
 * to the source with a small probability. Where the source is unsure of a batch (mean confidence
 * below {@code ap}), the teacher's logits are a mean over augmented views. It predicts with the
 * teacher as it was before the step. Images are to be in [0, 1]. Wang et al., Continual Test-Time
 * Domain Adaptation, CVPR 2022.
 */
@Card(
    slug = "cotta",
    name = "CoTTA",
    summary = "A student learns from its slow average and partly goes back to the source.",
    paper = "Wang, Fink, Van Gool, Dai, Continual Test-Time Domain Adaptation, CVPR 2022",
    year = 2022,
    room = Room.ADAPT,
    needs = {Need.PARAMETER_GRADIENTS, Need.IMAGES},
    state = "student, teacher, the optimiser, generators")
public final class Cotta extends TeacherAdapter<Cotta.Settings> {
  /**
   * @param optimiser of the student
   * @param lr learning rate, above 0
   * @param momentum of SGD, in [0, 1)
   * @param steps on each batch, 1 or more
   * @param mt how much of the teacher is kept at each step, in [0, 1)
   * @param ap the source's mean confidence below which views are averaged, in [0, 1]: 0.92 for
   *     CIFAR-10, 0.72 for CIFAR-100, 0.1 for ImageNet
   * @param rst the probability with which a value goes back to the source, in [0, 1]: 0.01, for
   *     ImageNet 0.001
   * @param views how many views are averaged, 1 or more
   * @param symmetric whether half of the loss is CE(p_i, q_i), as on ImageNet
   * @param flip whether views may be mirrored; not for digits or text
   * @param seed of views and restoration
   */
  public record Settings(
      Rule optimiser,
      double lr,
      double momentum,
      int steps,
      double mt,
      double ap,
      double rst,
      int views,
      boolean symmetric,
      boolean flip,
      long seed)
      implements Descent {
    public Settings {
      Descent.check(lr, momentum, steps);
      HyperParameter.require(mt >= 0 && mt < 1, "mt", mt, "0 or more and below 1");
      HyperParameter.between("ap", ap, 0, 1);
      HyperParameter.between("rst", rst, 0, 1);
      HyperParameter.atLeast("views", views, 1);
    }

    public static Settings defaults() {
      return new Settings(Rule.ADAM, 1e-3, 0.9, 1, 0.999, 0.92, 0.01, 32, false, true, 0);
    }
  }

  private final StrongAugmentation augmentation;
  private @Nullable Model anchor;
  private @Nullable Rng viewNoise;
  private @Nullable Rng restoreNoise;
  private @Nullable BiFunction<String, Tensor, Tensor> masks;

  public Cotta() {
    this(Settings.defaults());
  }

  public Cotta(Settings settings) {
    super(settings);
    augmentation = new StrongAugmentation(settings.flip());
  }

  /**
   * Restores by given masks in place of random ones.
   *
   * @param chosen gives the mask of a parameter by its name, of its shape: 1 where it goes back to
   *     the source, else 0
   * @return this
   */
  public Cotta restoringBy(BiFunction<String, Tensor, Tensor> chosen) {
    masks = chosen;
    return this;
  }

  @Override
  List<String> choose(Model teacher) {
    return List.copyOf(as(teacher, Capabilities.Differentiable.class).parameters().keySet());
  }

  @Override
  Optimiser make(Map<String, Tensor> parameters) {
    return settings().make(parameters);
  }

  @Override
  void ready(Model teacher) {
    anchor = as(teacher, Capabilities.Copyable.class).deepCopy();
    viewNoise = Rng.named(settings().seed(), "cotta views");
    restoreNoise = Rng.named(settings().seed(), "cotta restoration");
  }

  @Override
  protected Map<String, Rng> generators() {
    return Map.of(
        "views",
        Objects.requireNonNull(viewNoise),
        "restoration",
        Objects.requireNonNull(restoreNoise));
  }

  @Override
  protected Map<String, Tensor> moving() {
    Map<String, Tensor> moving = super.moving();
    // The anchor's weights are the source's; layers of another method keep statistics of their own.
    addMoving("anchor/", Objects.requireNonNull(anchor), Map.of(), moving);
    return moving;
  }

  @Override
  protected Output step(Tensor inputs) {
    if (settings().ap() > 0) {
      StrongAugmentation.check(who(), inputs);
    }
    Output output = null;
    for (int i = 0; i < settings().steps(); i++) {
      Output last = output;
      try (PointerScope scope = new PointerScope()) {
        output = kept(update(inputs));
      }
      if (last != null) {
        last.close();
      }
    }
    return Objects.requireNonNull(output);
  }

  private Output update(Tensor inputs) {
    Output teacher = teach(inputs);
    Tensor loss =
        Scopes.grad(
            true,
            () ->
                loss(
                    teacher.logits(), forward(student(), inputs).logits(), settings().symmetric()));
    count(inputs.size(0), inputs.size(0), 0);
    if (descend(loss)) {
      follow(settings().mt());
      restoreSome();
    }
    return teacher;
  }

  /** The teacher's plain output, or with a mean over views where the source is unsure. */
  private Output teach(Tensor inputs) {
    Output plain = forward(inputs);
    Tensor known = forward(Objects.requireNonNull(anchor), inputs).logits();
    double confidence = known.softmax(1).amax(new long[] {1}, false).mean().item().toDouble();
    if (confidence >= settings().ap()) {
      return plain;
    }
    Rng rng = Objects.requireNonNull(viewNoise);
    Tensor sum = torch.zeros_like(plain.logits());
    for (int i = 0; i < settings().views(); i++) {
      Scopes.run(() -> sum.add_(forward(augmentation.apply(inputs, rng)).logits()));
    }
    Tensor mean = sum.div(new Scalar((double) settings().views()));
    return new Output(mean, plain.hasFeatures() ? plain.features() : null);
  }

  /**
   * The mean cross-entropy of the student under the teacher's soft labels.
   *
   * @param teacher logits [N, C], a constant
   * @param student logits [N, C]
   * @param symmetric whether half of it is the cross-entropy the other way round
   * @return a scalar
   */
  public static Tensor loss(Tensor teacher, Tensor student, boolean symmetric) {
    return Scopes.tensor(
        () -> {
          Tensor labels = teacher.detach();
          Tensor one = crossEntropy(labels, student).mean();
          return symmetric
              ? one.add(crossEntropy(student, labels).mean()).mul(new Scalar(0.5))
              : one;
        });
  }

  private void restoreSome() {
    Map<String, Tensor> source = named(Objects.requireNonNull(anchor));
    Rng rng = Objects.requireNonNull(restoreNoise);
    BiFunction<String, Tensor, Tensor> given = masks;
    named(student())
        .forEach(
            (name, parameter) ->
                Scopes.run(
                    () -> {
                      Tensor back =
                          given == null
                              ? rng.uniform(parameter.shape()).lt(new Scalar(settings().rst()))
                              : given.apply(name, parameter).gt(new Scalar(0.5));
                      parameter.copy_(
                          torch.where(back, Objects.requireNonNull(source.get(name)), parameter));
                    }));
  }

  @Override
  protected void release() {
    Model old = anchor;
    anchor = null;
    if (old != null) {
      old.close();
    }
    for (Rng rng : new Rng[] {viewNoise, restoreNoise}) {
      if (rng != null) {
        rng.close();
      }
    }
    viewNoise = null;
    restoreNoise = null;
    super.release();
  }
}
