package org.outrigger.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.awt.image.BufferedImage;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;
import javax.imageio.ImageIO;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.outrigger.core.io.Safetensors;
import org.outrigger.core.io.StateFiles;
import org.outrigger.core.model.DualEncoder;
import org.outrigger.core.torch.Tensors;
import org.outrigger.core.zoo.ClipConfig;
import org.outrigger.detect.NegatedText;

/** From a folder in Hugging Face's layout to a guard, with a tiny CLIP of drawn weights. */
class ZeroShotCommandTest {
  private static final String CONFIG =
      """
      {"model_type": "clip", "projection_dim": 6,
       "text_config": {"hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 1,
         "num_attention_heads": 2, "vocab_size": 31, "max_position_embeddings": 24,
         "eos_token_id": 30},
       "vision_config": {"hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 1,
         "num_attention_heads": 2, "image_size": 28, "patch_size": 14, "num_channels": 1}}
      """;

  @TempDir Path folder;
  private Path clip;

  @BeforeEach
  void write() throws IOException {
    clip = Files.createDirectory(folder.resolve("clip"));
    Files.writeString(clip.resolve("config.json"), CONFIG);
    try (InputStream in = ZeroShotCommandTest.class.getResourceAsStream("tiny-tokenizer.json")) {
      Files.copy(Objects.requireNonNull(in), clip.resolve("tokenizer.json"));
    }
    try (DualEncoder drawn = DualEncoder.create(ClipConfig.read(clip.resolve("config.json")), 1);
        NegatedText negated = NegatedText.of(drawn.text(), 2);
        PointerScope scope = new PointerScope()) {
      Map<String, Tensor> weights = new LinkedHashMap<>(drawn.image().stateDict());
      weights.putAll(drawn.text().stateDict());
      weights.put("logit_scale", Tensors.of(new float[] {4.6052f}));
      Safetensors.write(clip.resolve("model.safetensors"), weights, Map.of());
      negated.parameters().values().forEach(p -> p.detach().neg_());
      StateFiles.write(folder.resolve("no.safetensors"), negated.state());
    }
  }

  @Test
  void namesMakeAModelThatDetectorsAndAGuardWorkOn() {
    Path model = folder.resolve("model.safetensors");
    String names = "T-shirt/top,Trouser,Pullover,Dress,Coat,Sandal,Shirt,Sneaker,Bag,Ankle boot";
    assertThat(
            Shell.run(
                    "zero-shot",
                    "--clip",
                    clip,
                    "--classes",
                    names,
                    "--no-tower",
                    folder.resolve("no.safetensors"),
                    "--out",
                    model)
                .worked()
                .out())
        .contains("10 classes", "scale 100.0", "say no");
    assertThat(Shell.run("inspect", model).worked().out()).contains("clipn");
    Path guard = folder.resolve("g");
    Shell.run(
            "guard",
            "fit",
            "--model",
            model,
            "--data",
            "fashion-mnist",
            "--limit",
            60,
            "--detector",
            "clipn:rule=CTW,clipn,mcm:tau=100,knn:k=3",
            "--out",
            guard)
        .worked();
    Path verdicts = folder.resolve("v.csv");
    Shell.run(
            "guard", "check", "--guard", guard, "--data", "mnist", "--limit", 20, "--out", verdicts)
        .worked();
    assertThat(verdicts).content().contains("unknown");
  }

  private Path pictures(String... captions) throws IOException {
    Path data = Files.createDirectory(folder.resolve("pictures"));
    for (int i = 0; i < captions.length; i++) {
      BufferedImage image = new BufferedImage(28, 28, BufferedImage.TYPE_BYTE_GRAY);
      image.getGraphics().fillRect(i, i, 9, 14);
      ImageIO.write(image, "png", data.resolve(i + ".png").toFile());
      if (!captions[i].isEmpty()) {
        Files.writeString(data.resolve(i + ".txt"), captions[i] + "\n");
      }
    }
    return data;
  }

  private Shell.Result teach(Path data, Path tower) {
    return Shell.run(
        "say-no", "--clip", clip, "--data", data, "--epochs", 3, "--batch-size", 3, "--out", tower);
  }

  @Test
  void aTowerLearnsToSayNoFromImagesWithCaptions() throws IOException {
    Path data = pictures("a cat", "a dog", "a photo of a cat", "a dot", "no dog", "no photo");
    Path tower = folder.resolve("taught.safetensors");
    assertThat(teach(data, tower).worked().out()).contains("6 images, 6 steps", "0.69");
    Path model = folder.resolve("model.safetensors");
    Shell.run(
            "zero-shot",
            "--clip",
            clip,
            "--classes",
            "cat,dog",
            "--no-tower",
            tower,
            "--out",
            model)
        .worked();
    Path again = folder.resolve("again.safetensors");
    teach(data, again).worked();
    assertThat(again).hasSameBinaryContentAs(tower);
  }

  @Test
  void anImageWithoutACaptionIsNamed() throws IOException {
    Path tower = folder.resolve("taught.safetensors");
    teach(pictures("a cat", "", "a dog"), tower).refused("1.txt");
    teach(clip, tower).refused("no images");
    assertThat(tower).doesNotExist();
  }

  @Test
  void aModelWithoutANoTowerHasNoUseForClipn() throws IOException {
    Path model = folder.resolve("model.safetensors");
    Path names = Files.writeString(folder.resolve("names.txt"), "cat\n\ndog\n");
    Shell.run("zero-shot", "--clip", clip, "--classes", names, "--out", model).worked();
    Shell.run(
            "guard",
            "fit",
            "--model",
            model,
            "--data",
            "mnist",
            "--detector",
            "clipn",
            "--out",
            folder.resolve("g"))
        .refused("CLIPN needs class weights that say no");
  }

  @Test
  void badInputIsOneLine() {
    Path out = folder.resolve("m.safetensors");
    Shell.run("zero-shot", "--clip", clip, "--classes", ",", "--out", out).refused("empty");
    Shell.run("zero-shot", "--clip", clip, "--classes", "cat", "--out", out).refused("two or more");
    Shell.run("zero-shot", "--clip", folder, "--classes", "a,b", "--out", out)
        .refused("tokenizer.json");
    Shell.run(
            "zero-shot", "--clip", clip, "--classes", "a,b", "--template", "a photo", "--out", out)
        .refused("{}");
    Shell.run(
            "zero-shot", "--clip", clip, "--classes", "a,b", "--no-template", "no {}", "--out", out)
        .refused("--no-tower");
    assertThat(out).doesNotExist();
  }
}
