package org.outrigger.adapt;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.DoubleSupplier;
import org.bytedeco.pytorch.LongOptional;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
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
 * NOTE: normalisation that corrects instances which lie far off ({@link InstanceAwareBatchNorm}),
 * and a memory that has a fair share of each predicted class ({@link Pbrs}). After every {@code
 * interval} rows one step on the scales and shifts lowers the entropy of the memory, loss = mean
 * over rows and classes of -p log(p + 1e-6), normalised by the memory's statistics, towards which
 * the running ones move. It predicts with the running statistics, before the step. In the paper the
 * source model was trained with such layers: put them into a network with {@link #convert} before
 * training. A network with batch normalisation is converted at the start, which is not the same.
 * Gong et al., NOTE: Robust Continual Test-time Adaptation Against Temporal Correlation, NeurIPS
 * 2022.
 */
@Card(
    slug = "note",
    name = "NOTE",
    summary = "Instance-aware statistics and a balanced memory, for streams in label order.",
    paper =
        "Gong et al., NOTE: Robust Continual Test-time Adaptation Against Temporal Correlation,"
            + " NeurIPS 2022",
    year = 2022,
    room = Room.ADAPT,
    needs = {Need.NORM_LAYERS, Need.SWAPPABLE_LAYERS, Need.PARAMETER_GRADIENTS},
    state = "scales, shifts, statistics, memory, the optimiser, a generator")
public final class Note extends ModelAdapter<Note.Settings> {
  /**
   * @param k how many standard errors an instance may lie off before it is corrected, above 0
   * @param momentum how far a memory pass moves the running statistics, in [0, 1]
   * @param capacity rows in the memory, 2 or more
   * @param interval rows between two steps, 1 or more
   * @param lr learning rate of Adam, above 0
   * @param seed of the memory's choices
   */
  public record Settings(
      double k, double momentum, int capacity, int interval, double lr, long seed) {
    public Settings {
      HyperParameter.positive("k", k);
      HyperParameter.between("momentum", momentum, 0, 1);
      HyperParameter.atLeast("capacity", capacity, 2);
      HyperParameter.atLeast("interval", interval, 1);
      HyperParameter.positive("lr", lr);
    }

    public static Settings defaults() {
      return new Settings(4, 0.01, 64, 64, 1e-4, 0);
    }
  }

  private static final String OFFERED = "offered";
  private static final double GUARD = 1e-6;

  private @Nullable Optimiser optimiser;
  private @Nullable Pbrs rows;
  private @Nullable Rng rng;
  private List<String> trained = List.of();

  public Note() {
    this(Settings.defaults());
  }

  public Note(Settings settings) {
    super(settings);
  }

  /**
   * Puts instance-aware layers in the place of every batch normalisation of a network, to be
   * trained with them.
   *
   * @return how many were replaced
   */
  public int convert(NeuralModel network) {
    return ReplacedNorm.replaceAll(
        network,
        BatchNorm.class,
        norm -> new InstanceAwareBatchNorm(norm, settings().k(), settings().momentum()));
  }

  /**
   * The loss of the memory: the mean of -p log(p + 1e-6) over all rows and classes, which is the
   * mean entropy over C.
   *
   * @param logits [N, C]
   * @return a scalar
   */
  public static Tensor loss(Tensor logits) {
    return Scopes.tensor(
        () -> {
          Tensor p = logits.softmax(1);
          return p.mul(p.add(new Scalar(GUARD)).log()).mean().neg();
        });
  }

  @Override
  protected boolean onBatchStatistics() {
    return false;
  }

  @Override
  protected void prepare(Model copy) {
    int replaced = normalisation() == null ? convert(network()) : 0;
    boolean there =
        network().root().layers().values().stream()
            .anyMatch(InstanceAwareBatchNorm.class::isInstance);
    if (replaced == 0 && !there && normalisation() == null) {
      throw ReplacedNorm.nothingToReplace(who(), "batch normalisation", network());
    }
    trained = Trainable.NORM.names(copy);
    Map<String, Tensor> all = network().parameters();
    Map<String, Tensor> chosen = new LinkedHashMap<>();
    trained.forEach(
        name -> chosen.put(name, Objects.requireNonNull(all.get(name)).requires_grad_(true)));
    optimiser = new Adam(chosen, Adam.Settings.of(settings().lr()));
    rows = new Pbrs(settings().capacity(), copy.classes());
    rng = Rng.named(settings().seed(), "note");
  }

  @Override
  protected Map<String, Stateful> parts() {
    return Map.of(
        "optimiser", Objects.requireNonNull(optimiser), "memory", Objects.requireNonNull(rows));
  }

  @Override
  protected Map<String, Rng> generators() {
    return Map.of("memory", Objects.requireNonNull(rng));
  }

  @Override
  public List<String> trained() {
    return trained;
  }

  @Override
  protected Output step(Tensor inputs) {
    Pbrs stored = Objects.requireNonNull(rows);
    Rng source = Objects.requireNonNull(rng);
    DoubleSupplier uniform =
        () -> Scopes.scoped(() -> source.uniform(ScalarType.Double, 1).item_double());
    stored.check(inputs);
    Output output = forward(inputs);
    int[] labels = Tensors.ints(output.logits().argmax(new LongOptional(1), false));
    int offered = (int) memory().number(OFFERED, 0);
    for (int i = 0; i < labels.length; i++) {
      int row = i;
      Scopes.run(() -> stored.offer(inputs.select(0, row), labels[row], uniform));
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

  private void update(Pbrs stored) {
    if (stored.size() < 2) {
      return;
    }
    Tensor images = stored.inputs();
    ReplacedNorm.train(network(), true);
    Tensor loss;
    try {
      loss = Scopes.grad(true, () -> loss(forward(images).logits()));
    } finally {
      ReplacedNorm.train(network(), false);
    }
    if (Double.isFinite(loss.item().toDouble())) {
      Optimiser rule = Objects.requireNonNull(optimiser);
      loss.backward();
      rule.step();
      rule.clearGradients();
      count(0, images.size(0), 1);
    }
  }

  @Override
  protected void release() {
    Optimiser oldRule = optimiser;
    Pbrs oldRows = rows;
    Rng oldRng = rng;
    optimiser = null;
    rows = null;
    rng = null;
    trained = List.of();
    if (oldRule != null) {
      oldRule.close();
    }
    if (oldRows != null) {
      oldRows.close();
    }
    if (oldRng != null) {
      oldRng.close();
    }
    super.release();
  }
}
