package org.outrigger.datasets;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

/**
 * CIFAR-10-C and CIFAR-100-C (Hendrycks and Dietterich, ICLR 2019): one NumPy file a corruption,
 * uint8 [5 N, 32, 32, 3], the N test images at severity 1, then at 2, and so on; labels.npy holds
 * the labels as often. Only the severity asked for is read.
 */
final class CifarCorrupted {
  private static final Pattern PART = Pattern.compile("([a-z_]+)/([1-5])");
  private static final Pattern HEADER =
      Pattern.compile(
          "'descr': '([^']+)'.*'fortran_order': (True|False).*'shape': \\(([\\d, ]+)\\)");

  private CifarCorrupted() {}

  /**
   * @param part a corruption and a severity: {@code fog/3}
   */
  static TensorDataset open(String title, Path folder, String part, List<String> classes) {
    Matcher matcher = PART.matcher(part);
    if (!matcher.matches()) {
      throw new OutriggerException(
          "The part '"
              + part
              + "' of "
              + title
              + " is unknown: name a corruption and a severity from 1 to 5, such as fog/3.");
    }
    String archive = title + ".tar";
    Npy images =
        npy(PublicFiles.find(title, folder, title, matcher.group(1) + ".npy", archive), "|u1");
    Path labelFile = PublicFiles.find(title, folder, title, "labels.npy", archive);
    Npy labels = npy(labelFile, null);
    int severity = Integer.parseInt(matcher.group(2));
    int rows = images.shape[0] / 5;
    if (images.shape.length != 4
        || images.shape[0] % 5 != 0
        || rows == 0
        || images.shape[3] != 3
        || labels.shape.length != 1
        || labels.shape[0] != images.shape[0]) {
      throw new OutriggerException(
          title
              + ": images of shape "
              + Arrays.toString(images.shape)
              + " and labels of shape "
              + Arrays.toString(labels.shape)
              + " do not belong together. Unpack the archive again.");
    }
    ScalarType type =
        switch (labels.type) {
          case "|u1" -> ScalarType.Byte;
          case "<i4" -> ScalarType.Int;
          case "<i8" -> ScalarType.Long;
          default ->
              throw new OutriggerException(
                  labelFile + " holds values of type " + labels.type + ", not labels.");
        };
    int h = images.shape[1];
    int w = images.shape[2];
    int width = type == ScalarType.Byte ? 1 : type == ScalarType.Int ? 4 : 8;
    return Scopes.scoped(
        () -> {
          Tensor x =
              Tensors.of(
                  slice(images, severity - 1, rows * h * w * 3), ScalarType.Byte, rows, h, w, 3);
          Tensor y = Tensors.of(slice(labels, severity - 1, rows * width), type, rows);
          return TensorDataset.builder(x.permute(0, 3, 1, 2).contiguous())
              .labels(y)
              .classNames(classes)
              .scaleBytes(true)
              .name(title + " " + part)
              .build();
        });
  }

  private record Npy(String type, int[] shape, ByteBuffer data) {}

  private static ByteBuffer slice(Npy npy, int index, int bytes) {
    return npy.data.slice(index * bytes, bytes);
  }

  /** Maps a NumPy file and checks that its size is what its header says. */
  private static Npy npy(Path file, @org.jspecify.annotations.Nullable String wanted) {
    ByteBuffer bytes = PublicFiles.map(file).order(ByteOrder.LITTLE_ENDIAN);
    String damaged = file + " is not a NumPy file or is damaged. Unpack the archive again.";
    if (bytes.remaining() < 12
        || bytes.get(0) != (byte) 0x93
        || !StandardCharsets.US_ASCII.decode(bytes.slice(1, 5)).toString().equals("NUMPY")) {
      throw new OutriggerException(damaged);
    }
    int start = bytes.get(6) == 1 ? 10 : 12;
    int length = bytes.get(6) == 1 ? bytes.getShort(8) & 0xffff : bytes.getInt(8);
    if (length < 0 || length > bytes.remaining() - start) {
      throw new OutriggerException(damaged);
    }
    Matcher header = HEADER.matcher(StandardCharsets.ISO_8859_1.decode(bytes.slice(start, length)));
    if (!header.find() || header.group(2).equals("True")) {
      throw new OutriggerException(damaged);
    }
    String type = header.group(1);
    int[] shape =
        Arrays.stream(header.group(3).split(",", -1))
            .map(String::strip)
            .filter(s -> !s.isEmpty())
            .mapToInt(Integer::parseInt)
            .toArray();
    long count = Arrays.stream(shape).asLongStream().reduce(1, Math::multiplyExact);
    int data = start + length;
    long width = Character.digit(type.charAt(type.length() - 1), 10);
    if (width < 1
        || bytes.remaining() - data != count * width
        || (wanted != null && !wanted.equals(type))) {
      throw new OutriggerException(damaged);
    }
    return new Npy(type, shape, bytes.slice(data, bytes.remaining() - data));
  }
}
