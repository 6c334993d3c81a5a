package org.outrigger.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.DataOptions;
import org.outrigger.core.data.ImageFolder;
import org.outrigger.core.data.Preprocessing;
import org.outrigger.core.data.Tokenizer;
import org.outrigger.core.data.TokenizerOpener;
import org.outrigger.core.io.AtomicFiles;
import org.outrigger.core.io.StateFiles;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.model.DualEncoder;
import org.outrigger.detect.ClipnTraining;
import org.outrigger.detect.ClipnTraining.Losses;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Teaches a copy of CLIP's text tower to say no. */
@Command(
    name = "say-no",
    mixinStandardHelpOptions = true,
    description = {
      "Teaches a copy of CLIP's text tower to say no, from images with captions (CLIPN).",
      "CLIP itself stays as it is. A caption is a text file beside its image, of the same name."
    },
    footerHeading = "%nExamples:%n",
    footer = {
      "  outrigger say-no --clip clip-vit-base-patch32/ --data captioned/ \\",
      "      --out no.safetensors",
      "  outrigger zero-shot --clip clip-vit-base-patch32/ --classes cat,dog \\",
      "      --no-tower no.safetensors --out animals.safetensors",
      "",
      "Images are prepared as the folder's preprocessor_config.json says. Of images with the same",
      "caption in a batch one is used."
    })
final class SayNoCommand implements Runnable {
  @Spec private CommandSpec spec;

  @Option(
      names = "--clip",
      required = true,
      paramLabel = "DIR",
      description = "A CLIP as Hugging Face saves it.")
  private Path folder;

  @Option(
      names = "--data",
      required = true,
      paramLabel = "DIR",
      description = "Images, each NAME.jpg (or .png, ...) with its caption in NAME.txt.")
  private Path data;

  @Option(
      names = "--epochs",
      paramLabel = "N",
      defaultValue = "10",
      description = "Walks over the data; ${DEFAULT-VALUE} by default.")
  private int epochs;

  @Option(
      names = "--batch-size",
      paramLabel = "N",
      defaultValue = "256",
      description = "Images a step; ${DEFAULT-VALUE} by default, 2048 in the paper.")
  private int batchSize;

  @Option(
      names = "--lr",
      paramLabel = "RATE",
      defaultValue = "3e-4",
      description = "Learning rate at the start; ${DEFAULT-VALUE} by default.")
  private double rate;

  @Option(
      names = "--seed",
      paramLabel = "N",
      defaultValue = "0",
      description = "Seed of all draws; ${DEFAULT-VALUE} by default.")
  private long seed;

  @Option(
      names = "--out",
      required = true,
      paramLabel = "FILE",
      description = "Where the tower is saved (.safetensors).")
  private Path out;

  @Mixin private Device device;

  @Override
  public void run() {
    AtomicFiles.check(out);
    HyperParameter.atLeast("epochs", epochs, 1);
    HyperParameter.atLeast("batch-size", batchSize, 2);
    device.apply();
    try (PointerScope scope = new PointerScope();
        DualEncoder clip = DualEncoder.load(folder);
        Tokenizer tokenizer = TokenizerOpener.find(folder)) {
      ImageFolder images =
          ImageFolder.open(data, DataOptions.defaults().preprocessing(preprocessing()));
      Tensor tokens = tokenizer.encode(captions(images), clip.text().context());
      ClipnTraining.Settings settings =
          ClipnTraining.Settings.defaults()
              .withLearningRate(rate)
              .withSeed(seed)
              .withSteps(epochs * Math.max(1, images.size() / batchSize));
      List<Losses> ends = new ArrayList<>();
      try (ClipnTraining training = new ClipnTraining(clip, settings);
          Progress progress = new Progress("Training", settings.steps())) {
        training.fit(
            images,
            tokens,
            batchSize,
            losses -> {
              progress.to(losses.step() + 1);
              if (losses.step() == 0 || losses.step() == settings.steps() - 1) {
                ends.add(losses);
              }
            });
        StateFiles.write(out, training.negated().state());
      }
      print(images.size(), settings.steps(), ends);
    }
  }

  private @Nullable Preprocessing preprocessing() {
    Path file = folder.resolve("preprocessor_config.json");
    return Files.exists(file) ? Preprocessing.read(file) : null;
  }

  private static List<String> captions(ImageFolder images) {
    List<String> captions = new ArrayList<>();
    for (Path image : images.files()) {
      Path caption =
          image.resolveSibling(image.getFileName().toString().replaceFirst("\\.[^.]+$", ".txt"));
      try {
        captions.add(Files.readString(caption).strip());
      } catch (IOException e) {
        throw new OutriggerException(
            "The caption of " + image + " cannot be read: write it into " + caption + ".", e);
      }
    }
    return captions;
  }

  private void print(long images, long steps, List<Losses> ends) {
    Losses first = ends.get(0);
    Losses last = ends.get(ends.size() - 1);
    spec.commandLine()
        .getOut()
        .printf(
            Locale.ROOT,
            "%d images, %d steps%n"
                + "loss: own image not denied     %.4f -> %.4f%n"
                + "loss: other images denied      %.4f -> %.4f%n"
                + "loss: both towers disagree     %.4f -> %.4f%n"
                + "saved                          %s%n",
            images,
            steps,
            first.yes(),
            last.yes(),
            first.no(),
            last.no(),
            first.opposite(),
            last.opposite(),
            out);
  }
}
