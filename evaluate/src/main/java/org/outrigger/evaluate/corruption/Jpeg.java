package org.outrigger.evaluate.corruption;

import java.awt.image.BufferedImage;
import java.awt.image.WritableRaster;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import javax.imageio.IIOImage;
import javax.imageio.ImageIO;
import javax.imageio.ImageReader;
import javax.imageio.ImageTypeSpecifier;
import javax.imageio.ImageWriteParam;
import javax.imageio.ImageWriter;
import javax.imageio.metadata.IIOMetadata;
import javax.imageio.metadata.IIOMetadataNode;
import javax.imageio.plugins.jpeg.JPEGQTable;
import javax.imageio.stream.MemoryCacheImageInputStream;
import javax.imageio.stream.MemoryCacheImageOutputStream;
import org.outrigger.core.OutriggerException;
import org.w3c.dom.NodeList;

/** JPEG compression as a corruption (Hendrycks and Dietterich, ICLR 2019). */
public final class Jpeg {
  private static final String FORMAT = "javax_imageio_jpeg_image_1.0";

  private Jpeg() {}

  /**
   * Encodes and decodes with the standard tables of that quality and colour at half resolution
   * (4:2:0). The result is in 8-bit steps.
   *
   * @param image values in [0, 1], 1 or 3 channels
   * @param quality 1 to 100, on the scale of the Independent JPEG Group
   */
  public static Image compress(Image image, int quality) {
    if (quality < 1 || quality > 100) {
      throw new OutriggerException("JPEG quality = " + quality + " is out of range: use 1 to 100.");
    }
    boolean colour = image.channels() == 3;
    BufferedImage picture =
        new BufferedImage(
            image.width(),
            image.height(),
            colour ? BufferedImage.TYPE_INT_RGB : BufferedImage.TYPE_BYTE_GRAY);
    WritableRaster raster = picture.getRaster();
    int area = image.area();
    int[] samples = new int[area];
    for (int c = 0; c < image.channels(); c++) {
      for (int i = 0; i < area; i++) {
        samples[i] = (int) Math.rint(Image.clip(image.data()[c * area + i]) * 255);
      }
      raster.setSamples(0, 0, image.width(), image.height(), c, samples);
    }
    try {
      WritableRaster decoded = decode(encode(picture, quality)).getRaster();
      double[] out = new double[image.data().length];
      for (int c = 0; c < image.channels(); c++) {
        decoded.getSamples(0, 0, image.width(), image.height(), c, samples);
        for (int i = 0; i < area; i++) {
          // ImageIO keeps colour in the order blue, green, red but numbers the bands by meaning.
          out[c * area + i] = samples[i] / 255.0;
        }
      }
      return image.with(out);
    } catch (IOException e) {
      throw new OutriggerException("An image could not be compressed as JPEG: " + e, e);
    }
  }

  private static byte[] encode(BufferedImage picture, int quality) throws IOException {
    ImageWriter writer = ImageIO.getImageWritersByFormatName("jpeg").next();
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    try (MemoryCacheImageOutputStream stream = new MemoryCacheImageOutputStream(bytes)) {
      ImageWriteParam param = writer.getDefaultWriteParam();
      IIOMetadata metadata = writer.getDefaultImageMetadata(new ImageTypeSpecifier(picture), param);
      IIOMetadataNode root = (IIOMetadataNode) metadata.getAsTree(FORMAT);
      NodeList tables = root.getElementsByTagName("dqtable");
      for (int i = 0; i < tables.getLength(); i++) {
        IIOMetadataNode node = (IIOMetadataNode) tables.item(i);
        boolean chroma = !node.getAttribute("qtableId").equals("0");
        node.setUserObject(
            table(chroma ? JPEGQTable.K2Chrominance : JPEGQTable.K1Luminance, quality));
      }
      metadata.setFromTree(FORMAT, root);
      writer.setOutput(stream);
      writer.write(null, new IIOImage(picture, null, metadata), param);
    } finally {
      writer.dispose();
    }
    return bytes.toByteArray();
  }

  private static BufferedImage decode(byte[] bytes) throws IOException {
    ImageReader reader = ImageIO.getImageReadersByFormatName("jpeg").next();
    try (MemoryCacheImageInputStream stream =
        new MemoryCacheImageInputStream(new ByteArrayInputStream(bytes))) {
      reader.setInput(stream, true, true);
      return reader.read(0);
    } finally {
      reader.dispose();
    }
  }

  /** The standard table scaled in whole numbers as libjpeg does; ImageIO's own scaling differs. */
  private static JPEGQTable table(JPEGQTable standard, int quality) {
    int scale = quality < 50 ? 5000 / quality : 200 - 2 * quality;
    int[] values = standard.getTable();
    for (int i = 0; i < values.length; i++) {
      values[i] = Math.max(1, Math.min(255, (values[i] * scale + 50) / 100));
    }
    return new JPEGQTable(values);
  }
}
