package org.outrigger.core.io;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.outrigger.core.OutriggerException;

class BundleTest {
  @TempDir Path folder;
  private Path target;

  @BeforeEach
  void write() {
    target = folder.resolve("net.guard");
    write("first");
  }

  private void write(String text) {
    Bundle.write(
        target,
        "guard",
        Map.of("rate", 0.95, "names", List.of("a")),
        List.of(
            new Bundle.PartWriter("model.txt", file -> Files.writeString(file, text)),
            new Bundle.PartWriter("deep/er/state.txt", file -> Files.writeString(file, "s"))));
  }

  @Test
  void whatWasWrittenIsThereAgain() throws IOException {
    Bundle bundle = Bundle.open(target).expect("guard");
    assertThat(Files.readString(bundle.part("model.txt"))).isEqualTo("first");
    assertThat(bundle.parts()).containsExactly("model.txt", "deep/er/state.txt");
    assertThat(bundle.info()).containsEntry("rate", 0.95).containsEntry("names", List.of("a"));
    assertThat(bundle.created()).matches("\\d{4}-\\d\\d-\\d\\dT.*Z");
    assertThatThrownBy(() -> bundle.expect("model")).hasMessageContaining("holds a saved guard");
    assertThatThrownBy(() -> bundle.part("none")).hasMessageContaining("'none'");
    onlyTheBundleIsThere();
  }

  @Test
  void anOldBundleGivesWayToANewOne() throws IOException {
    write("second");
    assertThat(Files.readString(Bundle.open(target).part("model.txt"))).isEqualTo("second");
    onlyTheBundleIsThere();
  }

  @Test
  void aWriterThatFailsLeavesTheOldBundleAndNothingElse() throws IOException {
    assertThatThrownBy(
            () ->
                Bundle.write(
                    target,
                    "guard",
                    Map.of(),
                    List.of(
                        new Bundle.PartWriter("a", file -> Files.writeString(file, "a")),
                        new Bundle.PartWriter(
                            "b",
                            file -> {
                              throw new IOException("No space left on device");
                            }))))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("the disk is full");
    assertThat(Files.readString(Bundle.open(target).part("model.txt"))).isEqualTo("first");
    onlyTheBundleIsThere();
  }

  private void onlyTheBundleIsThere() throws IOException {
    try (Stream<Path> list = Files.list(folder)) {
      assertThat(list).containsExactly(target);
    }
  }

  @Test
  void aFolderThatIsNoBundleIsNotOverwrittenUnlessAsked() throws IOException {
    Path precious = Files.createDirectory(folder.resolve("photos"));
    Files.writeString(precious.resolve("one.jpg"), "x");
    assertThatThrownBy(() -> Bundle.write(precious, "guard", Map.of(), List.of()))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("exists and would be overwritten");
    assertThat(precious.resolve("one.jpg")).exists();
    Bundle.write(precious, "guard", Map.of(), List.of(), true);
    assertThat(Bundle.open(precious).parts()).isEmpty();
  }

  @Test
  void aFlippedByteIsFoundInItsPart() throws IOException {
    Files.writeString(target.resolve("model.txt"), "firsT");
    refused("'model.txt' was changed");
  }

  @Test
  void aCutPartIsFound() throws IOException {
    Files.writeString(target.resolve("model.txt"), "fir");
    refused("'model.txt' has 3 bytes instead of 5");
  }

  @Test
  void aMissingPartIsFound() throws IOException {
    Files.delete(target.resolve("deep/er/state.txt"));
    refused("'deep/er/state.txt' is missing");
  }

  @Test
  void aFileThatIsNotListedIsFound() throws IOException {
    Files.writeString(target.resolve("deep/extra"), "x");
    refused("'deep/extra'");
  }

  @Test
  void aLinkOutOfTheBundleIsRefused() throws IOException {
    Path outside = Files.writeString(folder.resolve("outside"), "first");
    Files.delete(target.resolve("model.txt"));
    Files.createSymbolicLink(target.resolve("model.txt"), outside);
    refused("not a file inside the bundle");
  }

  @Test
  void aNewerFormatAsksForAnUpdate() throws IOException {
    manifest("\"formatVersion\" : 1", "\"formatVersion\" : 2");
    refused("update Outrigger");
  }

  @ParameterizedTest
  @ValueSource(strings = {"../outside", "/etc/passwd", "a/../../b", "", ".", "a//b", "C:\\x"})
  void aPathThatCouldEscapeIsRefused(String path) throws IOException {
    Files.writeString(folder.resolve("outside"), "first");
    assertThatThrownBy(() -> new Bundle.PartWriter(path, file -> {}))
        .isInstanceOf(OutriggerException.class);
    manifest("\"model.txt\"", Json.compact(path));
    refused("");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "",
        "null",
        "[]",
        "{",
        "{\"format\":\"other\"}",
        "{\"format\":\"outrigger-bundle\"}",
        "{\"format\":\"outrigger-bundle\",\"formatVersion\":1}",
        "{\"format\":\"outrigger-bundle\",\"formatVersion\":1,\"kind\":\"k\",\"parts\":[null],"
            + "\"info\":{}}",
        "{\"format\":\"outrigger-bundle\",\"formatVersion\":1,\"kind\":\"k\",\"parts\":7,\"info\":{}}",
        "{\"format\":\"outrigger-bundle\",\"format\":\"outrigger-bundle\"}",
      })
  void aManifestOfAnotherFormIsRefused(String text) throws IOException {
    Files.writeString(target.resolve("manifest.json"), text);
    refused("");
  }

  @Test
  void whatIsNoBundleIsNamed() throws IOException {
    assertThatThrownBy(() -> Bundle.open(folder.resolve("none")))
        .hasMessageContaining("does not exist");
    assertThatThrownBy(() -> Bundle.open(folder)).hasMessageContaining("is not a bundle");
    assertThatThrownBy(() -> Bundle.open(target.resolve("model.txt")))
        .hasMessageContaining("is a file");
  }

  private void manifest(String from, String to) throws IOException {
    Path file = target.resolve("manifest.json");
    String text = Files.readString(file);
    assertThat(text).contains(from);
    Files.writeString(file, text.replace(from, to));
  }

  private void refused(String words) {
    assertThatThrownBy(() -> Bundle.open(target))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining(words);
  }
}
