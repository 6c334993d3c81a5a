package org.outrigger.core.zoo;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.Json;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.nn.Activation;

/**
 * The sizes of a CLIP model, as Hugging Face's {@code config.json} says them.
 *
 * @param vision the encoder of image patches
 * @param text the encoder of tokens
 * @param image pixels a side
 * @param patch pixels a side
 * @param channels of an image
 * @param vocabulary how many tokens there are
 * @param context the most tokens of a text
 * @param endOfText the token whose output stands for the text; 2 (a mistake in old files that their
 *     readers live with) means the largest token of each text
 * @param projection the dimension of the space that both share
 */
public record ClipConfig(
    Encoder vision,
    Encoder text,
    int image,
    int patch,
    int channels,
    int vocabulary,
    int context,
    int endOfText,
    int projection) {
  /**
   * A stack of transformer blocks.
   *
   * @param width of a token's vector
   * @param hidden width of the layer between the two of a block's perceptron
   * @param layers how many blocks
   * @param heads a divisor of width
   * @param activation the name of an {@link Activation.Kind}, such as {@code quick_gelu}
   * @param epsilon of the layer norms
   */
  public record Encoder(
      int width, int hidden, int layers, int heads, String activation, double epsilon) {
    public Encoder {
      HyperParameter.atLeast("hidden_size", width, 1);
      HyperParameter.atLeast("intermediate_size", hidden, 1);
      HyperParameter.between("num_hidden_layers", layers, 1, 1000);
      HyperParameter.require(
          heads >= 1 && width % heads == 0,
          "num_attention_heads",
          heads,
          "a divisor of hidden_size = " + width);
      Activation.Kind.of(activation);
      HyperParameter.positive("layer_norm_eps", epsilon);
    }
  }

  public ClipConfig {
    HyperParameter.require(
        patch >= 1 && image >= patch, "patch_size", patch, "1 to image_size = " + image);
    HyperParameter.atLeast("num_channels", channels, 1);
    HyperParameter.atLeast("vocab_size", vocabulary, 1);
    HyperParameter.atLeast("max_position_embeddings", context, 1);
    HyperParameter.atLeast("projection_dim", projection, 1);
  }

  /**
   * Reads a {@code config.json}. What it leaves out has the value that it has in OpenAI's ViT-B/32.
   *
   * @throws OutriggerException if the file is missing, damaged, or of another kind of model
   */
  public static ClipConfig read(Path file) {
    String json;
    try {
      json = Files.readString(file);
    } catch (IOException e) {
      throw new OutriggerException(
          file + " cannot be read: name a folder with a CLIP model's config.json.", e);
    }
    Map<String, Object> all = Json.object(file.toString(), json);
    if (all.get("model_type") instanceof String type && !type.equals("clip")) {
      throw new OutriggerException(
          file + " describes a model of type '" + type + "', but a clip model is needed.");
    }
    Part vision = new Part(file, part(all, "vision_config"));
    Part text = new Part(file, part(all, "text_config"));
    return new ClipConfig(
        vision.encoder(768, 3072, 12),
        text.encoder(512, 2048, 8),
        vision.integer("image_size", 224),
        vision.integer("patch_size", 32),
        vision.integer("num_channels", 3),
        text.integer("vocab_size", 49408),
        text.integer("max_position_embeddings", 77),
        text.integer("eos_token_id", 49407),
        new Part(file, all).integer("projection_dim", 512));
  }

  /** Old files hold a second copy, whose values count where they differ. */
  private static Map<String, Object> part(Map<String, Object> all, String name) {
    Map<String, Object> values = new LinkedHashMap<>();
    for (String key : new String[] {name, name + "_dict"}) {
      if (all.get(key) instanceof Map<?, ?> map) {
        map.forEach((k, v) -> values.put(String.valueOf(k), v));
      }
    }
    return values;
  }

  /** The settings of the zoo's {@code clip} for this image tower. */
  public Map<String, Object> zooSettings(boolean no) {
    Map<String, Object> settings = new LinkedHashMap<>();
    settings.put("patch", patch);
    settings.put("width", vision.width);
    settings.put("hidden", vision.hidden);
    settings.put("layers", vision.layers);
    settings.put("heads", vision.heads);
    settings.put("activation", vision.activation);
    settings.put("epsilon", vision.epsilon);
    settings.put("projection", projection);
    settings.put("no", no);
    return settings;
  }

  private record Part(Path file, Map<String, Object> values) {
    Encoder encoder(int width, int hidden, int heads) {
      return new Encoder(
          integer("hidden_size", width),
          integer("intermediate_size", hidden),
          integer("num_hidden_layers", 12),
          integer("num_attention_heads", heads),
          values.get("hidden_act") instanceof String name ? name : "quick_gelu",
          values.get("layer_norm_eps") instanceof Number eps ? eps.doubleValue() : 1e-5);
    }

    int integer(String key, int usual) {
      Object value = values.get(key);
      if (value == null) {
        return usual;
      }
      if (value instanceof Integer number) {
        return number;
      }
      throw new OutriggerException(
          file + " has " + key + " = " + value + ", but a whole number is needed.");
    }
  }
}
