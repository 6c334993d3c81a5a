package org.outrigger.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.outrigger.serve.ServerPart;
import picocli.CommandLine;

/** What a server has by which options. */
class ServePartsTest {
  @CommandLine.Command
  private static final class Holder {
    @CommandLine.Mixin private ServeParts parts = new ServeParts();
  }

  @TempDir private Path folder;

  private List<String> names(String... options) {
    Holder holder = new Holder();
    String[] all = Arrays.copyOf(options, options.length + 1);
    all[options.length] = "--data-dir=" + folder;
    new CommandLine(holder).parseArgs(all);
    ServerPart[] made = holder.parts.make(false);
    for (ServerPart part : made) {
      part.close();
    }
    return Arrays.stream(made).map(ServerPart::name).toList();
  }

  @Test
  void aServerHasAllPartsUnlessTheyAreLeftOut() {
    assertThat(names()).containsExactly("store", "adaptation", "monitor", "dashboard");
    assertThat(names("--no-dashboard")).containsExactly("store", "adaptation", "monitor");
    assertThat(names("--no-monitor", "--dashboard"))
        .containsExactly("store", "adaptation", "dashboard");
    assertThat(names("--store", "none", "--alert-webhook", "http://127.0.0.1:9/"))
        .containsExactly("adaptation", "monitor", "alerts", "dashboard");
  }
}
