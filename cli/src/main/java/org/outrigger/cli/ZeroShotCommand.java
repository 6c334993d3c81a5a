package org.outrigger.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.UnaryOperator;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.Tokenizer;
import org.outrigger.core.data.TokenizerOpener;
import org.outrigger.core.io.AtomicFiles;
import org.outrigger.core.io.StateFiles;
import org.outrigger.core.model.ClassPrompts;
import org.outrigger.core.model.DualEncoder;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.detect.NegatedText;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Makes a classifier of a CLIP and the names of classes. */
@Command(
    name = "zero-shot",
    mixinStandardHelpOptions = true,
    description = {
      "Makes a classifier of a CLIP and the names of classes.",
      "No image is needed: each name is put into several sentences, and the classifier compares"
          + " images with these. Its logits are cosines times CLIP's scale, usually 100."
    },
    footerHeading = "%nExamples:%n",
    footer = {
      "  outrigger zero-shot --clip clip-vit-base-patch32/ --classes cat,dog,horse \\",
      "      --out animals.safetensors",
      "  outrigger guard fit --model animals.safetensors --data animals/ \\",
      "      --detector mcm:tau=100 --out animals.guard",
      "  outrigger zero-shot --clip clip/ --classes names.txt \\",
      "      --no-tower no.safetensors --out animals.safetensors",
      "",
      "The folder holds config.json, model.safetensors and tokenizer.json as Hugging Face has them.",
      "With a --no-tower, which 'outrigger say-no' makes, the detector clipn works."
    })
final class ZeroShotCommand implements Runnable {
  @Spec private CommandSpec spec;

  @Option(
      names = "--clip",
      required = true,
      paramLabel = "DIR",
      description = "A CLIP as Hugging Face saves it.")
  private Path folder;

  @Option(
      names = "--classes",
      required = true,
      paramLabel = "NAME,...",
      description = "The names of the classes, or a text file with one a line.")
  private String classes;

  @Option(
      names = "--template",
      paramLabel = "TEXT",
      description = "A sentence with {} for the name; may be repeated. Ten of photos by default.")
  private List<String> templates = List.of();

  @Option(
      names = "--no-tower",
      paramLabel = "FILE",
      description = "A text tower that says no, for the detector clipn.")
  private @Nullable Path tower;

  @Option(
      names = "--no-template",
      paramLabel = "TEXT",
      description = "What --no-tower reads in place of --template, if it learned from such texts.")
  private List<String> negated = List.of();

  @Option(
      names = "--out",
      required = true,
      paramLabel = "FILE",
      description = "Where the model is saved (.safetensors).")
  private Path out;

  @Mixin private Device device;

  @Override
  public void run() {
    AtomicFiles.check(out);
    List<String> names = names();
    ClassPrompts.checkNames(names);
    if (tower == null && !negated.isEmpty()) {
      throw new OutriggerException("--no-template is for --no-tower FILE: give both or neither.");
    }
    device.apply();
    try (PointerScope scope = new PointerScope();
        Tokenizer tokenizer = TokenizerOpener.find(folder);
        DualEncoder clip = DualEncoder.load(folder)) {
      List<String> sentences = templates.isEmpty() ? ClassPrompts.TEMPLATES : templates;
      Tensor yes = weights(clip::texts, clip, tokenizer, sentences, names);
      Tensor no = null;
      if (tower != null) {
        try (NegatedText says = NegatedText.restored(clip.text(), StateFiles.read(tower))) {
          no =
              weights(says::texts, clip, tokenizer, negated.isEmpty() ? sentences : negated, names);
        }
      }
      try (NeuralModel model = clip.zeroShot(yes, no, names, clip.scale())) {
        model.save(out);
      }
      spec.commandLine()
          .getOut()
          .println(
              names.size()
                  + " classes, "
                  + sentences.size()
                  + " sentences each, scale "
                  + Math.round(clip.scale() * 100) / 100.0
                  + (no == null ? "" : ", with weights that say no")
                  + ": "
                  + out);
    }
  }

  private static Tensor weights(
      UnaryOperator<Tensor> text,
      DualEncoder clip,
      Tokenizer tokenizer,
      List<String> sentences,
      List<String> names) {
    return ClassPrompts.weights(text, tokenizer, clip.text().context(), sentences, names);
  }

  private List<String> names() {
    List<String> names = new ArrayList<>();
    Path file = Path.of(classes);
    try {
      List<String> listed =
          Files.isRegularFile(file)
              ? Files.readAllLines(file)
              : Arrays.asList(classes.split(",", -1));
      listed.stream().map(String::strip).filter(name -> !name.isEmpty()).forEach(names::add);
    } catch (IOException e) {
      throw new OutriggerException(file + " cannot be read as text: " + e.getMessage(), e);
    }
    return names;
  }
}
