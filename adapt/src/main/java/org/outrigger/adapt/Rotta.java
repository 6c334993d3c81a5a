package org.outrigger.adapt;

import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.bytedeco.pytorch.LongOptional;
import org.bytedeco.pytorch.Tensor;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.io.Stateful;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.model.Model;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.model.Output;
import org.outrigger.core.nn.BatchNorm;
import org.outrigger.core.optim.Adam;
import org.outrigger.core.optim.Optimiser;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

/**
 * RoTTA: running statistics that follow slowly ({@link RobustBatchNorm}), a memory with a fair
 * share of each predicted class ({@link Cstu}), and a teacher. After every {@code interval} rows
 * the student, on strongly augmented images of the memory, learns the teacher's soft labels of the
 * plain ones, loss = mean_i w(age_i) CE(q_i, p_i), in the scales and shifts; the teacher follows.
 * It predicts with the teacher. Images are to be in [0, 1]. Yuan et al., Robust Test-Time
 * Adaptation in Dynamic Scenarios, CVPR 2023.
 */
@Card(
    slug = "rotta",
    name = "RoTTA",
    summary = "Slow statistics, a balanced memory and a teacher, for streams in label order.",
    paper = "Yuan, Xie, Li, Robust Test-Time Adaptation in Dynamic Scenarios, CVPR 2023",
    year = 2023,
    room = Room.ADAPT,
    needs = {Need.NORM_LAYERS, Need.SWAPPABLE_LAYERS, Need.PARAMETER_GRADIENTS, Need.IMAGES},
    state = "student, teacher, memory, the optimiser, generators")
public final class Rotta extends TeacherAdapter<Rotta.Settings> {
  /**
   * @param lr learning rate of Adam, above 0
   * @param nu how far the teacher moves at each step, in (0, 1]
   * @param alpha how far a batch moves the running statistics, in [0, 1]
   * @param capacity rows in the memory, 1 or more
   * @param interval rows between two steps, 1 or more
   * @param lambdaT the weight of a row's age when rows have to give way, 0 or more
   * @param lambdaU the weight of its entropy, 0 or more
   * @param flip whether augmented images may be mirrored; not for digits or text
   * @param seed of the augmentation
   */
  public record Settings(
      double lr,
      double nu,
      double alpha,
      int capacity,
      int interval,
      double lambdaT,
      double lambdaU,
      boolean flip,
      long seed) {
    public Settings {
      HyperParameter.positive("lr", lr);
      HyperParameter.require(nu > 0 && nu <= 1, "nu", nu, "above 0, up to 1");
      HyperParameter.between("alpha", alpha, 0, 1);
      HyperParameter.atLeast("capacity", capacity, 1);
      HyperParameter.atLeast("interval", interval, 1);
      HyperParameter.notNegative("lambdaT", lambdaT);
      HyperParameter.notNegative("lambdaU", lambdaU);
    }

    public static Settings defaults() {
      return new Settings(1e-3, 0.001, 0.05, 64, 64, 1, 1, true, 0);
    }
  }

  private static final String OFFERED = "offered";

  private final StrongAugmentation augmentation;
  private @Nullable Cstu rows;
  private @Nullable Rng noise;

  public Rotta() {
    this(Settings.defaults());
  }

  public Rotta(Settings settings) {
    super(settings);
    augmentation = new StrongAugmentation(settings.flip());
  }

  @Override
  protected boolean onBatchStatistics() {
    return false;
  }

  @Override
  void replaceLayers(Model teacher) {
    int replaced =
        ReplacedNorm.replaceAll(
            network(), BatchNorm.class, norm -> new RobustBatchNorm(norm, settings().alpha()));
    if (replaced == 0 && normalisation() == null) {
      throw ReplacedNorm.nothingToReplace(who(), "batch normalisation", network());
    }
  }

  @Override
  List<String> choose(Model teacher) {
    return Trainable.NORM.names(teacher);
  }

  @Override
  Optimiser make(Map<String, Tensor> parameters) {
    return new Adam(parameters, Adam.Settings.of(settings().lr()));
  }

  @Override
  void ready(Model teacher) {
    Settings plan = settings();
    rows = new Cstu(plan.capacity(), teacher.classes(), plan.lambdaT(), plan.lambdaU());
    noise = Rng.named(plan.seed(), "rotta");
  }

  @Override
  protected Map<String, Stateful> parts() {
    Map<String, Stateful> parts = super.parts();
    parts.put("memory", Objects.requireNonNull(rows));
    return parts;
  }

  @Override
  protected Map<String, Rng> generators() {
    return Map.of("augmentation", Objects.requireNonNull(noise));
  }

  @Override
  protected Output step(Tensor inputs) {
    StrongAugmentation.check(who(), inputs);
    Cstu stored = Objects.requireNonNull(rows);
    stored.check(inputs);
    Output output = forward(inputs);
    Tensor logits = output.logits();
    int[] labels = Tensors.ints(logits.argmax(new LongOptional(1), false));
    double[] entropies = Tensors.doubles(Entropies.entropy(logits));
    int offered = (int) memory().number(OFFERED, 0);
    for (int i = 0; i < labels.length; i++) {
      int row = i;
      Scopes.run(() -> stored.offer(inputs.select(0, row), labels[row], entropies[row]));
      offered++;
      if (offered == settings().interval()) {
        offered = 0;
        Scopes.run(() -> update(stored));
      }
    }
    memory().put(OFFERED, offered);
    count(inputs.size(0), 0, 0);
    return output;
  }

  private void update(Cstu stored) {
    if (stored.size() == 0) {
      return;
    }
    Tensor images = stored.inputs();
    Tensor augmented = augmentation.apply(images, Objects.requireNonNull(noise));
    trainNorms(true);
    Tensor loss;
    try {
      Tensor labels = forward(images).logits();
      double[] ages = stored.ages();
      for (int i = 0; i < ages.length; i++) {
        ages[i] /= settings().capacity();
      }
      Tensor weights = Cstu.weights(Tensors.of(ages, ages.length)).to(images.scalar_type());
      loss =
          Scopes.grad(
              true,
              () ->
                  crossEntropy(labels, forward(student(), augmented).logits()).mul(weights).mean());
    } finally {
      trainNorms(false);
    }
    count(0, images.size(0), 0);
    if (descend(loss)) {
      follow(1 - settings().nu());
    }
  }

  private void trainNorms(boolean on) {
    ReplacedNorm.train(network(), on);
    ReplacedNorm.train((NeuralModel) student(), on);
  }

  @Override
  protected void release() {
    Cstu oldRows = rows;
    Rng oldNoise = noise;
    rows = null;
    noise = null;
    if (oldRows != null) {
      oldRows.close();
    }
    if (oldNoise != null) {
      oldNoise.close();
    }
    super.release();
  }
}
