package org.outrigger.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import picocli.CommandLine;

/** Runs a command line in this JVM. */
final class Shell {
  /** What a command left behind. */
  record Result(int code, String out, String err) {
    /** It worked, and had nothing to complain about. */
    Result worked() {
      assertThat(err).isEmpty();
      assertThat(code).isEqualTo(ExitCode.OK);
      return this;
    }

    /** It stopped with exit code 2 and one line that holds these words. */
    Result refused(String... words) {
      assertThat(err).as(out).isNotEmpty();
      assertThat(err.lines().toList()).hasSize(1);
      assertThat(err).startsWith("outrigger: ").contains(words);
      assertThat(code).isEqualTo(ExitCode.USER);
      return this;
    }
  }

  private Shell() {}

  static Result run(Object... words) {
    StringWriter out = new StringWriter();
    StringWriter err = new StringWriter();
    CommandLine line = Main.commandLine();
    line.setOut(new PrintWriter(out, true));
    line.setErr(new PrintWriter(err, true));
    int code = line.execute(Arrays.stream(words).map(String::valueOf).toArray(String[]::new));
    return new Result(code, out.toString(), err.toString());
  }

  /** Everything below a folder, hidden files too. */
  static List<String> names(Path folder) throws IOException {
    try (Stream<Path> walk = Files.walk(folder)) {
      return walk.filter(path -> !path.equals(folder))
          .map(path -> folder.relativize(path).toString())
          .sorted()
          .toList();
    }
  }
}
