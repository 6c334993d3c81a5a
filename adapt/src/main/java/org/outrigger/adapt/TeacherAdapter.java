package org.outrigger.adapt;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.Stateful;
import org.outrigger.core.model.Capabilities;
import org.outrigger.core.model.Model;
import org.outrigger.core.optim.Optimiser;
import org.outrigger.core.torch.Scopes;

/**
 * An adapter that predicts with a teacher, which is the slow average of a student that is trained.
 * The teacher is {@link #model()}; both have the same layers and buffers of their own.
 *
 * @param <S> the record of hyper-parameters
 */
abstract class TeacherAdapter<S extends Record> extends ModelAdapter<S> {
  private static final String STUDENT = "student/";

  private @Nullable Model student;
  private @Nullable Optimiser optimiser;
  private List<String> trained = List.of();

  TeacherAdapter(S settings) {
    super(settings);
  }

  /** Replaces layers of the teacher, before the student is made of it; in a scope. */
  void replaceLayers(Model teacher) {}

  /** The names of the parameters that the student trains. */
  abstract List<String> choose(Model teacher);

  /** A fresh optimiser. */
  abstract Optimiser make(Map<String, Tensor> parameters);

  /** What else takes up the teacher, once there is a student; in a scope. */
  void ready(Model teacher) {}

  @Override
  protected final void prepare(Model copy) {
    replaceLayers(copy);
    trained = choose(copy);
    if (trained.isEmpty()) {
      throw new OutriggerException(
          who()
              + " finds nothing to train in "
              + copy.name()
              + ": use lame, t3a or adanpc, which train nothing.");
    }
    Model made = as(copy, Capabilities.Copyable.class).deepCopy();
    student = made;
    Map<String, Tensor> chosen = named(made);
    chosen.values().forEach(p -> p.requires_grad_(true));
    optimiser = make(chosen);
    ready(copy);
  }

  /** The trained parameters of a network, in order; borrowed. */
  final Map<String, Tensor> named(Model network) {
    Map<String, Tensor> all = as(network, Capabilities.Differentiable.class).parameters();
    Map<String, Tensor> chosen = new LinkedHashMap<>();
    trained.forEach(name -> chosen.put(name, Objects.requireNonNull(all.get(name), name)));
    return chosen;
  }

  /** The network that is trained; borrowed until this is closed or started anew. */
  public final Model student() {
    model();
    return Objects.requireNonNull(student);
  }

  /** A step of the student down the gradient of {@code loss}, unless that is not finite. */
  final boolean descend(Tensor loss) {
    if (!Double.isFinite(loss.item().toDouble())) {
      return false;
    }
    Optimiser rule = Objects.requireNonNull(optimiser);
    loss.backward();
    rule.step();
    rule.clearGradients();
    count(0, 0, 1);
    return true;
  }

  /** Moves the teacher: {@code teacher = keep teacher + (1 - keep) student}. */
  final void follow(double keep) {
    Map<String, Tensor> from = named(student());
    Scopes.run(
        () ->
            Scopes.grad(
                false,
                () -> {
                  named(model())
                      .forEach(
                          (name, teacher) ->
                              teacher
                                  .mul_(new Scalar(keep))
                                  .add_(from.get(name), new Scalar(1 - keep)));
                  return true;
                }));
  }

  /**
   * The cross-entropy of each row between the teacher's softmax and the student's, [N]; gradients
   * flow to both unless a tensor is detached.
   */
  static Tensor crossEntropy(Tensor teacher, Tensor student) {
    return Scopes.tensor(() -> teacher.softmax(1).mul(student.log_softmax(1)).sum(1).neg());
  }

  @Override
  protected Map<String, Tensor> moving() {
    Map<String, Tensor> moving = super.moving();
    addMoving(STUDENT, student(), named(student()), moving);
    return moving;
  }

  /** Adds parameters, and all buffers of their network, to what the stream changes. */
  final void addMoving(
      String prefix, Model network, Map<String, Tensor> parameters, Map<String, Tensor> moving) {
    parameters.forEach((name, t) -> moving.put(prefix + name, t));
    as(network, Capabilities.Differentiable.class)
        .buffers()
        .forEach((name, t) -> moving.put(prefix + name, t));
  }

  @Override
  public final List<String> trained() {
    return trained;
  }

  @Override
  protected Map<String, Stateful> parts() {
    Map<String, Stateful> parts = new LinkedHashMap<>();
    parts.put("optimiser", Objects.requireNonNull(optimiser));
    return parts;
  }

  @Override
  protected void release() {
    Optimiser oldRule = optimiser;
    Model oldStudent = student;
    optimiser = null;
    student = null;
    trained = List.of();
    if (oldRule != null) {
      oldRule.close();
    }
    if (oldStudent != null) {
      oldStudent.close();
    }
    super.release();
  }
}
