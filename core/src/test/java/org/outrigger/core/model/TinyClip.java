package org.outrigger.core.model;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.io.Safetensors;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Tensors;

/** A CLIP as Hugging Face's CLIPModel saves it: its names and shapes, at the smallest sizes. */
final class TinyClip {
  static final int START = 29;
  static final int END = 30;

  static final String CONFIG =
      """
      {
        "architectures": ["CLIPModel"], "model_type": "clip", "projection_dim": 6,
        "logit_scale_init_value": 2.6592,
        "text_config": {"hidden_size": 8, "intermediate_size": 32, "num_hidden_layers": 2,
          "num_attention_heads": 2, "vocab_size": 31, "max_position_embeddings": 10,
          "hidden_act": "quick_gelu", "layer_norm_eps": 1e-05, "eos_token_id": %d},
        "text_config_dict": null,
        "vision_config": {"hidden_size": 12, "intermediate_size": 24, "num_hidden_layers": 1,
          "num_attention_heads": 3, "image_size": 8, "patch_size": 4, "num_channels": 3,
          "hidden_act": "quick_gelu", "layer_norm_eps": 1e-05}
      }
      """;

  private TinyClip() {}

  /** Writes config.json and model.safetensors. */
  static Path write(Path folder, int endOfText) throws IOException {
    Files.writeString(folder.resolve("config.json"), CONFIG.formatted(endOfText));
    try (PointerScope scope = new PointerScope()) {
      Safetensors.write(folder.resolve("model.safetensors"), weights(), Map.of("format", "pt"));
    }
    return folder;
  }

  static Map<String, Tensor> weights() {
    Map<String, long[]> shapes = new LinkedHashMap<>();
    shapes.put("text_model.embeddings.token_embedding.weight", new long[] {31, 8});
    shapes.put("text_model.embeddings.position_embedding.weight", new long[] {10, 8});
    block(shapes, "text_model.encoder.layers.0.", 8, 32);
    block(shapes, "text_model.encoder.layers.1.", 8, 32);
    pair(shapes, "text_model.final_layer_norm", 8);
    shapes.put("vision_model.embeddings.class_embedding", new long[] {12});
    shapes.put("vision_model.embeddings.patch_embedding.weight", new long[] {12, 3, 4, 4});
    shapes.put("vision_model.embeddings.position_embedding.weight", new long[] {5, 12});
    pair(shapes, "vision_model.pre_layrnorm", 12);
    block(shapes, "vision_model.encoder.layers.0.", 12, 24);
    pair(shapes, "vision_model.post_layernorm", 12);
    shapes.put("visual_projection.weight", new long[] {6, 12});
    shapes.put("text_projection.weight", new long[] {6, 8});
    Map<String, Tensor> weights = new LinkedHashMap<>();
    try (Rng rng = new Rng(5)) {
      shapes.forEach((name, shape) -> weights.put(name, rng.normal(shape).mul(new Scalar(0.5))));
    }
    weights.put("logit_scale", Tensors.of(new float[] {4.6052f}));
    weights.put("text_model.embeddings.position_ids", Tensors.of(new long[10], 1, 10));
    weights.put("vision_model.embeddings.position_ids", Tensors.of(new long[5], 1, 5));
    return weights;
  }

  private static void block(Map<String, long[]> shapes, String path, long width, long hidden) {
    for (String name : new String[] {"k_proj", "v_proj", "q_proj", "out_proj"}) {
      shapes.put(path + "self_attn." + name + ".weight", new long[] {width, width});
      shapes.put(path + "self_attn." + name + ".bias", new long[] {width});
    }
    pair(shapes, path + "layer_norm1", width);
    shapes.put(path + "mlp.fc1.weight", new long[] {hidden, width});
    shapes.put(path + "mlp.fc1.bias", new long[] {hidden});
    shapes.put(path + "mlp.fc2.weight", new long[] {width, hidden});
    shapes.put(path + "mlp.fc2.bias", new long[] {width});
    pair(shapes, path + "layer_norm2", width);
  }

  private static void pair(Map<String, long[]> shapes, String path, long width) {
    shapes.put(path + ".weight", new long[] {width});
    shapes.put(path + ".bias", new long[] {width});
  }
}
