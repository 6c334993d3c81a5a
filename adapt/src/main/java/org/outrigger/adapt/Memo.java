package org.outrigger.adapt;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.model.Capabilities;
import org.outrigger.core.model.Model;
import org.outrigger.core.model.Output;
import org.outrigger.core.nn.BatchNorm;
import org.outrigger.core.torch.Gradients;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;

/**
 * MEMO: each image by itself. The entropy of the mean softmax over augmented views of it is lowered
 * by a gradient step on all parameters; then the image itself is predicted, and the next one starts
 * from the source again. Layer or group normalisation stays as it is; batch normalisation mixes the
 * statistics of the views into the source's ({@link AlphaBatchNorm}), unless MEMO is put over
 * another normalisation. Images are to be in [0, 1]. Zhang et al., MEMO: Test Time Robustness via
 * Adaptation and Augmentation, NeurIPS 2022.
 */
@Card(
    slug = "memo",
    name = "MEMO",
    summary = "Makes each image's augmented views agree, and then forgets it; slow.",
    paper =
        "Zhang, Levine, Finn, MEMO: Test Time Robustness via Adaptation and Augmentation, NeurIPS"
            + " 2022",
    year = 2022,
    room = Room.ADAPT,
    needs = {Need.PARAMETER_GRADIENTS, Need.IMAGES},
    state = "a generator")
public final class Memo extends ModelAdapter<Memo.Settings> {
  /**
   * @param lr learning rate of SGD, above 0: 0.005 for small images, 2.5e-4 for large ones
   * @param steps on each image, 1 or more
   * @param views of each image, 1 or more: 32, for large images 64
   * @param a the share of the views' statistics in batch normalisation, in [0, 1]
   * @param padding by how many pixels a view may be shifted, 0 or more: 4 for images of 32
   * @param flip whether views may be mirrored; not for digits or text
   * @param seed of the views
   */
  public record Settings(
      double lr, int steps, int views, double a, int padding, boolean flip, long seed) {
    public Settings {
      HyperParameter.positive("lr", lr);
      HyperParameter.atLeast("steps", steps, 1);
      HyperParameter.atLeast("views", views, 1);
      HyperParameter.between("a", a, 0, 1);
      HyperParameter.atLeast("padding", padding, 0);
    }

    public static Settings defaults() {
      return new Settings(0.005, 1, 32, 0.1, 4, true, 0);
    }
  }

  /** The lowest finite float32, below which a mean log-probability is not let fall. */
  private static final double LOWEST = -Float.MAX_VALUE;

  private final AugMix augmentation;
  private @Nullable Rng rng;
  private List<String> trained = List.of();

  public Memo() {
    this(Settings.defaults());
  }

  public Memo(Settings settings) {
    super(settings);
    augmentation = new AugMix(settings.padding(), settings.flip());
  }

  /**
   * The log of the mean softmax over views.
   *
   * @param logits [V, C]
   * @return [C]
   */
  public static Tensor averageLogProbabilities(Tensor logits) {
    return Scopes.tensor(
        () ->
            logits
                .log_softmax(1)
                .logsumexp(0)
                .sub(new Scalar(Math.log(logits.size(0))))
                .clamp_min(new Scalar(LOWEST)));
  }

  /**
   * The entropy of the mean softmax over views.
   *
   * @param logits [V, C]
   * @return a scalar in 0 .. ln C
   */
  public static Tensor marginalEntropy(Tensor logits) {
    return Scopes.tensor(
        () -> {
          Tensor log = averageLogProbabilities(logits);
          return log.exp().mul(log).sum().neg();
        });
  }

  @Override
  protected boolean onBatchStatistics() {
    return false;
  }

  @Override
  protected void prepare(Model copy) {
    if (normalisation() == null && batchNormalised(copy)) {
      ReplacedNorm.replaceAll(
          network(), BatchNorm.class, norm -> new AlphaBatchNorm(norm, settings().a()));
    }
    as(copy, Capabilities.Functional.class);
    Map<String, Tensor> all = as(copy, Capabilities.Differentiable.class).parameters();
    all.values().forEach(p -> p.requires_grad_(true));
    trained = List.copyOf(all.keySet());
    rng = Rng.named(settings().seed(), "memo");
  }

  @Override
  public List<String> trained() {
    return trained;
  }

  /** Nothing but the generator: weights are replaced for an image and not changed. */
  @Override
  protected Map<String, Tensor> moving() {
    return Map.of();
  }

  @Override
  protected Map<String, Rng> generators() {
    return Map.of("views", Objects.requireNonNull(rng));
  }

  @Override
  protected Output step(Tensor inputs) {
    StrongAugmentation.check(who(), inputs);
    Map<String, Tensor> source = as(model(), Capabilities.Differentiable.class).parameters();
    // Refuses images that the network does not take before a view is drawn.
    Scopes.run(() -> forward(inputs.narrow(0, 0, 1), source));
    List<Tensor> logits = new ArrayList<>();
    List<Tensor> features = new ArrayList<>();
    for (long i = 0; i < inputs.size(0); i++) {
      Tensor image = inputs.narrow(0, i, 1);
      Output output = Scopes.scoped(() -> kept(adapted(image, source)));
      logits.add(output.logits());
      if (output.hasFeatures()) {
        features.add(output.features());
      }
    }
    return new Output(joined(logits), features.isEmpty() ? null : joined(features));
  }

  private static Tensor joined(List<Tensor> rows) {
    return torch.cat(new TensorVector(rows.toArray(new Tensor[0])), 0);
  }

  /** The prediction of one image after steps on its views. */
  private Output adapted(Tensor image, Map<String, Tensor> source) {
    long[] shape = image.shape();
    shape[0] = settings().views();
    Tensor views = augmentation.apply(image.expand(shape), Objects.requireNonNull(rng));
    Map<String, Tensor> weights = source;
    for (int i = 0; i < settings().steps(); i++) {
      weights = stepped(views, weights);
    }
    return forward(image, weights);
  }

  private Map<String, Tensor> stepped(Tensor views, Map<String, Tensor> weights) {
    List<String> names = List.copyOf(weights.keySet());
    Tensor loss = Scopes.grad(true, () -> marginalEntropy(forward(views, weights).logits()));
    count(1, 1, 0);
    if (!Double.isFinite(loss.item().toDouble())) {
      return weights;
    }
    List<Tensor> gradients = Gradients.of(loss, List.copyOf(weights.values()), false);
    Map<String, Tensor> moved = new LinkedHashMap<>();
    for (int i = 0; i < names.size(); i++) {
      Tensor weight = Objects.requireNonNull(weights.get(names.get(i)));
      Tensor next = weight.detach().sub(gradients.get(i), new Scalar(settings().lr()));
      moved.put(names.get(i), next.requires_grad_(true));
    }
    count(0, 0, 1);
    return moved;
  }

  private Output forward(Tensor inputs, Map<String, Tensor> weights) {
    return corrected(as(model(), Capabilities.Functional.class).forward(inputs, weights));
  }

  @Override
  protected void release() {
    Rng old = rng;
    rng = null;
    trained = List.of();
    if (old != null) {
      old.close();
    }
    super.release();
  }
}
