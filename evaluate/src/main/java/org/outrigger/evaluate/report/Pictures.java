package org.outrigger.evaluate.report;

import java.awt.image.BufferedImage;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.Base64;
import javax.imageio.ImageIO;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.torch.Shapes;
import org.outrigger.core.torch.Tensors;

/** Pictures from tensors, as data that a page can hold. */
public final class Pictures {
  private Pictures() {}

  /**
   * A PNG as a {@code data:} address.
   *
   * @param image [C, H, W] with C = 1 or 3, values in [0, 1] (others are clipped)
   */
  public static String dataUri(Tensor image) {
    Shapes.check().tensor("The picture", image, "C", "H", "W");
    int channels = Math.toIntExact(image.size(0));
    int height = Math.toIntExact(image.size(1));
    int width = Math.toIntExact(image.size(2));
    float[] values = Tensors.floats(image);
    int plane = height * width;
    BufferedImage picture = new BufferedImage(width, height, BufferedImage.TYPE_INT_RGB);
    for (int i = 0; i < plane; i++) {
      int rgb = 0;
      for (int c = 0; c < 3; c++) {
        float value = values[(channels >= 3 ? c : 0) * plane + i];
        rgb = rgb << 8 | Math.round(255 * Math.max(0, Math.min(1, value)));
      }
      picture.setRGB(i % width, i / width, rgb);
    }
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    try {
      ImageIO.write(picture, "png", bytes);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return "data:image/png;base64," + Base64.getEncoder().encodeToString(bytes.toByteArray());
  }
}
