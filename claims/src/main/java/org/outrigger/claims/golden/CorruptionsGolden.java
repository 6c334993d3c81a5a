package org.outrigger.claims.golden;

import java.util.Arrays;
import java.util.Map;
import java.util.function.BiConsumer;
import java.util.function.Function;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.outrigger.core.OutriggerException;
import org.outrigger.evaluate.corruption.Blur;
import org.outrigger.evaluate.corruption.Corruption;
import org.outrigger.evaluate.corruption.Digital;
import org.outrigger.evaluate.corruption.Geometry;
import org.outrigger.evaluate.corruption.Image;
import org.outrigger.evaluate.corruption.Jpeg;
import org.outrigger.evaluate.corruption.Noise;
import org.outrigger.evaluate.corruption.Scale;
import org.outrigger.evaluate.corruption.Weather;
import tools.jackson.databind.JsonNode;

/**
 * Image corruptions. Cases hold images [H, W] or [H, W, C] in 0..255 and any random draws. An
 * output is named after what was applied, with a suffix {@code _s3} for the severity or {@code
 * _q40} for the JPEG quality.
 */
public final class CorruptionsGolden implements GoldenSuite {
  private static final Pattern SEVERITY = Pattern.compile("(.+)_s(\\d+)");
  private static final Pattern QUALITY = Pattern.compile("image_q(\\d+)");

  /** The parameter that marks a case, and what checks it. */
  private static final Map<String, BiConsumer<GoldenCase, Image>> KINDS =
      Map.of(
          "radius_alias", CorruptionsGolden::defocus,
          "glass_sigma_delta_iters", CorruptionsGolden::gaussianAndGlass,
          "factor", CorruptionsGolden::pixelate,
          "zoom_factors", CorruptionsGolden::zoom,
          "qualities", CorruptionsGolden::jpeg,
          "radius_sigma", CorruptionsGolden::motion,
          "amount_decay", CorruptionsGolden::fog,
          "map_mode", CorruptionsGolden::elastic);

  @Override
  public String slug() {
    return "corruptions";
  }

  @Override
  public void check(GoldenCase golden) {
    Image image = image(golden, "image");
    for (Map.Entry<String, BiConsumer<GoldenCase, Image>> kind : KINDS.entrySet()) {
      if (golden.params().has(kind.getKey())) {
        kind.getValue().accept(golden, image);
        return;
      }
    }
    if (golden.hasInput("u_flip") || golden.hasInput("normal")) {
      noise(golden, image);
    } else if (golden.params().path("contrast").isArray()
        || golden.params().path("brightness").isArray()
        || golden.params().path("saturate").isArray()) {
      pointwise(golden, image);
    } else {
      mnist(golden, image);
    }
  }

  private static void pointwise(GoldenCase golden, Image image) {
    stack(golden, "brightness", p -> Digital.brightness(image, p[0]));
    stack(golden, "contrast", p -> Digital.contrast(image, p[0]));
    stack(golden, "saturate", p -> Digital.saturate(image, p[0], p[1]));
  }

  /** One output with an image for each entry of the parameter list of the same name. */
  private static void stack(GoldenCase golden, String name, Function<double[], Image> corrupt) {
    if (!golden.hasOutput(name)) {
      return;
    }
    JsonNode list = golden.params().path(name);
    double[][] parts = new double[list.size()][];
    for (int i = 0; i < parts.length; i++) {
      parts[i] = bytes(corrupt.apply(numbers(list.get(i))));
    }
    golden.expect(name, Arrays.stream(parts).flatMapToDouble(Arrays::stream).toArray());
  }

  private static void defocus(GoldenCase golden, Image image) {
    for (String output : golden.outputs()) {
      double[] p = at(golden, output, "radius_alias", "severities");
      golden.expect(
          output,
          output.startsWith("kernel")
              ? Blur.disk(p[0], p[1])
              : bytes(Blur.defocus(image, p[0], p[1])));
    }
  }

  private static void gaussianAndGlass(GoldenCase golden, Image image) {
    for (String output : golden.outputs()) {
      if (output.startsWith("gaussian_blur")) {
        double[] p = at(golden, output, "gaussian_sigma", "gaussian_severities");
        golden.expect(output, bytes(Blur.gaussian(image, p[0])));
      } else {
        double[] p = at(golden, output, "glass_sigma_delta_iters", "glass_severities");
        int[] offsets =
            Arrays.stream(golden.values("offsets_s" + severity(output)))
                .mapToInt(v -> (int) v)
                .toArray();
        golden.expect(output, bytes(Blur.glass(image, p[0], (int) p[1], (int) p[2], offsets)));
      }
    }
  }

  private static void pixelate(GoldenCase golden, Image image) {
    for (String output : golden.outputs()) {
      double[] p = at(golden, output, "factor", "severities");
      golden.expect(output, bytes(Digital.pixelate(image, p[0])));
    }
  }

  private static void zoom(GoldenCase golden, Image image) {
    for (String output : golden.outputs()) {
      golden.expect(
          output,
          bytes(
              output.equals("single_zoom")
                  ? Blur.clippedZoom(image, golden.param("single_zoom_factor"))
                  : Blur.zoom(image, at(golden, output, "zoom_factors", "severities"))));
    }
  }

  private static void jpeg(GoldenCase golden, Image image) {
    for (String output : golden.outputs()) {
      Matcher quality = QUALITY.matcher(output);
      if (quality.matches()) {
        golden.expect(output, bytes(Jpeg.compress(image, Integer.parseInt(quality.group(1)))));
      }
    }
  }

  private static void motion(GoldenCase golden, Image image) {
    for (String output : golden.outputs()) {
      double[] p = at(golden, output, "radius_sigma", "severities");
      double angle = at(golden, output, "angle_degrees", "severities")[0];
      golden.expect(
          output,
          output.startsWith("kernel")
              ? Blur.streak((int) p[0], p[1])
              : bytes(Blur.motion(image, (int) p[0], p[1], angle)));
    }
  }

  private static void fog(GoldenCase golden, Image image) {
    for (String output : golden.outputs()) {
      double[] p = at(golden, output, "amount_decay", "severities");
      double[] plasma =
          Weather.plasma((int) golden.param("mapsize"), p[1], golden.values("uniform"));
      golden.expect(
          output, output.startsWith("plasma") ? plasma : bytes(Weather.fog(image, p[0], plasma)));
    }
  }

  private static void elastic(GoldenCase golden, Image image) {
    double[] dx = field(golden, image, "u_dx");
    double[] dy = field(golden, image, "u_dy");
    boolean mirror = golden.params().path("map_mode").asString("").equals("reflect");
    golden.expect("dx", dx);
    golden.expect("dy", dy);
    golden.expect("image_out", bytes(Geometry.displace(image, dx, dy, mirror)));
  }

  private static double[] field(GoldenCase golden, Image image, String draws) {
    return Geometry.displacement(
        image.height(),
        image.width(),
        golden.param("alpha"),
        golden.param("sigma"),
        golden.param("truncate"),
        golden.values(draws));
  }

  private static void noise(GoldenCase golden, Image image) {
    if (golden.hasOutput("gaussian_noise")) {
      golden.expect(
          "gaussian_noise",
          bytes(Noise.gaussian(image, golden.param("gaussian"), draws(golden, "normal"))));
    }
    if (golden.hasOutput("speckle_noise")) {
      golden.expect(
          "speckle_noise",
          bytes(Noise.speckle(image, golden.param("speckle"), draws(golden, "normal"))));
    }
    if (golden.hasOutput("shot_noise")) {
      double photons = golden.param("shot");
      String counts = "poisson_counts_for_x_times_" + (int) photons;
      golden.expect("shot_noise", bytes(Noise.shot(image, photons, draws(golden, counts))));
    }
    if (golden.hasOutput("impulse_noise")) {
      golden.expect(
          "impulse_noise",
          bytes(
              Noise.impulse(
                  image,
                  golden.param("impulse"),
                  draws(golden, "u_flip"),
                  draws(golden, "u_salt"))));
    }
  }

  private static void mnist(GoldenCase golden, Image image) {
    for (String output : golden.outputs()) {
      String name = output.replace("_matrix", "");
      Matcher severity = SEVERITY.matcher(name);
      if (severity.matches()) {
        Corruption corruption = Corruption.named(severity.group(1));
        double p = corruption.parameters(Scale.IMAGENET, Integer.parseInt(severity.group(2)))[0];
        golden.expect(
            output,
            bytes(
                switch (corruption) {
                  case QUANTIZE -> Digital.quantize(image, (int) p);
                  case BRIGHTNESS -> Digital.brightness(image, p);
                  case CONTRAST -> Digital.contrast(image, p);
                  default -> throw unknown(golden, output);
                }));
        continue;
      }
      if (name.equals("stripe")) {
        golden.expect(output, bytes(Digital.stripe(image)));
        continue;
      }
      if (name.equals("inverse")) {
        golden.expect(output, bytes(Digital.inverse(image)));
        continue;
      }
      double[] p = numbers(golden.params().path("affine").path(name));
      int h = image.height();
      int w = image.width();
      double[] matrix =
          switch (name) {
            case "rotate" -> Geometry.rotation(h, w, p[0]);
            case "shear" -> Geometry.shear(h, w, p[0]);
            case "scale" -> Geometry.scale(h, w, p[0]);
            case "translate" -> Geometry.translation(p[0], p[p.length - 1]);
            default -> throw unknown(golden, output);
          };
      golden.expect(
          output, output.endsWith("_matrix") ? matrix : bytes(Geometry.warp(image, matrix)));
    }
  }

  private static OutriggerException unknown(GoldenCase golden, String output) {
    return new OutriggerException(
        golden.file() + ": '" + output + "' is not a corruption that this suite knows.");
  }

  private static int severity(String output) {
    Matcher matcher = SEVERITY.matcher(output);
    if (!matcher.matches()) {
      throw new OutriggerException("The output '" + output + "' names no severity.");
    }
    return Integer.parseInt(matcher.group(2));
  }

  /** The entry of a parameter list that belongs to an output's severity. */
  private static double[] at(GoldenCase golden, String output, String list, String severities) {
    int severity = severity(output);
    int index = severity - 1;
    double[] order = numbers(golden.params().path(severities));
    for (int i = 0; i < order.length; i++) {
      if (order[i] == severity) {
        index = i;
      }
    }
    return numbers(golden.params().path(list).path(index));
  }

  private static double[] numbers(JsonNode node) {
    if (!node.isArray()) {
      return node.isMissingNode() ? new double[0] : new double[] {node.asDouble()};
    }
    double[] out = new double[node.size()];
    for (int i = 0; i < out.length; i++) {
      out[i] = node.get(i).asDouble();
    }
    return out;
  }

  private static Image image(GoldenCase golden, String name) {
    long[] shape = golden.input(name).shape();
    int channels = shape.length == 3 ? (int) shape[2] : 1;
    double[] data = planar(golden.values(name), channels);
    for (int i = 0; i < data.length; i++) {
      data[i] /= 255;
    }
    return new Image(channels, (int) shape[0], (int) shape[1], data);
  }

  private static double[] draws(GoldenCase golden, String name) {
    long[] shape = golden.input(name).shape();
    return planar(golden.values(name), shape.length == 3 ? (int) shape[2] : 1);
  }

  /** From [H, W, C] to [C, H, W]. */
  private static double[] planar(double[] values, int channels) {
    int area = values.length / channels;
    double[] out = new double[values.length];
    for (int i = 0; i < values.length; i++) {
      out[i % channels * area + i / channels] = values[i];
    }
    return out;
  }

  /** An image as [H, W, C] in 0..255. */
  private static double[] bytes(Image image) {
    int area = image.height() * image.width();
    double[] out = new double[image.data().length];
    for (int i = 0; i < out.length; i++) {
      out[i % area * image.channels() + i / area] = image.data()[i] * 255;
    }
    return out;
  }
}
