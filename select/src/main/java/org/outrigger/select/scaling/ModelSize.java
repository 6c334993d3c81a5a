package org.outrigger.select.scaling;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.zoo.series.SeriesConfig;

/**
 * One rung of the ladder.
 *
 * @param name such as {@code 10K}
 * @param width d
 * @param layers L
 * @param heads of the attention
 * @param decoderLayers layers of a decoder, where they differ
 */
public record ModelSize(String name, int width, int layers, int heads, int decoderLayers) {
  private static final Pattern CUSTOM = Pattern.compile("(\\d{1,5})x(\\d{1,4})(?:x(\\d{1,4}))?");
  private static final Map<String, ModelSize> LADDER = new LinkedHashMap<>();

  static {
    for (ModelSize size :
        List.of(
            of("1K", 8, 1, 1),
            of("10K", 24, 2, 1),
            of("100K", 64, 2, 1),
            of("300K", 64, 6, 1),
            of("1M", 192, 4, 3),
            of("3M", 256, 6, 4),
            of("10M", 384, 8, 6),
            of("30M", 512, 12, 8),
            of("100M", 768, 18, 12),
            of("300M", 1024, 24, 16),
            new ModelSize("1B", 1536, 36, 24, 32))) {
      LADDER.put(size.name, size);
    }
  }

  private static ModelSize of(String name, int width, int layers, int heads) {
    return new ModelSize(name, width, layers, heads, layers);
  }

  /** The paper's sizes, smallest first. */
  public static List<ModelSize> ladder() {
    return List.copyOf(LADDER.values());
  }

  /**
   * Reads a list such as {@code 1K,10K,32x2}: names of the ladder, or width x layers, or width x
   * layers x heads; without heads there is one for each 64 of the width, and at least one.
   */
  public static List<ModelSize> parse(String list) {
    List<ModelSize> sizes = new ArrayList<>();
    for (String each : Arrays.stream(list.split(",", -1)).map(String::strip).toList()) {
      ModelSize known = LADDER.get(each.toUpperCase(Locale.ROOT));
      Matcher custom = CUSTOM.matcher(each.toLowerCase(Locale.ROOT));
      if (known != null) {
        sizes.add(known);
      } else if (custom.matches()) {
        int width = Integer.parseInt(custom.group(1));
        int heads =
            custom.group(3) == null ? Math.max(1, width / 64) : Integer.parseInt(custom.group(3));
        ModelSize size = of(each, width, Integer.parseInt(custom.group(2)), heads);
        size.config(false, SweepSettings.defaults());
        sizes.add(size);
      } else {
        throw new OutriggerException(
            "'"
                + each
                + "' is no model size: use "
                + String.join(", ", LADDER.keySet())
                + ", or WIDTHxLAYERS such as 32x2, or WIDTHxLAYERSxHEADS.");
      }
    }
    if (sizes.stream().map(ModelSize::name).distinct().count() < sizes.size()) {
      throw new OutriggerException("The ladder " + list + " names a size twice: name each once.");
    }
    return sizes;
  }

  /** The network of this size. */
  public SeriesConfig config(boolean decoder, SweepSettings settings) {
    return new SeriesConfig(
        decoder,
        settings.patch(),
        width,
        decoder ? decoderLayers : layers,
        heads,
        settings.components(),
        Math.max(512, settings.tokens()));
  }
}
