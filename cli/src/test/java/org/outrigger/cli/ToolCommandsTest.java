package org.outrigger.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.outrigger.core.io.Json;
import org.outrigger.core.method.Methods;

class ToolCommandsTest {
  @TempDir Path folder;

  @Test
  void methodsAreListedAndShown() {
    assertThat(Shell.run("methods").worked().out())
        .contains("mahalanobis", Methods.cards().size() + " methods");
    assertThat(Shell.run("methods", "knn").worked().out()).contains("paper", "settings  k=");
    assertThat(Json.object("card", Shell.run("methods", "knn", "--json").worked().out()))
        .containsEntry("slug", "knn")
        .containsKeys("paper", "needs", "settings");
    Shell.run("methods", "knm").refused("Did you mean knn");
  }

  @Test
  void aModelIsInspected() {
    assertThat(Shell.run("inspect", Samples.CLOTHES_MODEL).worked().out())
        .contains("Conv2d", "energy");
    assertThat(
            Json.object(
                "inspection", Shell.run("inspect", "--json", Samples.CLOTHES_MODEL).worked().out()))
        .isNotEmpty();
  }

  @Test
  void completionIsAScriptForBash() {
    assertThat(Shell.run("completion").worked().out()).contains("complete -F", "outrigger");
  }

  @Test
  void goldenCasesAreRunAndAnEmptyFolderIsRefused() throws IOException {
    Shell.run("golden", folder.resolve("none")).refused("none");
    Path slug = Files.createDirectory(folder.resolve("ood-baselines"));
    Files.writeString(slug.resolve("broken.json"), "{");
    Shell.Result result = Shell.run("golden", folder);
    assertThat(result.code()).isNotZero();
    assertThat(result.err() + result.out()).contains("broken");
  }

  @Test
  void dataSetsAreListed() {
    assertThat(Shell.run("datasets").worked().out())
        .contains("fashion-mnist", "1x28x28", "cifar-10-batches-bin");
    assertThat(Shell.run("datasets", "--json").worked().out()).startsWith("[").contains("licence");
  }

  @Test
  void exportedPicturesAndTablesAreReadAgain() throws IOException {
    assertThat(Shell.names(Samples.CLOTHES))
        .contains("T-shirt-top", "Ankle boot")
        .filteredOn(name -> name.endsWith(".png"))
        .hasSize(160);
    List<String> lines = Files.readAllLines(Samples.FLOWERS);
    assertThat(lines).hasSize(151);
    assertThat(lines.get(0)).isEqualTo("x1,x2,x3,x4,label");
    assertThat(lines.get(1)).startsWith("5.1,3.5,1.4,0.2,");
  }

  @Test
  void exportsThatCannotWorkAreRefused() throws IOException {
    Shell.run("datasets", "export", "mnis", "--out", folder.resolve("m"))
        .refused("Did you mean mnist");
    Shell.run("datasets", "export", "cifar-10", "--out", folder.resolve("m"))
        .refused("not embedded");
    Shell.run("datasets", "export", "iris", "--out", folder.resolve("m")).refused(".csv");
    Shell.run("datasets", "export", "mnist", "--part", "valid", "--out", folder.resolve("m"))
        .refused("train, test");
    assertThat(Shell.names(folder)).isEmpty();
    Files.writeString(folder.resolve("mine.txt"), "mine");
    Shell.run("datasets", "export", "mnist", "--limit", 1, "--out", folder)
        .refused("would be overwritten");
    assertThat(Shell.names(folder)).containsExactly("mine.txt");
  }
}
