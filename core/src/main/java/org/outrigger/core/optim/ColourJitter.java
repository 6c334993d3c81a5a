package org.outrigger.core.optim;

import java.util.Arrays;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;

/**
 * Changes brightness, contrast, saturation and hue of each image, in this order, and takes the
 * colour from some. Each image draws for itself. Images are [N, 3, H, W] or [N, 1, H, W] in [0, 1]
 * (before any standardisation) and stay so; grey ones have no saturation or hue to change.
 *
 * @param brightness the factor is uniform in {@code [1 - brightness, 1 + brightness]}; in [0, 1]
 * @param contrast the factor on the distance to the image's mean grey, likewise
 * @param saturation the factor on the distance to each pixel's grey, likewise
 * @param hue the shift on the colour circle is uniform in {@code [-hue, hue]} turns; in [0, 0.5]
 * @param probability which share of the images is changed, in [0, 1]
 * @param grey which share of the images loses its colour, in [0, 1]
 */
public record ColourJitter(
    double brightness,
    double contrast,
    double saturation,
    double hue,
    double probability,
    double grey)
    implements Augmentation {
  private static final double SLACK = 1e-4;

  public ColourJitter {
    HyperParameter.between("brightness", brightness, 0, 1);
    HyperParameter.between("contrast", contrast, 0, 1);
    HyperParameter.between("saturation", saturation, 0, 1);
    HyperParameter.between("hue", hue, 0, 0.5);
    HyperParameter.between("probability", probability, 0, 1);
    HyperParameter.between("grey", grey, 0, 1);
  }

  /** As in SimCLR: 0.4, 0.4, 0.4 and 0.1 of 80 % of the images; 20 % lose their colour. */
  public static ColourJitter simClr() {
    return new ColourJitter(0.4, 0.4, 0.4, 0.1, 0.8, 0.2);
  }

  /** A factor on the brightness of every image. */
  public static ColourJitter ofBrightness(double brightness) {
    return new ColourJitter(brightness, 0, 0, 0, 1, 0);
  }

  @Override
  public Tensor apply(Tensor images, Rng rng) {
    check(images);
    return Scopes.tensor(
        () -> {
          boolean colours = images.size(1) == 3;
          Tensor x = limited(images.mul(factor(brightness, images, rng)));
          Tensor mean = grey(x).mean(new long[] {1, 2, 3}, true, null);
          x = limited(mixed(x, mean, factor(contrast, images, rng)));
          Tensor vivid = factor(saturation, images, rng);
          Tensor turn = factor(hue, images, rng).sub(new Scalar(1.0));
          if (colours) {
            x = limited(mixed(x, grey(x), vivid));
            x = hue > 0 ? turned(x, turn) : x;
          }
          x = torch.where(chosen(probability, images, rng), x, images);
          return torch.where(chosen(grey, images, rng), grey(x).expand_as(x), x);
        });
  }

  private static void check(Tensor images) {
    Shapes.check().tensor("images", images, "N", "C", "H", "W");
    if (images.size(1) != 1 && images.size(1) != 3) {
      throw new OutriggerException(
          "Colours can be changed of images with 1 or 3 channels, but these have shape "
              + Arrays.toString(images.shape())
              + ": leave the colour jitter out.");
    }
    double low = Scopes.noGrad(() -> images.amin()).item_double();
    double high = Scopes.noGrad(() -> images.amax()).item_double();
    if (!(low >= -SLACK && high <= 1 + SLACK)) {
      throw new OutriggerException(
          "Colours can be changed of images in [0, 1], but these run from "
              + low
              + " to "
              + high
              + ": standardise them in the network, or leave the colour jitter out.");
    }
  }

  /** Uniform in 1 - reach .. 1 + reach for each image, [N, 1, 1, 1]. */
  private static Tensor factor(double reach, Tensor images, Rng rng) {
    return uniform(images, rng).mul(new Scalar(2 * reach)).add(new Scalar(1 - reach));
  }

  private static Tensor chosen(double share, Tensor images, Rng rng) {
    return uniform(images, rng).lt(new Scalar(share));
  }

  private static Tensor uniform(Tensor images, Rng rng) {
    return rng.uniform(images.scalar_type().intern(), images.size(0), 1, 1, 1);
  }

  private static Tensor limited(Tensor x) {
    return x.clamp_min(new Scalar(0.0)).clamp_max(new Scalar(1.0));
  }

  /** {@code factor} of x and the rest of another. */
  private static Tensor mixed(Tensor x, Tensor other, Tensor factor) {
    return other.add(x.sub(other).mul(factor));
  }

  /**
   * Luma: 0.299 red + 0.587 green + 0.114 blue; one channel is its own.
   *
   * @param x [N, 3, H, W] or [N, 1, H, W], of any range
   * @return [N, 1, H, W]
   */
  public static Tensor grey(Tensor x) {
    if (x.size(1) == 1) {
      return x;
    }
    return channel(x, 0)
        .mul(new Scalar(0.299))
        .add(channel(x, 1), new Scalar(0.587))
        .add(channel(x, 2), new Scalar(0.114));
  }

  private static Tensor channel(Tensor x, long c) {
    return x.narrow(1, c, 1);
  }

  /** Turns the colour circle: value and chroma of each pixel stay. */
  private static Tensor turned(Tensor x, Tensor turn) {
    Tensor r = channel(x, 0);
    Tensor g = channel(x, 1);
    Tensor b = channel(x, 2);
    Tensor value = x.amax(new long[] {1}, true);
    Tensor chroma = value.sub(x.amin(new long[] {1}, true));
    Tensor by = chroma.clamp_min(new Scalar(1e-12));
    // In sixths of the circle, from red; a grey pixel has none, and no chroma to show it.
    Tensor fromRed = g.sub(b).div(by);
    Tensor fromGreen = b.sub(r).div(by).add(new Scalar(2.0));
    Tensor fromBlue = r.sub(g).div(by).add(new Scalar(4.0));
    Tensor place = torch.where(r.eq(value), fromRed, torch.where(g.eq(value), fromGreen, fromBlue));
    Tensor moved = place.add(turn, new Scalar(6.0));
    return torch.cat(
        new TensorVector(
            part(value, chroma, moved, 5),
            part(value, chroma, moved, 3),
            part(value, chroma, moved, 1)),
        1);
  }

  /** One channel of a colour at that place on the circle. */
  private static Tensor part(Tensor value, Tensor chroma, Tensor place, double offset) {
    Tensor at = place.add(new Scalar(offset)).remainder(new Scalar(6.0));
    Tensor share =
        torch
            .minimum(at, at.neg().add(new Scalar(4.0)))
            .clamp_max(new Scalar(1.0))
            .clamp_min(new Scalar(0.0));
    return value.sub(chroma.mul(share));
  }
}
