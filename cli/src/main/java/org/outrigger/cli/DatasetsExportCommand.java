package org.outrigger.cli;

import java.awt.image.BufferedImage;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStreamWriter;
import java.io.Writer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.stream.Stream;
import javax.imageio.ImageIO;
import javax.imageio.stream.ImageOutputStream;
import javax.imageio.stream.MemoryCacheImageOutputStream;
import org.bytedeco.javacpp.PointerScope;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.Batch;
import org.outrigger.core.data.Batches;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.io.AtomicFiles;
import org.outrigger.core.torch.Tensors;
import org.outrigger.datasets.DatasetCatalogue;
import org.outrigger.datasets.DatasetEntry;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** Writes an embedded data set as the files that other commands, and other tools, read. */
@Command(
    name = "export",
    mixinStandardHelpOptions = true,
    description = {
      "Writes an embedded data set to files.",
      "Images become one folder of PNG files a class, tables a CSV file with a column 'label', or with"
          + " the names of their columns where they hold numbers alone."
    },
    footerHeading = "%nExamples:%n",
    footer = {
      "  outrigger datasets export fashion-mnist --part test --limit 500 --out clothes/",
      "  outrigger datasets export wine --out wine.csv"
    })
final class DatasetsExportCommand implements Runnable {
  @Spec private CommandSpec spec;

  @Parameters(paramLabel = "NAME", description = "An embedded data set.")
  private String name;

  @Option(
      names = {"--part", "--split"},
      paramLabel = "PART",
      description = "Which part, such as train or test; test by default, if there is one.")
  private @Nullable String part;

  @Option(
      names = "--out",
      required = true,
      paramLabel = "PATH",
      description = "A new folder for images, or a .csv file for a table.")
  private Path out;

  @Option(names = "--limit", paramLabel = "N", description = "Write at most N rows.")
  private int limit;

  @Override
  public void run() {
    DatasetEntry entry = DatasetCatalogue.entry(name);
    if (!entry.embedded()) {
      throw new OutriggerException(
          entry.title() + " is not embedded, so that there is nothing to export.");
    }
    AtomicFiles.check(out);
    IndexedDataset all =
        EmbeddedData.open(part == null ? name : name + ":" + part, "test", List.of());
    IndexedDataset data = limit > 0 ? all.limit(limit) : all;
    try (Progress progress = new Progress("Writing", data.size())) {
      if (data.inputShape().length == 3) {
        AtomicFiles.folder(
            out, DatasetsExportCommand::isEmpty, folder -> images(data, folder, progress));
      } else if (out.toString().toLowerCase(Locale.ROOT).endsWith(".csv")) {
        AtomicFiles.write(
            out,
            stream -> {
              // A PrintWriter would hide why a write failed.
              Writer to = new OutputStreamWriter(stream, StandardCharsets.UTF_8);
              table(data, to, progress);
              to.flush();
            });
      } else {
        throw new OutriggerException(
            entry.title() + " is a table: name a .csv file with --out, not " + out + ".");
      }
    }
    spec.commandLine()
        .getOut()
        .printf(Locale.ROOT, "%,d rows of %s written to %s%n", data.size(), data.name(), out);
  }

  private static boolean isEmpty(Path folder) {
    try (Stream<Path> children = Files.list(folder)) {
      return children.findAny().isEmpty();
    } catch (IOException e) {
      return false;
    }
  }

  private static void images(IndexedDataset data, Path folder, Progress progress)
      throws IOException {
    List<String> classes = EmbeddedData.folderNames(data.classNames());
    for (String each : classes) {
      Files.createDirectory(folder.resolve(each));
    }
    int row = 0;
    try (Batches batches = data.batches(256)) {
      while (batches.hasNext()) {
        try (PointerScope scope = new PointerScope();
            Batch batch = batches.next()) {
          float[] pixels = Tensors.floats(batch.inputs());
          int height = Math.toIntExact(batch.inputs().size(2));
          int width = Math.toIntExact(batch.inputs().size(3));
          for (int i = 0; i < batch.size(); i++, row++) {
            BufferedImage image = new BufferedImage(width, height, BufferedImage.TYPE_BYTE_GRAY);
            for (int p = 0; p < height * width; p++) {
              int grey = Math.round(255 * pixels[i * height * width + p]);
              image.getRaster().setSample(p % width, p / width, 0, grey);
            }
            Path file =
                folder
                    .resolve(classes.get(data.label(row)))
                    .resolve(String.format(Locale.ROOT, "%05d.png", row));
            // Packed in memory: ImageIO's own way to a file hides why it failed.
            ByteArrayOutputStream bytes = new ByteArrayOutputStream();
            try (ImageOutputStream packed = new MemoryCacheImageOutputStream(bytes)) {
              ImageIO.write(image, "png", packed);
            }
            Files.write(file, bytes.toByteArray());
          }
        }
        progress.to(row);
      }
    }
  }

  private static void table(IndexedDataset data, Writer to, Progress progress) throws IOException {
    long columns = data.inputShape()[0];
    StringBuilder line = new StringBuilder();
    if (data.labelled()) {
      for (int c = 1; c <= columns; c++) {
        line.append('x').append(c).append(',');
      }
      line.append("label");
    } else {
      line.append(String.join(",", data.featureColumns()));
    }
    to.append(line).append('\n');
    int row = 0;
    try (Batches batches = data.batches(256)) {
      while (batches.hasNext()) {
        try (PointerScope scope = new PointerScope();
            Batch batch = batches.next()) {
          float[] values = Tensors.floats(batch.inputs());
          for (int i = 0; i < batch.size(); i++, row++) {
            line.setLength(0);
            for (int c = 0; c < columns; c++) {
              line.append(c == 0 ? "" : ",").append(values[(int) (i * columns + c)]);
            }
            if (data.labelled()) {
              line.append(',').append(data.classNames().get(data.label(row)));
            }
            to.append(line).append('\n');
          }
        }
        progress.to(row);
      }
    }
  }
}
