package org.outrigger.datasets;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.util.Arrays;
import java.util.HashSet;
import java.util.HexFormat;
import java.util.List;
import java.util.Set;
import java.util.function.Supplier;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.torch.Tensors;

class EmbeddedTest {
  private static byte[] resource(String path) throws IOException {
    try (InputStream in = Resources.class.getResourceAsStream(path)) {
      assertThat(in).as(path).isNotNull();
      return in.readAllBytes();
    }
  }

  @Test
  void everyFileHasItsChecksumAndAllAreUnderEightMegabytes() throws Exception {
    String list = new String(resource("checksums.txt"), StandardCharsets.US_ASCII);
    long total = 0;
    List<String> lines = list.lines().toList();
    assertThat(lines).hasSize(13);
    for (String line : lines) {
      byte[] bytes = resource(line.substring(66));
      total += bytes.length;
      byte[] sum = MessageDigest.getInstance("SHA-256").digest(bytes);
      assertThat(HexFormat.of().formatHex(sum)).as(line).isEqualTo(line.substring(0, 64));
    }
    assertThat(total).isLessThan(8_000_000);
  }

  private static long[] counts(TensorDataset data) {
    long[] counts = new long[data.classNames().size()];
    Arrays.stream(data.labels()).forEach(label -> counts[label]++);
    return counts;
  }

  private static void imagesAreSplitByClass(
      Supplier<TensorDataset> trainPart, Supplier<TensorDataset> testPart) {
    try (PointerScope scope = new PointerScope();
        TensorDataset train = trainPart.get();
        TensorDataset test = testPart.get()) {
      assertThat(train.size()).isEqualTo(8000);
      assertThat(test.size()).isEqualTo(2000);
      assertThat(train.inputShape()).containsExactly(1, 28, 28);
      assertThat(train.classNames()).hasSize(10).isEqualTo(test.classNames());
      long[] a = counts(train);
      long[] b = counts(test);
      for (int c = 0; c < 10; c++) {
        assertThat(Math.abs(a[c] - 4 * b[c])).as("class " + c).isLessThanOrEqualTo(4);
      }
      Tensor x = train.read(new int[] {0, 1, 2, 3}).inputs();
      assertThat(x.min().item_double()).isZero();
      assertThat(x.max().item_double()).isBetween(0.5, 1.0);
      Set<Integer> seen = new HashSet<>();
      byte[] pixels = new byte[784];
      for (TensorDataset part : List.of(train, test)) {
        var bytes = Tensors.bytes(part.inputs());
        for (int i = 0; i < part.size(); i++) {
          bytes.get(pixels);
          seen.add(Arrays.hashCode(pixels));
        }
      }
      // Images are unique; two of 10,000 may share a hash by chance.
      assertThat(seen).hasSizeGreaterThanOrEqualTo(9998);
    }
  }

  @Test
  void mnistIsSplitByClassWithoutDoubles() {
    imagesAreSplitByClass(Mnist::train, Mnist::test);
  }

  @Test
  void fashionMnistIsSplitByClassWithoutDoubles() {
    imagesAreSplitByClass(FashionMnist::train, FashionMnist::test);
    assertThat(FashionMnist.classNames())
        .startsWith("T-shirt/top", "Trouser")
        .endsWith("Ankle boot");
  }

  @Test
  void classesAreWhatTheirNamesSay() {
    try (PointerScope scope = new PointerScope();
        TensorDataset digits = Mnist.test();
        TensorDataset clothes = FashionMnist.test()) {
      // Ones have the least ink, zeros much more; trousers are narrow, bags fill the picture.
      assertThat(ink(digits, 1)).isLessThan(0.6 * ink(digits, 0));
      assertThat(ink(clothes, 5)).isLessThan(ink(clothes, 8));
      assertThat(ink(clothes, 1)).isLessThan(ink(clothes, 2));
      assertThat(ink(clothes, 7)).isLessThan(ink(clothes, 9));
    }
  }

  private static double ink(TensorDataset data, int label) {
    return data.keepClasses(label).read(first(200)).inputs().mean().item_double();
  }

  private static int[] first(int n) {
    return java.util.stream.IntStream.range(0, Math.min(n, 180)).toArray();
  }

  @ParameterizedTest
  @CsvSource({"digits,1797,64,10", "wine,178,13,3", "breast-cancer,569,30,2", "iris,150,4,3"})
  void tablesHaveTheirSizes(String name, int rows, int columns, int classes) {
    try (TensorDataset data = (TensorDataset) DatasetCatalogue.open(name, "all", null)) {
      assertThat(data.size()).isEqualTo(rows);
      assertThat(data.inputShape()).containsExactly(columns);
      assertThat(counts(data)).hasSize(classes).doesNotContain(0);
    }
  }

  @Test
  void theRegressionTableNamesItsColumnsAndHasItsTargetLast() {
    try (PointerScope scope = new PointerScope();
        TensorDataset diabetes = (TensorDataset) DatasetCatalogue.open("diabetes", "all", null)) {
      assertThat(diabetes.size()).isEqualTo(442);
      assertThat(diabetes.labelled()).isFalse();
      assertThat(diabetes.featureColumns()).hasSize(11).startsWith("age").endsWith(Diabetes.TARGET);
      assertThat(Tensors.floats(diabetes.read(new int[] {0}).inputs()))
          .containsExactly(59, 2, 32.1f, 101, 157, 93.2f, 38, 4, 4.8598f, 87, 151);
      assertThat(Diabetes.inputs().shape()).containsExactly(442, 10);
      assertThat(Diabetes.targets().min().item_double()).isEqualTo(25);
      assertThat(Diabetes.targets().max().item_double()).isEqualTo(346);
    }
  }

  @Test
  void tableValuesAreExact() {
    try (PointerScope scope = new PointerScope();
        TensorDataset iris = Iris.all();
        TensorDataset cancer = BreastCancer.all();
        TensorDataset images = Digits.images()) {
      assertThat(Tensors.floats(iris.read(new int[] {0}).inputs()))
          .containsExactly(5.1f, 3.5f, 1.4f, 0.2f);
      assertThat(counts(cancer)).containsExactly(212, 357);
      assertThat(images.inputShape()).containsExactly(1, 8, 8);
      assertThat(Arrays.copyOf(Tensors.floats(images.read(new int[] {0}).inputs()), 4))
          .containsExactly(0f, 0f, 5 / 16f, 13 / 16f);
      assertThat(images.inputs().max().item_double()).isEqualTo(1);
    }
  }
}
