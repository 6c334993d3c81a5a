package org.outrigger.guard;

import static org.assertj.core.api.Assertions.assertThat;

import java.awt.image.BufferedImage;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Random;
import javax.imageio.ImageIO;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.JitModule;
import org.bytedeco.pytorch.QualifiedName;
import org.bytedeco.pytorch.global.torch;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.outrigger.core.data.Batch;
import org.outrigger.core.data.Batches;
import org.outrigger.core.data.DataOptions;
import org.outrigger.core.data.ImageFolder;
import org.outrigger.core.data.Preprocessing;
import org.outrigger.core.model.TorchScriptModel;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Torch;
import org.outrigger.detect.Energy;
import org.outrigger.detect.Knn;

/** The Java example of the README: it is this code, and it runs. */
class ReadmeExampleTest {
  @TempDir Path folder;

  // README begins
  static void guard(Path modelFile, Path validation, Path incoming, Path bundle) {
    Preprocessing steps = Preprocessing.none().channels(3).resize(32, 32);
    DataOptions images = DataOptions.defaults().preprocessing(steps);
    try (var model = TorchScriptModel.load(modelFile);
        var guard =
            Guard.of(model)
                .detect(new Energy(), new Knn())
                .accept(0.95)
                .preprocessing(steps)
                .fit(ImageFolder.open(validation, images));
        Batches batches = ImageFolder.open(incoming, images).batches(64)) {
      guard.save(bundle);
      while (batches.hasNext()) {
        try (Batch batch = batches.next()) {
          for (Verdict v : guard.check(batch)) {
            System.out.println(v.unknown() ? v.id() + ": unknown" : v.id() + ": " + v.className());
          }
        }
      }
    }
  }

  // README ends

  @Test
  void theReadmeShowsThisCode() throws IOException {
    Path root = Path.of("").toAbsolutePath().getParent();
    String source =
        Files.readString(Path.of("src/test/java/org/outrigger/guard/ReadmeExampleTest.java"));
    String code =
        source
            .substring(source.indexOf("  // README begins\n"), source.indexOf("  // README ends"))
            .replace("  // README begins\n", "")
            .replaceAll("(?m)^  ", "")
            .strip();

    assertThat(code).startsWith("static void guard(");
    assertThat(Files.readString(root.resolve("README.md"))).contains("```java\n" + code + "\n```");
  }

  @Test
  void theExampleGuardsAFolderOfImages() throws IOException {
    Path modelFile = folder.resolve("colours.pt");
    writeModel(modelFile);
    Path validation = folder.resolve("validation");
    writeImages(validation.resolve("blue"), 150, new int[] {40, 40, 200});
    writeImages(validation.resolve("red"), 150, new int[] {200, 40, 40});
    Path incoming = folder.resolve("incoming");
    writeImages(incoming, 5, new int[] {60, 250, 60});
    Path bundle = folder.resolve("colours.guard");

    guard(modelFile, validation, incoming, bundle);

    try (Guard guard = Guard.load(bundle);
        Batches batches =
            ImageFolder.open(incoming, DataOptions.defaults().preprocessing(guard.preprocessing()))
                .batches(5);
        Batch batch = batches.next()) {
      assertThat(guard.check(batch)).hasSize(5).allMatch(Verdict::unknown);
    }
  }

  /** A scripted program: the mean of each channel, then a linear layer. */
  private static void writeModel(Path file) {
    Torch.start();
    try (PointerScope scope = new PointerScope();
        Rng rng = new Rng(1)) {
      JitModule module = new JitModule(new QualifiedName("__torch__.Colours"));
      module.register_parameter("weight", rng.normal(2, 3), false);
      module.register_parameter("bias", torch.zeros(2), false);
      module.define(
          """
          def forward(self, x):
              return torch.linear(x.mean([2, 3]), self.weight, self.bias)
          """);
      module.save(file.toString());
    }
  }

  private static void writeImages(Path into, int count, int[] colour) throws IOException {
    Files.createDirectories(into);
    Random random = new Random(7);
    for (int i = 0; i < count; i++) {
      BufferedImage image = new BufferedImage(8, 8, BufferedImage.TYPE_INT_RGB);
      for (int pixel = 0; pixel < 64; pixel++) {
        int rgb = 0;
        for (int channel : colour) {
          rgb = rgb << 8 | Math.max(0, Math.min(255, channel + random.nextInt(80) - 40));
        }
        image.setRGB(pixel % 8, pixel / 8, rgb);
      }
      ImageIO.write(image, "png", into.resolve(i + ".png").toFile());
    }
  }
}
