package org.outrigger.core.data;

import java.awt.image.BufferedImage;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.FileVisitOption;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Tensors;

/**
 * Images in a folder: one sub-folder a class, named as the class, or a flat folder of unlabelled
 * images. Sub-folders are searched to any depth; hidden files and files that are no images are left
 * out. Rows are sorted by class name, then by path; their ids are paths from the folder.
 *
 * <p>PNG, JPEG, GIF (first frame), BMP and TIFF are decoded by the Java platform. As in Pillow, the
 * orientation that a camera notes in EXIF is not applied.
 *
 * <p>All images must come out with the same size: images without a {@link Preprocessing} that fixes
 * it must be as large as the first, others are skipped. Without chosen channels, images are RGB,
 * unless the first ones are all grey.
 */
public final class ImageFolder implements IndexedDataset {
  private static final List<String> SUFFIXES =
      List.of(".png", ".jpg", ".jpeg", ".gif", ".bmp", ".tif", ".tiff", ".webp");
  private static final int PROBED = 16;

  private final Path folder;
  private final List<Path> files;
  private final int[] labels;
  private final boolean labelled;
  private final List<String> classNames;
  private final Preprocessing preprocessing;
  private final long maxPixels;
  private final long[] shape;

  private ImageFolder(Path folder, DataOptions options) {
    this.folder = folder;
    this.maxPixels = options.maxPixels();
    Map<String, List<Path>> classes = new TreeMap<>();
    List<Path> flat = new ArrayList<>();
    for (Path child : children(folder)) {
      if (Files.isDirectory(child)) {
        List<Path> found = images(child);
        if (!found.isEmpty()) {
          classes.put(child.getFileName().toString(), found);
        }
      } else if (isImage(child)) {
        flat.add(child);
      }
    }
    labelled = !classes.isEmpty();
    if (!labelled && flat.isEmpty()) {
      throw new OutriggerException(
          folder
              + " holds no images. Put PNG or JPEG files into it, or into one sub-folder a class.");
    }
    if (labelled && !flat.isEmpty()) {
      throw new OutriggerException(
          folder
              + " holds images, such as "
              + flat.get(0).getFileName()
              + ", beside sub-folders with images: either all images lie in one sub-folder a class,"
              + " or none does.");
    }
    if (!labelled) {
      classes.put("", flat);
    }
    List<String> found = labelled ? List.copyOf(classes.keySet()) : List.of();
    classNames = options.classNames().isEmpty() || !labelled ? found : options.classNames();
    List<Path> all = new ArrayList<>();
    List<Integer> allLabels = new ArrayList<>();
    classes.forEach(
        (name, members) -> {
          all.addAll(members);
          members.forEach(m -> allLabels.add(classNames.indexOf(name)));
        });
    int count = options.limit() > 0 ? Math.min(options.limit(), all.size()) : all.size();
    files = List.copyOf(all.subList(0, count));
    labels = allLabels.subList(0, count).stream().mapToInt(Integer::intValue).toArray();
    Preprocessing wanted =
        options.preprocessing() == null ? Preprocessing.none() : options.preprocessing();
    preprocessing = wanted.channels() > 0 ? wanted : wanted.channels(channels());
    shape = probeShape();
  }

  /** Opens a folder: images as they are, bytes scaled to 0 .. 1. */
  public static ImageFolder open(Path folder) {
    return open(folder, DataOptions.defaults());
  }

  /**
   * Opens a folder.
   *
   * @throws OutriggerException if it does not exist, holds no image, or none that can be read
   */
  public static ImageFolder open(Path folder, DataOptions options) {
    if (!Files.isDirectory(folder)) {
      throw new OutriggerException("There is no folder " + folder + ".");
    }
    return new ImageFolder(folder, options);
  }

  private static List<Path> children(Path folder) {
    try (Stream<Path> list = Files.list(folder)) {
      return list.filter(p -> !isHidden(p)).sorted().toList();
    } catch (IOException | UncheckedIOException e) {
      throw unreadable(folder, e);
    }
  }

  private static List<Path> images(Path folder) {
    try (Stream<Path> walk = Files.walk(folder, FileVisitOption.FOLLOW_LINKS)) {
      return walk.filter(p -> isImage(p) && !hasHiddenPart(folder.relativize(p)))
          .filter(Files::isRegularFile)
          .sorted()
          .toList();
    } catch (IOException | UncheckedIOException e) {
      throw unreadable(folder, e);
    }
  }

  private static OutriggerException unreadable(Path folder, Exception e) {
    return new OutriggerException("The folder " + folder + " cannot be listed: " + e + ".", e);
  }

  private static boolean isHidden(Path path) {
    return path.getFileName().toString().startsWith(".");
  }

  private static boolean hasHiddenPart(Path relative) {
    for (Path part : relative) {
      if (part.toString().startsWith(".")) {
        return true;
      }
    }
    return false;
  }

  private static boolean isImage(Path file) {
    String name = file.getFileName().toString().toLowerCase(Locale.ROOT);
    return SUFFIXES.stream().anyMatch(name::endsWith);
  }

  private int channels() {
    boolean seen = false;
    for (int row = 0; row < Math.min(PROBED, files.size()); row++) {
      try {
        if (ImageBytes.of(decode(row), 0).channels() == 3) {
          return 3;
        }
        seen = true;
      } catch (UnreadableRow e) {
        // It will be reported when a walk comes to it.
        continue;
      }
    }
    return seen ? 1 : 3;
  }

  private long[] probeShape() {
    UnreadableRow first = null;
    for (int row = 0; row < files.size(); row++) {
      try {
        ImageBytes bytes = prepare(row);
        return new long[] {bytes.channels(), bytes.height(), bytes.width()};
      } catch (UnreadableRow e) {
        first = first == null ? e : first;
      }
    }
    throw new OutriggerException(
        "None of the "
            + files.size()
            + " images in "
            + folder
            + " can be read. The first: "
            + (first == null ? "" : first.getMessage()),
        first);
  }

  private BufferedImage decode(int row) {
    try {
      return ImageFiles.read(files.get(row), maxPixels);
    } catch (IOException e) {
      throw new UnreadableRow(id(row), String.valueOf(e.getMessage()), e);
    }
  }

  private ImageBytes prepare(int row) {
    BufferedImage image = decode(row);
    try {
      return preprocessing.bytes(image);
    } catch (OutriggerException e) {
      throw new UnreadableRow(id(row), e.firstLine().replaceAll("\\.$", ""), e);
    }
  }

  private String id(int row) {
    return folder.relativize(files.get(row)).toString().replace('\\', '/');
  }

  @Override
  public String name() {
    Path name = folder.toAbsolutePath().normalize().getFileName();
    return name == null ? folder.toString() : name.toString();
  }

  @Override
  public long size() {
    return files.size();
  }

  @Override
  public List<String> classNames() {
    return classNames;
  }

  @Override
  public boolean labelled() {
    return labelled;
  }

  @Override
  public long[] inputShape() {
    return shape.clone();
  }

  @Override
  public int label(int row) {
    return labelled ? labels[row] : -1;
  }

  /** The folder that the ids of the rows are relative to. */
  public Path root() {
    return folder;
  }

  /** The image files, by row. */
  public Collection<Path> files() {
    return files;
  }

  /** How images are prepared, with the channels that were chosen. */
  public Preprocessing preprocessing() {
    return preprocessing;
  }

  @Override
  public Batch read(int[] rows) {
    int one = Math.toIntExact(shape[0] * shape[1] * shape[2]);
    float[] values = new float[Math.multiplyExact(rows.length, one)];
    for (int i = 0; i < rows.length; i++) {
      ImageBytes bytes = prepare(rows[i]);
      if (bytes.height() != shape[1] || bytes.width() != shape[2]) {
        throw new UnreadableRow(
            id(rows[i]),
            "it is "
                + bytes.width()
                + " x "
                + bytes.height()
                + " pixels, but the first image "
                + shape[2]
                + " x "
                + shape[1]
                + ": set a size to resize to");
      }
      float[] planes =
          bytes.planes(preprocessing.scale(), preprocessing.mean(), preprocessing.std());
      System.arraycopy(planes, 0, values, i * one, one);
    }
    return new Batch(
        Tensors.of(values, rows.length, shape[0], shape[1], shape[2]),
        labelled ? Tensors.labels(Arrays.stream(rows).map(this::label).toArray()) : null,
        Arrays.stream(rows).mapToObj(this::id).toList(),
        List.of());
  }
}
