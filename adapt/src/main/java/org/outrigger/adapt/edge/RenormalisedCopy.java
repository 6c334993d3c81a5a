package org.outrigger.adapt.edge;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.State;
import org.outrigger.core.io.Stateful;
import org.outrigger.core.model.Capabilities.HasNormLayers;
import org.outrigger.core.model.Capabilities.NormLayer;
import org.outrigger.core.model.Model;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.nn.BatchNorm;
import org.outrigger.core.nn.BatchNorm1d;
import org.outrigger.core.nn.Layer;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;

/**
 * A copy of a network as CEMA prepares it: its batch norms are {@link TestTimeBatchRenorm}s, all
 * but the scale and shift of normalisation layers is frozen, dropout is off.
 */
final class RenormalisedCopy implements Stateful, AutoCloseable {
  private static final String TYPE = "edge/normalisation";

  private final NeuralModel model;
  private final String digest;
  private final List<TestTimeBatchRenorm> norms = new ArrayList<>();
  private final Map<String, Tensor> affine = new LinkedHashMap<>();
  private final Map<String, Tensor> shipped = new LinkedHashMap<>();
  private final int minimumBatch;

  /**
   * @throws OutriggerException if it is no network of layers, or none of them normalises with a
   *     scale or shift
   */
  RenormalisedCopy(Model source) {
    if (!(source instanceof NeuralModel network)) {
      throw new OutriggerException(
          "CEMA needs layers that can be replaced, which the model "
              + source.name()
              + " does not offer: take a network of Outrigger's, such as a .safetensors file.");
    }
    List<String> trained = affineNames(network);
    if (trained.isEmpty()) {
      throw new OutriggerException(
          "CEMA needs normalisation layers with a scale and a shift, but the model "
              + source.name()
              + " has none.");
    }
    digest = ModelDigest.of(network);
    model = network.deepCopy();
    Layer root = model.root();
    boolean rows = false;
    for (Map.Entry<String, Layer> each : root.layers().entrySet()) {
      if (each.getValue() instanceof BatchNorm norm) {
        TestTimeBatchRenorm renorm = new TestTimeBatchRenorm(norm);
        root.replace(each.getKey(), renorm).close();
        norms.add(renorm);
        rows |= norm instanceof BatchNorm1d;
        renorm.buffers().forEach((name, t) -> shipped.put(each.getKey() + "." + name, t));
      }
    }
    minimumBatch = rows ? 2 : 1;
    root.eval();
    Map<String, Tensor> parameters = root.parameters();
    parameters.values().forEach(parameter -> parameter.requires_grad_(false));
    for (String name : trained) {
      Tensor parameter = parameters.get(name);
      if (parameter == null) {
        throw new IllegalStateException("no parameter " + name);
      }
      affine.put(name, parameter.requires_grad_(true));
    }
    shipped.putAll(affine);
  }

  /** The names of all scales and shifts of a model's normalisation layers. */
  static List<String> affineNames(Model model) {
    List<String> names = new ArrayList<>();
    for (NormLayer norm :
        model.as(HasNormLayers.class).map(HasNormLayers::normLayers).orElse(List.of())) {
      if (norm.weight() != null) {
        names.add(norm.name() + ".weight");
      }
      if (norm.bias() != null) {
        names.add(norm.name() + ".bias");
      }
    }
    return names;
  }

  NeuralModel model() {
    return model;
  }

  /** Of the network before it was prepared. */
  String digest() {
    return digest;
  }

  /** The fewest rows that its first statistics can be taken of. */
  int minimumBatch() {
    return minimumBatch;
  }

  /** What is trained: scales and shifts by name. */
  Map<String, Tensor> affine() {
    return affine;
  }

  /** What the cloud sends: scales, shifts and statistics by name. */
  Map<String, Tensor> shipped() {
    return shipped;
  }

  /** Demands rows that fit the network, without running it. */
  void check(Tensor rows) {
    Shapes.notEmpty("The upload", rows);
    Shapes.finite("The upload", rows);
    long[] wanted = model.inputShape();
    long[] got = rows.shape();
    boolean fits = got.length == wanted.length + 1;
    for (int i = 0; fits && i < wanted.length; i++) {
      fits = wanted[i] == 0 || wanted[i] == got[i + 1];
    }
    if (!fits) {
      throw new OutriggerException(
          "The uploaded rows have shape "
              + Arrays.toString(got)
              + ", but the device's model takes rows of "
              + Arrays.toString(wanted)
              + ".");
    }
  }

  /** The statistics by name; empty if nothing was seen or nothing keeps any. */
  Map<String, Tensor> statistics() {
    Map<String, Tensor> statistics = new LinkedHashMap<>(shipped);
    statistics.keySet().removeAll(affine.keySet());
    return norms.stream().allMatch(TestTimeBatchRenorm::tracks) ? statistics : Map.of();
  }

  /** Starts from those statistics, if there are none yet. */
  void begin(Map<String, Tensor> statistics) {
    if (!statistics.isEmpty() && norms.stream().noneMatch(TestTimeBatchRenorm::tracks)) {
      Map<String, Tensor> all = new LinkedHashMap<>(affine);
      all.putAll(statistics);
      load(all);
    }
  }

  /** A pass that records gradients; with {@code moving}, the statistics then move. */
  Tensor logits(Tensor inputs, boolean moving) {
    norms.forEach(norm -> norm.train(moving));
    try {
      return model.forward(inputs).logits();
    } finally {
      norms.forEach(norm -> norm.train(false));
    }
  }

  /**
   * Copies scales, shifts and statistics in.
   *
   * @throws OutriggerException if a name or shape differs or a value is not finite; nothing has
   *     changed then
   */
  void load(Map<String, Tensor> values) {
    if (!values.keySet().equals(shipped.keySet())) {
      throw new OutriggerException(
          "These normalisation parameters belong to another model: the names differ. Give both"
              + " sides the same device model.");
    }
    values.forEach(
        (name, value) -> {
          Tensor own = shipped.get(name);
          if (own == null || !Arrays.equals(own.shape(), value.shape())) {
            throw new OutriggerException(
                "The parameter '"
                    + name
                    + "' has the wrong shape "
                    + Arrays.toString(value.shape())
                    + ": give both sides the same device model.");
          }
          Shapes.finite("The parameter '" + name + "'", value);
        });
    Scopes.run(
        () -> shipped.forEach((name, own) -> own.detach().copy_(values.getOrDefault(name, own))));
  }

  @Override
  public State state() {
    return new State(TYPE, 1, Map.of(), shipped);
  }

  @Override
  public void restore(State state) {
    state.expect(TYPE, 1);
    load(state.tensors());
  }

  @Override
  public void close() {
    model.close();
  }
}
