package org.outrigger.core.model;

import java.util.List;
import java.util.Map;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.nn.Layer;
import org.outrigger.core.torch.Rng;

/** What some models can do beyond predicting; see {@link Model#as}. */
public final class Capabilities {
  private Capabilities() {}

  /** It ends in a linear layer over its features. */
  public interface HasLinearHead {
    /** The head; its tensors are borrowed. */
    LinearHead head();
  }

  /** Its last layer is a {@link Layer}, a linear one or another. */
  public interface HasLastLayer {
    /** The layer whose input are the features; borrowed. */
    Layer lastLayer();
  }

  /** Beside its head it has one that says no: how well an input matches the negation of a class. */
  public interface HasNegatedHead {
    /** That head, of the shape of the first; its tensors are borrowed. */
    LinearHead negatedHead();
  }

  /** It can be differentiated, with respect to its inputs and its parameters. */
  public interface Differentiable {
    /**
     * A forward pass that records gradients, in the mode (training or evaluation) the model is in.
     * Tensors belong to the enclosing scope.
     */
    Output forward(Tensor inputs);

    /** Trainable and frozen parameters by state-dict name; borrowed. */
    Map<String, Tensor> parameters();

    /** Buffers such as running statistics, by state-dict name; borrowed. */
    Map<String, Tensor> buffers();

    /** Switches dropout and batch statistics on or off. */
    void train(boolean training);
  }

  /** It can run with other weights without being changed. */
  public interface Functional {
    /**
     * A forward pass with some parameters or buffers replaced for this call.
     *
     * @param weights replacements by state-dict name, of the same shapes; gradients flow to them
     */
    Output forward(Tensor inputs, Map<String, Tensor> weights);
  }

  /** Its batch normalisation can use the statistics of the batch at hand. */
  public interface HasBatchStatistics {
    /**
     * A forward pass that records gradients, in evaluation mode but for batch normalisation, which
     * uses the batch's own mean and biased variance and leaves the running ones alone. A batch
     * normalisation of rows [N, C] takes the running ones when there is a single row. Tensors
     * belong to the enclosing scope.
     */
    Output forwardOnBatchStatistics(Tensor inputs);
  }

  /** It can be copied. */
  public interface Copyable {
    /** A copy that shares nothing with this model; the caller closes it. */
    Model deepCopy();
  }

  /** It can be written to a file that {@code ModelFiles} opens again. */
  public interface Saveable {
    /** The file's extension without the dot: {@code pt}, {@code safetensors} or {@code onnx}. */
    String fileExtension();

    /** Writes the model with its present weights; whole or not at all. */
    void save(java.nio.file.Path file);
  }

  /** Its training passes draw random numbers, such as dropout masks. */
  public interface HasGenerators {
    /** The generators by layer name; borrowed. A checkpoint saves and restores their states. */
    Map<String, Rng> generators();
  }

  /**
   * It looks at an input through two or three modalities, such as picture and sound, each with an
   * encoder and a linear head of its own. {@link Output#features()} holds their embeddings side by
   * side, and the model's own head is over all of them.
   */
  public interface HasModalities {
    /** The inner layer that gives the logits of all heads side by side, [N, M C]. */
    String HEADS = "heads";

    /** The modalities in the order of their embeddings. */
    List<Modality> modalities();
  }

  /**
   * One modality of a model.
   *
   * @param name such as {@code vision}
   * @param from the first column of its embedding in the features
   * @param width how many columns it has
   * @param head from its embedding to logits; borrowed
   */
  public record Modality(String name, long from, long width, LinearHead head) {
    /** Its part [N, width] of features [N, D]; belongs to the enclosing scope. */
    public Tensor embedding(Tensor features) {
      return features.narrow(1, from, width);
    }

    /** What it alone says, [N, C], of features [N, D]; belongs to the enclosing scope. */
    public Tensor logits(Tensor features) {
      return head.apply(embedding(features));
    }
  }

  /** Its normalisation layers can be reached. */
  public interface HasNormLayers {
    List<NormLayer> normLayers();
  }

  /**
   * A normalisation layer.
   *
   * @param name its path in the model
   * @param kind such as {@code BatchNorm2d}
   * @param weight the scale, or null
   * @param bias the shift, or null
   * @param runningMean the running mean, or null
   * @param runningVar the running variance, or null
   */
  public record NormLayer(
      String name,
      String kind,
      @org.jspecify.annotations.Nullable Tensor weight,
      @org.jspecify.annotations.Nullable Tensor bias,
      @org.jspecify.annotations.Nullable Tensor runningMean,
      @org.jspecify.annotations.Nullable Tensor runningVar) {}
}
