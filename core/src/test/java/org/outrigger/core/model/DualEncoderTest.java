package org.outrigger.core.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.ScalarTypeOptional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptional;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.Tokenizer;
import org.outrigger.core.io.Safetensors;
import org.outrigger.core.method.Need;
import org.outrigger.core.nn.ForwardContext;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Tensors;
import org.outrigger.core.torch.Torch;
import org.outrigger.core.zoo.ZeroShotNetwork;

class DualEncoderTest {
  private static final int LEGACY = 2;

  @TempDir Path folder;
  private PointerScope scope;
  private Map<String, Tensor> weights;
  private DualEncoder clip;

  @BeforeEach
  void open() throws IOException {
    Torch.start();
    scope = new PointerScope();
    weights = TinyClip.weights();
    clip = DualEncoder.load(TinyClip.write(folder, TinyClip.END));
  }

  @AfterEach
  void close() {
    clip.close();
    scope.close();
  }

  private static Tensor tokens(long... row) {
    return Tensors.of(row, 1, row.length);
  }

  private static Tensor images(int rows) {
    try (Rng rng = new Rng(1)) {
      return rng.normal(rows, 3, 8, 8);
    }
  }

  private Tensor weight(String name) {
    Tensor weight = weights.get(name);
    assertThat(weight).as(name).isNotNull();
    return weight;
  }

  private Tensor linear(Tensor x, String path) {
    return torch.matmul(x, weight(path + ".weight").t()).add(weight(path + ".bias"));
  }

  private Tensor norm(Tensor x, String path) {
    Tensor centred = x.sub(x.mean(new long[] {-1}, true, new ScalarTypeOptional()));
    Tensor variance = centred.square().mean(new long[] {-1}, true, new ScalarTypeOptional());
    return centred
        .div(variance.add(new Scalar(1e-5)).sqrt())
        .mul(weight(path + ".weight"))
        .add(weight(path + ".bias"));
  }

  /** A block written out, over one sequence [L, W]. */
  private Tensor block(Tensor x, String path, int heads, boolean causal) {
    Tensor normed = norm(x, path + "layer_norm1");
    TensorVector mixed = new TensorVector();
    long size = x.size(1) / heads;
    for (int h = 0; h < heads; h++) {
      Tensor q = linear(normed, path + "self_attn.q_proj").narrow(1, h * size, size);
      Tensor k = linear(normed, path + "self_attn.k_proj").narrow(1, h * size, size);
      Tensor v = linear(normed, path + "self_attn.v_proj").narrow(1, h * size, size);
      Tensor scores = torch.matmul(q, k.t()).div(new Scalar(Math.sqrt((double) size)));
      if (causal) {
        Tensor ahead = torch.ones_like(scores).triu(1).to(ScalarType.Bool);
        scores = scores.masked_fill(ahead, new Scalar(Double.NEGATIVE_INFINITY));
      }
      mixed.push_back(torch.matmul(torch.softmax(scores, -1), v));
    }
    Tensor middle = x.add(linear(torch.cat(mixed, 1), path + "self_attn.out_proj"));
    Tensor hidden = linear(norm(middle, path + "layer_norm2"), path + "mlp.fc1");
    Tensor quick = hidden.mul(hidden.mul(new Scalar(1.702)).sigmoid());
    return middle.add(linear(quick, path + "mlp.fc2"));
  }

  private static double[] unit(Tensor row) {
    return Tensors.doubles(row.div(row.norm()));
  }

  @Test
  void aTextIsEncodedAsCheckpointsMeanIt() {
    long[] ids = {TinyClip.START, 4, 17, TinyClip.END, 9};
    Tensor x =
        weight("text_model.embeddings.token_embedding.weight")
            .index_select(0, Tensors.of(ids, ids.length))
            .add(weight("text_model.embeddings.position_embedding.weight").narrow(0, 0, 5));
    x = block(x, "text_model.encoder.layers.0.", 2, true);
    x = block(x, "text_model.encoder.layers.1.", 2, true);
    Tensor end = norm(x, "text_model.final_layer_norm").select(0, 3);
    Tensor expected = torch.matmul(weight("text_projection.weight"), end);
    assertThat(Tensors.doubles(clip.texts(tokens(ids))))
        .containsExactly(unit(expected), within(1e-5));
  }

  @Test
  void anImageIsEncodedAsCheckpointsMeanIt() {
    Tensor image = images(1);
    Tensor patches =
        torch
            .conv2d(
                image,
                weight("vision_model.embeddings.patch_embedding.weight"),
                new TensorOptional(),
                new long[] {4, 4},
                new long[] {0, 0},
                new long[] {1, 1},
                1)
            .flatten(2, -1)
            .squeeze(0)
            .t();
    Tensor x =
        torch
            .cat(
                new TensorVector(
                    weight("vision_model.embeddings.class_embedding").unsqueeze(0), patches),
                0)
            .add(weight("vision_model.embeddings.position_embedding.weight"));
    x = block(norm(x, "vision_model.pre_layrnorm"), "vision_model.encoder.layers.0.", 3, false);
    Tensor pooled = norm(x.narrow(0, 0, 1), "vision_model.post_layernorm").squeeze(0);
    Tensor expected = torch.matmul(weight("visual_projection.weight"), pooled);
    assertThat(Tensors.doubles(clip.images(image))).containsExactly(unit(expected), within(1e-5));
  }

  @Test
  void whatFollowsTheEndOfATextChangesNothing() {
    double[] text = Tensors.doubles(clip.texts(tokens(TinyClip.START, 4, 17, TinyClip.END)));
    assertThat(Tensors.doubles(clip.texts(tokens(TinyClip.START, 4, 17, TinyClip.END, 3, 30, 8))))
        .containsExactly(text, within(1e-6));
    assertThat(Tensors.doubles(clip.texts(tokens(TinyClip.START, 4, 16, TinyClip.END))))
        .isNotEqualTo(text);
  }

  @Test
  void oldConfigurationsMeanTheLargestToken() throws IOException {
    Tensor text = tokens(TinyClip.START, 4, 17, TinyClip.END, TinyClip.END);
    try (DualEncoder old = DualEncoder.load(TinyClip.write(folder, LEGACY))) {
      assertThat(Tensors.doubles(old.texts(text))).isEqualTo(Tensors.doubles(clip.texts(text)));
    }
  }

  @Test
  void aTermIsAddedToTheEmbeddedTokens() {
    Tensor text = tokens(TinyClip.START, 4, TinyClip.END);
    Tensor none = torch.zeros(new long[] {10, 8}, new TensorOptions(ScalarType.Float));
    Tensor plain = clip.text().forward(text);
    assertThat(Tensors.doubles(clip.text().forward(text, none, ForwardContext.AS_IS)))
        .isEqualTo(Tensors.doubles(plain));
    none.select(0, 1).fill_(new Scalar(0.5));
    assertThat(Tensors.doubles(clip.text().forward(text, none, ForwardContext.AS_IS)))
        .isNotEqualTo(Tensors.doubles(plain));
  }

  @Test
  void wrongTokensAndImagesAreRefused() {
    assertThatThrownBy(() -> clip.texts(tokens(TinyClip.START, 31, TinyClip.END)))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("0 to 30");
    assertThatThrownBy(() -> clip.texts(tokens(TinyClip.START, 4, 5)))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("end-of-text");
    assertThatThrownBy(() -> clip.texts(tokens(new long[11])))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("1 to 10");
    assertThatThrownBy(() -> clip.images(torch.zeros(1, 3, 9, 9)))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("[N, 3, 8, 8]");
  }

  @Test
  void aDamagedFolderSaysWhatIsWrong() throws IOException {
    Map<String, Tensor> other = new LinkedHashMap<>(weights);
    Path file = folder.resolve("model.safetensors");
    other.remove("text_model.encoder.layers.1.self_attn.q_proj.bias");
    Safetensors.write(file, other, Map.of());
    assertThatThrownBy(() -> DualEncoder.load(folder))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("missing: text_model.encoder.layers.1.self_attn.q_proj.bias");
    other.putAll(weights);
    other.put("classifier.weight", weight("text_projection.weight"));
    Safetensors.write(file, other, Map.of());
    assertThatThrownBy(() -> DualEncoder.load(folder)).hasMessageContaining("classifier.weight");
    Files.delete(file);
    assertThatThrownBy(() -> DualEncoder.load(folder)).hasMessageContaining("one file");
    Files.writeString(folder.resolve("config.json"), "{\"model_type\": \"bert\"}");
    assertThatThrownBy(() -> DualEncoder.load(folder)).hasMessageContaining("'bert'");
  }

  private Tensor directions(int seed, int rows) {
    try (Rng rng = new Rng(seed)) {
      return ZeroShotNetwork.unit(rng.normal(rows, 6));
    }
  }

  @Test
  void aZeroShotModelGivesScaledCosinesAndSurvivesAFile() {
    Tensor yes = directions(1, 3);
    Tensor no = directions(2, 3);
    Tensor inputs = images(5);
    Tensor embedded = clip.images(inputs);
    Path file = folder.resolve("zero.safetensors");
    double[] logits;
    try (NeuralModel model = clip.zeroShot(yes, no, List.of("a", "b", "c"), clip.scale())) {
      assertThat(model.offers()).contains(Need.LINEAR_HEAD, Need.NEGATED_HEAD, Need.FEATURES);
      Output output = model.predict(inputs);
      logits = Tensors.doubles(output.logits());
      assertThat(Tensors.doubles(output.features())).isEqualTo(Tensors.doubles(embedded));
      assertThat(logits)
          .containsExactly(
              Tensors.doubles(torch.matmul(embedded, yes.t()).mul(new Scalar(100.0))),
              within(1e-3));
      model.save(file);
    }
    try (Model opened = ModelFiles.open(file)) {
      assertThat(((NeuralModel) opened).classNames()).containsExactly("a", "b", "c");
      assertThat(Tensors.doubles(opened.predict(inputs).logits())).isEqualTo(logits);
      LinearHead negated = opened.as(Capabilities.HasNegatedHead.class).orElseThrow().negatedHead();
      assertThat(Tensors.doubles(negated.weight().div(new Scalar(100.0))))
          .containsExactly(Tensors.doubles(no), within(1e-5));
    }
    try (NeuralModel plain = clip.zeroShot(yes, null, List.of("a", "b", "c"), 1)) {
      assertThat(plain.offers()).doesNotContain(Need.NEGATED_HEAD);
      assertThat(plain.as(Capabilities.HasNegatedHead.class)).isEmpty();
    }
  }

  @Test
  void classWeightsThatCannotBeAreRefused() {
    Tensor yes = directions(1, 3);
    List<String> names = List.of("a", "b", "c");
    assertThatThrownBy(() -> clip.zeroShot(yes, directions(2, 4), names, 1))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("where C = 3");
    assertThatThrownBy(() -> clip.zeroShot(yes.mul(new Scalar(2.0)), null, names, 1))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("unit length");
    assertThatThrownBy(() -> clip.zeroShot(directions(1, 1), null, List.of("a"), 1))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("at least two classes");
    assertThatThrownBy(() -> clip.zeroShot(yes, null, List.of("a", "b"), 1))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("2 class names for 3");
  }

  /** Letters are tokens. */
  private static final class Letters implements Tokenizer {
    @Override
    public Tensor encode(List<String> texts, int context) {
      long[] tokens = new long[texts.size() * context];
      Arrays.fill(tokens, TinyClip.END);
      for (int i = 0; i < texts.size(); i++) {
        tokens[i * context] = TinyClip.START;
        for (int k = 0; k < Math.min(texts.get(i).length(), context - 2); k++) {
          tokens[i * context + k + 1] = texts.get(i).charAt(k) % 29;
        }
      }
      return Tensors.of(tokens, texts.size(), context);
    }

    @Override
    public void close() {}
  }

  @Test
  void namesBecomeTheMeanDirectionOfTheirSentences() {
    List<String> names = List.of("cat", "dog");
    try (Letters letters = new Letters()) {
      Tensor both =
          ClassPrompts.weights(clip::texts, letters, 10, List.of("a {}.", "no {}"), names);
      Tensor first = clip.texts(letters.encode(List.of("a cat.", "a dog."), 10));
      Tensor second = clip.texts(letters.encode(List.of("no cat", "no dog"), 10));
      assertThat(Tensors.doubles(both))
          .containsExactly(Tensors.doubles(ZeroShotNetwork.unit(first.add(second))), within(1e-6));
      assertThat(ClassPrompts.NEGATED).hasSameSizeAs(ClassPrompts.TEMPLATES);
      for (List<String> bad :
          List.of(List.<String>of(), List.of("cat"), List.of("cat", " "), List.of("cat", "cat"))) {
        assertThatThrownBy(
                () -> ClassPrompts.weights(clip::texts, letters, 10, ClassPrompts.TEMPLATES, bad))
            .isInstanceOf(OutriggerException.class);
      }
      assertThatThrownBy(
              () -> ClassPrompts.weights(clip::texts, letters, 10, List.of("a photo"), names))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("{}");
    }
  }
}
