package org.outrigger.cli;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.stream.Stream;

/** Small models, data and guards that all tests read, made once with the commands themselves. */
final class Samples {
  private static final Path ROOT;

  /** Iris with a header and a column {@code label}. */
  static final Path FLOWERS;

  /** A network that was trained on it. */
  static final Path FLOWER_MODEL;

  /** A guard around that, fitted on all of it. */
  static final Path FLOWER_GUARD;

  /** Pictures of clothes, one folder a class. */
  static final Path CLOTHES;

  /** A network for pictures of that shape. */
  static final Path CLOTHES_MODEL;

  static {
    try {
      ROOT = Files.createTempDirectory("outrigger-cli");
      Runtime.getRuntime().addShutdownHook(new Thread(Samples::delete));
      FLOWERS = ROOT.resolve("iris.csv");
      FLOWER_MODEL = ROOT.resolve("iris.safetensors");
      FLOWER_GUARD = ROOT.resolve("iris.guard");
      CLOTHES = ROOT.resolve("clothes");
      CLOTHES_MODEL = ROOT.resolve("clothes.safetensors");
      Shell.run("datasets", "export", "iris", "--out", FLOWERS).worked();
      Shell.run(
              "train",
              "--data",
              FLOWERS,
              "--label",
              "label",
              "--epochs",
              40,
              "--lr",
              0.01,
              "--arch-setting",
              "hidden=16",
              "--batch-size",
              32,
              "--out",
              FLOWER_MODEL)
          .worked();
      Shell.run(
              "guard",
              "fit",
              "--model",
              FLOWER_MODEL,
              "--data",
              FLOWERS,
              "--label",
              "label",
              "--detector",
              "energy,knn:k=5",
              "--out",
              FLOWER_GUARD)
          .worked();
      Shell.run("datasets", "export", "fashion-mnist", "--limit", 160, "--out", CLOTHES).worked();
      Shell.run(
              "train",
              "--data",
              "fashion-mnist",
              "--limit",
              320,
              "--arch",
              "lenet",
              "--epochs",
              4,
              "--optimiser",
              "adam",
              "--batch-size",
              32,
              "--out",
              CLOTHES_MODEL)
          .worked();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private Samples() {}

  private static void delete() {
    try (Stream<Path> walk = Files.walk(ROOT)) {
      List<Path> all = walk.sorted(Comparator.reverseOrder()).toList();
      for (Path path : all) {
        Files.delete(path);
      }
    } catch (IOException e) {
      // A folder for temporary files keeps what cannot be deleted.
    }
  }
}
