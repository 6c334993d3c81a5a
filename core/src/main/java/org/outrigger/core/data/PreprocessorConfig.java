package org.outrigger.core.data;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.Preprocessing.Resample;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * The JSON form of {@link Preprocessing}: HuggingFace's image processor settings, and one key of
 * ours for grey images. A {@code do_...} key that is missing counts as true where the values that
 * it switches are there.
 */
final class PreprocessorConfig {
  private static final JsonMapper JSON = JsonMapper.builder().build();
  private static final String CHANNELS = "outrigger_channels";

  private PreprocessorConfig() {}

  static Preprocessing parse(String text) {
    JsonNode config;
    try {
      config = JSON.readTree(text);
    } catch (JacksonException e) {
      throw new OutriggerException(
          "The preprocessing is not valid JSON.\n" + e.getOriginalMessage(), e);
    }
    if (!config.isObject()) {
      throw new OutriggerException("The preprocessing is not a JSON object.");
    }
    refuse(config, "do_flip_channel_order");
    refuse(config, "do_pad");
    Preprocessing result = resize(config, Preprocessing.none().resample(resample(config)));
    if (flag(config, "do_center_crop", config.has("crop_size"))) {
      int[] size = size(config, "crop_size");
      result = result.crop(size[0], size[1]);
    }
    double factor = config.path("rescale_factor").asDouble(1.0 / 255);
    result = result.scale(flag(config, "do_rescale", true) ? factor : 1);
    List<Double> mean = List.of();
    if (flag(config, "do_normalize", config.has("image_mean"))) {
      mean = numbers(config, "image_mean");
      result = result.normalise(mean, numbers(config, "image_std"));
    }
    int channels = mean.size() > 1 ? mean.size() : 0;
    if (flag(config, "do_convert_rgb", false)) {
      channels = 3;
    }
    return result.channels(config.path(CHANNELS).asInt(channels));
  }

  private static void refuse(JsonNode config, String key) {
    if (flag(config, key, false)) {
      throw new OutriggerException(
          "The preprocessing asks for " + key + ", which Outrigger does not compute.");
    }
  }

  private static boolean flag(JsonNode config, String key, boolean missing) {
    JsonNode node = config.path(key);
    if (node.isMissingNode() || node.isNull()) {
      return missing;
    }
    if (!node.isBoolean()) {
      throw new OutriggerException(key + " = " + node + " in the preprocessing is no truth value.");
    }
    return node.booleanValue();
  }

  private static Resample resample(JsonNode config) {
    JsonNode node = config.path("resample");
    if (node.isMissingNode() || node.isNull()) {
      return Resample.BILINEAR;
    }
    return Arrays.stream(Resample.values())
        .filter(r -> node.isNumber() && r.code == node.asDouble())
        .findFirst()
        .orElseThrow(
            () ->
                new OutriggerException(
                    "resample = "
                        + node
                        + " in the preprocessing is not known: 0 (nearest), 2 (bilinear) and 3"
                        + " (bicubic) are."));
  }

  private static Preprocessing resize(JsonNode config, Preprocessing start) {
    if (!flag(config, "do_resize", config.has("size"))) {
      return start;
    }
    JsonNode size = config.path("size");
    if (size.isObject() && size.has("longest_edge")) {
      throw new OutriggerException(
          "size = "
              + size
              + " in the preprocessing is not possible: longest_edge is not computed.");
    }
    boolean edge = size.isObject() && size.has("shortest_edge");
    JsonNode share = config.path("crop_pct");
    if (edge && share.isNumber()) {
      // ConvNeXt: small sizes are cut out of a larger image, large ones are squeezed.
      int side = side("size.shortest_edge", size.get("shortest_edge"));
      return side < 384
          ? start.shortestEdge((int) (side / share.asDouble())).crop(side, side)
          : start.resize(side, side);
    }
    if (edge) {
      return start.shortestEdge(side("size.shortest_edge", size.get("shortest_edge")));
    }
    if (size.isNumber() && flag(config, "do_center_crop", config.has("crop_size"))) {
      return start.shortestEdge(side("size", size));
    }
    int[] both = size(config, "size");
    return start.resize(both[0], both[1]);
  }

  /** {"height": h, "width": w} or one number for both. */
  private static int[] size(JsonNode config, String key) {
    JsonNode node = config.path(key);
    if (node.isNumber()) {
      return new int[] {side(key, node), side(key, node)};
    }
    if (node.isArray() && node.size() == 2) {
      return new int[] {side(key, node.get(0)), side(key, node.get(1))};
    }
    if (node.has("height") && node.has("width")) {
      return new int[] {
        side(key + ".height", node.get("height")), side(key + ".width", node.get("width"))
      };
    }
    throw new OutriggerException(
        key
            + " = "
            + (node.isMissingNode() ? "(missing)" : node)
            + " in the preprocessing is not known: a number, or height and width, are needed.");
  }

  private static int side(String key, JsonNode node) {
    if (!node.isIntegralNumber() || node.asLong() < 1 || node.asLong() > 16_384) {
      throw new OutriggerException(
          key + " = " + node + " in the preprocessing is out of range: use 1 to 16384.");
    }
    return node.asInt();
  }

  private static List<Double> numbers(JsonNode config, String key) {
    JsonNode node = config.path(key);
    List<Double> numbers = new ArrayList<>();
    if (node.isNumber()) {
      numbers.add(node.asDouble());
    }
    for (int i = 0; i < node.size(); i++) {
      if (!node.get(i).isNumber()) {
        throw new OutriggerException(
            key + " = " + node + " in the preprocessing is no list of numbers.");
      }
      numbers.add(node.get(i).asDouble());
    }
    if (numbers.isEmpty()) {
      throw new OutriggerException(key + " is missing in the preprocessing.");
    }
    return numbers;
  }

  static String write(Preprocessing settings) {
    ObjectNode config = JSON.createObjectNode();
    config.put("do_convert_rgb", settings.channels() == 3);
    config.put(CHANNELS, settings.channels());
    boolean edge = settings.shortestEdge() > 0;
    config.put("do_resize", edge || settings.height() > 0);
    if (edge) {
      config.putObject("size").put("shortest_edge", settings.shortestEdge());
    } else if (settings.height() > 0) {
      config.putObject("size").put("height", settings.height()).put("width", settings.width());
    }
    config.put("resample", settings.resample().code);
    config.put("do_center_crop", settings.cropHeight() > 0);
    if (settings.cropHeight() > 0) {
      config
          .putObject("crop_size")
          .put("height", settings.cropHeight())
          .put("width", settings.cropWidth());
    }
    config.put("do_rescale", true);
    config.put("rescale_factor", settings.scale());
    config.put("do_normalize", !settings.mean().isEmpty());
    if (!settings.mean().isEmpty()) {
      ArrayNode mean = config.putArray("image_mean");
      settings.mean().forEach(mean::add);
      ArrayNode std = config.putArray("image_std");
      settings.std().forEach(std::add);
    }
    return JSON.writerWithDefaultPrettyPrinter().writeValueAsString(config);
  }
}
