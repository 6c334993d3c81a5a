package org.outrigger.core.data;

import java.awt.image.BufferedImage;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Iterator;
import java.util.Locale;
import java.util.concurrent.atomic.AtomicBoolean;
import javax.imageio.ImageIO;
import javax.imageio.ImageReader;
import javax.imageio.stream.FileImageInputStream;
import org.jspecify.annotations.Nullable;

/** Decodes image files that may be damaged or hostile. */
public final class ImageFiles {
  private ImageFiles() {}

  /**
   * Decodes an image, after its header was found to declare no more than {@code maxPixels}.
   *
   * @throws IOException with the reason in a few words
   */
  public static BufferedImage read(Path file, long maxPixels) throws IOException {
    if (Files.size(file) == 0) {
      throw new IOException("the file is empty");
    }
    try (FileImageInputStream stream = new FileImageInputStream(file.toFile())) {
      Iterator<ImageReader> readers = ImageIO.getImageReaders(stream);
      if (!readers.hasNext()) {
        throw new IOException("it is no image of a known form (PNG, JPEG, GIF, BMP, TIFF)");
      }
      ImageReader reader = readers.next();
      try {
        reader.setInput(stream, true, true);
        return decode(reader, maxPixels);
      } catch (IOException e) {
        throw e;
      } catch (RuntimeException e) {
        // The platform's decoders answer damaged files with exceptions of many kinds.
        throw new IOException("it is damaged (" + e + ")", e);
      } finally {
        reader.dispose();
      }
    }
  }

  private static BufferedImage decode(ImageReader reader, long maxPixels) throws IOException {
    long width = reader.getWidth(0);
    long height = reader.getHeight(0);
    if (width < 1 || height < 1 || width * height > maxPixels) {
      throw new IOException(
          "its header declares "
              + width
              + " x "
              + height
              + " pixels, and at most "
              + maxPixels
              + " are decoded");
    }
    // The JPEG decoder only warns of a file that ends early, and makes up the rest.
    AtomicBoolean cut = new AtomicBoolean();
    reader.addIIOReadWarningListener(
        (source, warning) -> {
          if (warning.toLowerCase(Locale.ROOT).contains("premature end")) {
            cut.set(true);
          }
        });
    @Nullable BufferedImage image;
    try {
      image = reader.read(0);
    } catch (IOException e) {
      throw new IOException("it is damaged (" + e.getMessage() + ")", e);
    }
    if (cut.get() || image == null) {
      throw new IOException("it is damaged (the file ends early)");
    }
    return image;
  }
}
