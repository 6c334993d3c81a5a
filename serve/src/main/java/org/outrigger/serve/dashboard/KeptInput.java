package org.outrigger.serve.dashboard;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** An input as the page shows it: a small picture, or the values of a row of a table. */
sealed interface KeptInput {
  /** The longest side of a picture, in pixels; larger ones are made smaller. */
  int SIDE = 64;

  /** More values than these are not shown. */
  int MOST_VALUES = 200;

  /** As JSON types. */
  Map<String, Object> toJson();

  /**
   * What is kept of a row.
   *
   * @param shape of one input
   * @param features names of the values; empty if there are none
   * @return null if such inputs cannot be shown
   */
  static @Nullable KeptInput of(float[] values, int from, long[] shape, List<String> features) {
    if (shape.length == 3 && (shape[0] == 1 || shape[0] == 3)) {
      return Picture.of(values, from, (int) shape[0], (int) shape[1], (int) shape[2]);
    }
    if (shape.length == 1 && shape[0] <= MOST_VALUES) {
      return new Values(features, Arrays.copyOfRange(values, from, from + (int) shape[0]));
    }
    return null;
  }

  /**
   * A picture.
   *
   * @param width in pixels
   * @param height in pixels
   * @param channels 1 or 3
   * @param pixels [height, width, channels]; the least value of the input became 0 and the largest
   *     255, which undoes whatever normalisation there was up to brightness and contrast
   */
  @SuppressWarnings("ArrayRecordComponent")
  record Picture(int width, int height, int channels, byte[] pixels) implements KeptInput {
    /** From [channels, height, width]. */
    static Picture of(float[] values, int from, int channels, int height, int width) {
      float low = Float.POSITIVE_INFINITY;
      float high = Float.NEGATIVE_INFINITY;
      for (int i = from; i < from + channels * height * width; i++) {
        low = Math.min(low, values[i]);
        high = Math.max(high, values[i]);
      }
      float scale = high > low ? 255 / (high - low) : 0;
      int step = (Math.max(width, height) + SIDE - 1) / SIDE;
      int w = (width + step - 1) / step;
      int h = (height + step - 1) / step;
      byte[] pixels = new byte[w * h * channels];
      for (int y = 0; y < h; y++) {
        for (int x = 0; x < w; x++) {
          for (int c = 0; c < channels; c++) {
            float mean = mean(values, from + c * height * width, width, height, x, y, step);
            pixels[(y * w + x) * channels + c] = (byte) Math.round((mean - low) * scale);
          }
        }
      }
      return new Picture(w, h, channels, pixels);
    }

    private static float mean(
        float[] values, int from, int width, int height, int x, int y, int step) {
      double sum = 0;
      int count = 0;
      for (int j = y * step; j < Math.min(height, (y + 1) * step); j++) {
        for (int i = x * step; i < Math.min(width, (x + 1) * step); i++) {
          sum += values[from + j * width + i];
          count++;
        }
      }
      return (float) (sum / count);
    }

    @Override
    public Map<String, Object> toJson() {
      return Map.of(
          "width", width,
          "height", height,
          "channels", channels,
          "pixels", Base64.getEncoder().encodeToString(pixels));
    }
  }

  /**
   * The values of a row.
   *
   * @param features their names; empty if there are none
   */
  @SuppressWarnings("ArrayRecordComponent")
  record Values(List<String> features, float[] values) implements KeptInput {
    @Override
    public Map<String, Object> toJson() {
      List<Map<String, Object>> named = new ArrayList<>();
      for (int i = 0; i < values.length; i++) {
        Map<String, Object> value = new LinkedHashMap<>();
        value.put("name", i < features.size() ? features.get(i) : "value " + i);
        value.put("value", values[i]);
        named.add(value);
      }
      return Map.of("values", named);
    }
  }
}
