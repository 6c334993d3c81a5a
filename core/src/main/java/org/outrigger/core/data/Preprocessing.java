package org.outrigger.core.data;

import java.awt.image.BufferedImage;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

/**
 * From a decoded image to what a model takes: channels, resize, centre crop, scale, normalise, in
 * this order. Start from {@link #none()} and change what differs, or read a HuggingFace {@code
 * preprocessor_config.json}.
 *
 * <p>Resizing follows Pillow (and torchvision on Pillow images): the filter's support grows with
 * the reduction, so that a smaller image averages all of the larger one's pixels; passes run over
 * rows, then columns, each rounded to whole bytes. Grey is ITU-R 601 luma; transparent images are
 * read without their alpha channel, as Pillow's {@code convert("RGB")} does.
 *
 * @param channels 1 (grey) or 3 (RGB); 0 keeps what the image has
 * @param height after resizing; 0: no fixed height
 * @param width after resizing; 0: no fixed width
 * @param shortestEdge after resizing, with the proportions kept; 0: none
 * @param resample the filter
 * @param cropHeight of the centre crop, padded with zeros where the image is smaller; 0: no crop
 * @param cropWidth of the centre crop; 0: no crop
 * @param scale each byte is multiplied by this: 1/255 gives 0 .. 1
 * @param mean subtracted after scaling, one a channel, or one for all; empty: no normalisation
 * @param std divided by, one a channel, or one for all
 */
public record Preprocessing(
    int channels,
    int height,
    int width,
    int shortestEdge,
    Resample resample,
    int cropHeight,
    int cropWidth,
    double scale,
    List<Double> mean,
    List<Double> std) {
  private static final int MAX_SIDE = 16_384;

  /** The filters of Pillow that Outrigger computes; the numbers are Pillow's. */
  public enum Resample {
    /** The nearest pixel. */
    NEAREST(0),
    /** A triangle, widened when reducing. */
    BILINEAR(2),
    /** Keys' cubic with a = -0.5, widened when reducing. */
    BICUBIC(3);

    final int code;

    Resample(int code) {
      this.code = code;
    }
  }

  public Preprocessing {
    mean = List.copyOf(mean);
    std = List.copyOf(std);
    if (channels != 0 && channels != 1 && channels != 3) {
      throw new OutriggerException("channels = " + channels + " is out of range: use 1 or 3.");
    }
    for (int side : new int[] {height, width, shortestEdge, cropHeight, cropWidth}) {
      if (side < 0 || side > MAX_SIDE) {
        throw new OutriggerException(
            "An image side of " + side + " is out of range: use 1 to " + MAX_SIDE + ".");
      }
    }
    if ((height == 0) != (width == 0) || (cropHeight == 0) != (cropWidth == 0)) {
      throw new OutriggerException("An image size needs both a height and a width.");
    }
    if (shortestEdge > 0 && height > 0) {
      throw new OutriggerException(
          "An image is resized to a size or by its shortest edge, not both.");
    }
    if (!(scale > 0) || Double.isInfinite(scale)) {
      throw new OutriggerException("scale = " + scale + " is out of range: use one above 0.");
    }
    if (mean.size() != std.size()) {
      throw new OutriggerException(
          "There are " + mean.size() + " means, but " + std.size() + " standard deviations.");
    }
    for (int i = 0; i < mean.size(); i++) {
      if (!Double.isFinite(mean.get(i)) || !(std.get(i) > 0) || Double.isInfinite(std.get(i))) {
        throw new OutriggerException(
            "Normalisation by mean " + mean + " and std " + std + " is not possible.");
      }
    }
    if (mean.size() > 1 && channels > 0 && mean.size() != channels) {
      throw new OutriggerException(
          "There are " + mean.size() + " means, but " + channels + " channels.");
    }
  }

  /** Bytes to 0 .. 1, nothing else. */
  public static Preprocessing none() {
    return new Preprocessing(0, 0, 0, 0, Resample.BILINEAR, 0, 0, 1.0 / 255, List.of(), List.of());
  }

  /** What most ImageNet models of torchvision take: 256 by the edge, crop 224, normalised RGB. */
  public static Preprocessing imageNet() {
    return none()
        .channels(3)
        .shortestEdge(256)
        .crop(224, 224)
        .normalise(List.of(0.485, 0.456, 0.406), List.of(0.229, 0.224, 0.225));
  }

  /**
   * Reads a HuggingFace {@code preprocessor_config.json}, or what {@link #toJson} wrote. Keys that
   * do not concern images are ignored.
   *
   * @throws OutriggerException if it asks for something that is not computed here, such as another
   *     filter
   */
  public static Preprocessing read(Path file) {
    try {
      return fromJson(Files.readString(file));
    } catch (IOException e) {
      throw new OutriggerException("The file " + file + " cannot be read: " + e + ".", e);
    } catch (OutriggerException e) {
      throw new OutriggerException(file + ": " + e.getMessage(), e);
    }
  }

  /** As {@link #read}, from text. */
  public static Preprocessing fromJson(String json) {
    return PreprocessorConfig.parse(json);
  }

  /** In the form of a HuggingFace {@code preprocessor_config.json}. */
  public String toJson() {
    return PreprocessorConfig.write(this);
  }

  /** With 1 (grey) or 3 (RGB) channels. */
  public Preprocessing channels(int count) {
    return new Preprocessing(
        count, height, width, shortestEdge, resample, cropHeight, cropWidth, scale, mean, std);
  }

  /** Resized to that size, whatever the proportions. */
  public Preprocessing resize(int height, int width) {
    return new Preprocessing(
        channels, height, width, 0, resample, cropHeight, cropWidth, scale, mean, std);
  }

  /** Resized so that the shorter side has that length. */
  public Preprocessing shortestEdge(int length) {
    return new Preprocessing(
        channels, 0, 0, length, resample, cropHeight, cropWidth, scale, mean, std);
  }

  /** With that filter. */
  public Preprocessing resample(Resample filter) {
    return new Preprocessing(
        channels, height, width, shortestEdge, filter, cropHeight, cropWidth, scale, mean, std);
  }

  /** Cropped to its centre. */
  public Preprocessing crop(int height, int width) {
    return new Preprocessing(
        channels, this.height, this.width, shortestEdge, resample, height, width, scale, mean, std);
  }

  /** With bytes multiplied by {@code factor}. */
  public Preprocessing scale(double factor) {
    return new Preprocessing(
        channels, height, width, shortestEdge, resample, cropHeight, cropWidth, factor, mean, std);
  }

  /** Normalised by these, one a channel or one for all. */
  public Preprocessing normalise(List<Double> mean, List<Double> std) {
    return new Preprocessing(
        channels, height, width, shortestEdge, resample, cropHeight, cropWidth, scale, mean, std);
  }

  /** Whether every image comes out with one known size. */
  public boolean fixedSize() {
    return height > 0 || cropHeight > 0;
  }

  /**
   * Prepares an image.
   *
   * @return float32 [C, H, W]
   */
  public Tensor apply(BufferedImage image) {
    ImageBytes bytes = bytes(image);
    return Tensors.of(
        bytes.planes(scale, mean, std), bytes.channels(), bytes.height(), bytes.width());
  }

  /** The image after everything but scaling and normalisation. */
  ImageBytes bytes(BufferedImage image) {
    ImageBytes bytes = ImageBytes.of(image, channels);
    if (height > 0) {
      bytes = Resize.to(bytes, height, width, resample);
    } else if (shortestEdge > 0) {
      // torchvision's rule: the longer side is cut down to a whole number.
      int shorter = Math.min(bytes.height(), bytes.width());
      int longer = Math.max(bytes.height(), bytes.width());
      int longSide = (int) Math.min(Integer.MAX_VALUE, (long) shortestEdge * longer / shorter);
      if ((long) longSide * shortestEdge > 100_000_000L) {
        throw new OutriggerException(
            "An image of "
                + bytes.width()
                + " x "
                + bytes.height()
                + " pixels is too narrow for a shortest edge of "
                + shortestEdge
                + ".");
      }
      bytes =
          bytes.height() <= bytes.width()
              ? Resize.to(bytes, shortestEdge, Math.max(1, longSide), resample)
              : Resize.to(bytes, Math.max(1, longSide), shortestEdge, resample);
    }
    if (cropHeight > 0) {
      bytes = bytes.crop(cropHeight, cropWidth);
    }
    int count = bytes.channels();
    if (mean.size() > 1 && mean.size() != count) {
      throw new OutriggerException(
          "The image has "
              + count
              + " channels, but normalisation is for "
              + mean.size()
              + ": set the channels.");
    }
    return bytes;
  }

  /**
   * Normalises images that are in 0 .. 1 already; sizes and channels stay.
   *
   * @param images float32 [N, C, H, W] in 0 .. 1
   * @return (images * 255 * scale - mean) / std, a new tensor of that shape
   */
  public Tensor applyTo(Tensor images) {
    if (images.dim() != 4 || (mean.size() > 1 && images.size(1) != mean.size())) {
      throw new OutriggerException(
          "Images have shape "
              + java.util.Arrays.toString(images.shape())
              + ", but [N, "
              + (mean.size() > 1 ? Integer.toString(mean.size()) : "C")
              + ", H, W] is needed.");
    }
    return Scopes.tensor(
        () -> {
          // The default scale maps bytes to 0 .. 1, where these values are: then nothing to do.
          double factor = Math.abs(scale * 255 - 1) < 1e-9 ? 1 : scale * 255;
          Tensor scaled = factor == 1 ? images.clone() : images.mul(Tensors.number(factor));
          if (mean.isEmpty()) {
            return scaled;
          }
          return scaled.sub_(channelwise(mean)).div_(channelwise(std));
        });
  }

  private static Tensor channelwise(List<Double> values) {
    float[] floats = new float[values.size()];
    for (int i = 0; i < floats.length; i++) {
      floats[i] = values.get(i).floatValue();
    }
    return Tensors.of(floats, 1, floats.length, 1, 1);
  }
}
