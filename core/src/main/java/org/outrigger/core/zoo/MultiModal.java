package org.outrigger.core.zoo;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import org.bytedeco.pytorch.GradMode;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.model.Capabilities.HasModalities;
import org.outrigger.core.model.Capabilities.Modality;
import org.outrigger.core.model.LinearHead;
import org.outrigger.core.nn.Flatten;
import org.outrigger.core.nn.ForwardContext;
import org.outrigger.core.nn.Identity;
import org.outrigger.core.nn.Layer;
import org.outrigger.core.nn.Linear;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;

/**
 * A network over two or three modalities that one input holds: {@code encoders.NAME} turns each
 * into an embedding, {@code heads.NAME} turns that into logits of its own, and {@code head} turns
 * all embeddings side by side into the logits of the network.
 *
 * <p>An encoder is frozen if none of its parameters is trained. It then runs without recording
 * gradients (unless those of the input are asked for), in evaluation mode, so that batch norm uses
 * and keeps its running statistics; with the setting {@code frozen=training} it keeps the mode of
 * the network, as some papers' code does, and batch norm uses the batch.
 */
public final class MultiModal extends Layer implements HasModalities {
  private static final String ENCODERS = "encoders";
  private static final String HEAD = "head";
  private static final String NONE = "none";

  private final List<String> names;
  private final long[] widths;

  /** As the zoo builds it: encoders with drawn weights, by their names. */
  static MultiModal build(Settings settings, long[] input, int classes, long seed, Rng rng) {
    Modalities modalities = Modalities.parse(settings.text("parts"), input);
    int count = modalities.parts().size();
    List<Modalities.Encoder> wanted = Modalities.encoders(settings.text("encoders"), count);
    List<Layer> encoders = new ArrayList<>();
    long[] widths = new long[count];
    for (int i = 0; i < count; i++) {
      Modalities.Part part = modalities.parts().get(i);
      Modalities.Encoder encoder = wanted.get(i);
      if (encoder.name().equals(NONE)) {
        encoders.add(new Flatten());
        widths[i] = Arrays.stream(part.shape()).reduce(1, Math::multiplyExact);
        continue;
      }
      if (encoder.name().equals("multimodal")) {
        throw new OutriggerException("An encoder of multimodal cannot be multimodal itself.");
      }
      Network network =
          Zoo.create(
              encoder.name(),
              encoder.settings(),
              part.shape(),
              1,
              Rng.derive(seed, "encoder " + part.name()));
      try (Layer head = network.root().replace(network.head(), new Identity())) {
        widths[i] = ((Linear) head).in();
      }
      encoders.add(network.root());
    }
    boolean evaluation = frozenInEvaluation(settings.text("frozen"));
    return new MultiModal(modalities, encoders, widths, evaluation, classes, rng);
  }

  /**
   * A network with encoders of one's own, over modalities that are packed as one row. It owns them.
   *
   * @param parts names and shapes of the modalities, such as {@code vision:1x14x14+audio:40}
   * @param encoders by those names, each to embeddings [N, width]
   * @param widths of the embeddings
   * @param seed of the heads' weights
   */
  public static MultiModal of(
      String parts, Map<String, Layer> encoders, List<Long> widths, int classes, long seed) {
    Modalities modalities = Modalities.packed(parts);
    List<String> names = modalities.parts().stream().map(Modalities.Part::name).toList();
    if (!encoders.keySet().equals(Set.copyOf(names)) || widths.size() != names.size()) {
      throw new OutriggerException(
          "The modalities "
              + names
              + " need an encoder and a width each, but there are "
              + encoders.keySet()
              + " with "
              + widths
              + ".");
    }
    try (Rng rng = Rng.named(seed, "weights")) {
      return new MultiModal(
          modalities,
          names.stream().map(name -> Objects.requireNonNull(encoders.get(name))).toList(),
          widths.stream().mapToLong(Long::longValue).toArray(),
          true,
          classes,
          rng);
    }
  }

  private static boolean frozenInEvaluation(String mode) {
    if (!mode.matches("evaluation|training")) {
      throw new OutriggerException(
          "Setting frozen of multimodal cannot be '"
              + mode
              + "': it is the mode of frozen encoders, evaluation or training.");
    }
    return mode.equals("evaluation");
  }

  private MultiModal(
      Modalities modalities,
      List<Layer> encoders,
      long[] widths,
      boolean evaluation,
      int classes,
      Rng rng) {
    this.names = modalities.parts().stream().map(Modalities.Part::name).toList();
    this.widths = widths;
    Map<String, Layer> heads = new LinkedHashMap<>();
    for (int i = 0; i < widths.length; i++) {
      heads.put(names.get(i), new Linear(widths[i], classes, rng));
    }
    child(ENCODERS, new Encoders(modalities, encoders, evaluation));
    child(HEADS, new Heads(heads, widths));
    child(HEAD, new Linear(Arrays.stream(widths).sum(), classes, rng));
  }

  @Override
  public List<Modality> modalities() {
    List<Modality> all = new ArrayList<>();
    long from = 0;
    for (int i = 0; i < widths.length; i++) {
      Layer head = get(HEADS + "." + names.get(i));
      all.add(
          new Modality(
              names.get(i),
              from,
              widths[i],
              new LinearHead(head.tensor("weight"), head.tensor("bias"))));
      from += widths[i];
    }
    return all;
  }

  /**
   * Where the columns of each modality are in a row, for inputs that are rows.
   *
   * @param encoder the path of the layer that takes them
   * @param from the first column
   * @param length how many
   */
  public record Columns(String encoder, long from, long length) {}

  /** The columns of each modality, for inputs that are rows. */
  public List<Columns> columns() {
    return ((Encoders) get(ENCODERS))
        .modalities.parts().stream()
            .map(part -> new Columns(ENCODERS + "." + part.name(), part.from(), part.length()))
            .toList();
  }

  /** Stops training of a modality's encoder; its head goes on. */
  public void freezeEncoder(String modality) {
    get(ENCODERS).get(modality).parameters().values().forEach(p -> p.requires_grad_(false));
  }

  @Override
  protected Tensor compute(Tensor x, ForwardContext context) {
    Tensor features = get(ENCODERS).forward(x, context);
    // Run for those who watch it: detectors and reports.
    get(HEADS).forward(features, context).close();
    Tensor logits = get(HEAD).forward(features, context);
    release(features, x, logits);
    return logits;
  }

  /** Takes an input apart, encodes each modality and puts the embeddings side by side. */
  private static final class Encoders extends Layer {
    private final Modalities modalities;
    private final boolean evaluation;

    Encoders(Modalities modalities, List<Layer> encoders, boolean evaluation) {
      this.modalities = modalities;
      this.evaluation = evaluation;
      for (int i = 0; i < encoders.size(); i++) {
        child(modalities.parts().get(i).name(), encoders.get(i));
      }
    }

    @Override
    protected Tensor compute(Tensor x, ForwardContext context) {
      return Scopes.tensor(
          () -> {
            TensorVector embeddings = new TensorVector();
            for (Modalities.Part part : modalities.parts()) {
              embeddings.push_back(encode(get(part.name()), slice(x, part), context));
            }
            return torch.cat(embeddings, 1);
          });
    }

    private Tensor slice(Tensor x, Modalities.Part part) {
      Tensor piece = x.narrow(modalities.dimension() + 1, part.from(), part.length());
      if (part.shape().length == x.dim() - 1) {
        return piece;
      }
      long[] shape = new long[part.shape().length + 1];
      shape[0] = x.size(0);
      System.arraycopy(part.shape(), 0, shape, 1, part.shape().length);
      return piece.reshape(shape);
    }

    private Tensor encode(Layer encoder, Tensor x, ForwardContext context) {
      Map<String, Tensor> parameters = encoder.parameters();
      boolean frozen =
          !parameters.isEmpty() && parameters.values().stream().noneMatch(Tensor::requires_grad);
      if (!frozen) {
        return encoder.forward(x, context);
      }
      ForwardContext mode = evaluation ? context.training(false) : context;
      boolean record = GradMode.is_enabled() && (x.requires_grad() || context.functional());
      return Scopes.grad(record, () -> encoder.forward(x, mode));
    }
  }

  /** What each modality says alone: embeddings side by side to logits side by side. */
  private static final class Heads extends Layer {
    private final long[] widths;

    Heads(Map<String, Layer> heads, long[] widths) {
      this.widths = widths;
      heads.forEach(this::child);
    }

    @Override
    protected Tensor compute(Tensor x, ForwardContext context) {
      return Scopes.tensor(
          () -> {
            TensorVector logits = new TensorVector();
            long from = 0;
            int i = 0;
            for (Layer head : children().values()) {
              logits.push_back(head.forward(x.narrow(1, from, widths[i]), context));
              from += widths[i++];
            }
            return torch.cat(logits, 1);
          });
    }
  }
}
