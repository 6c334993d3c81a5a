package org.outrigger.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import picocli.CommandLine;

class HelpTest {
  static Stream<List<String>> commands() {
    List<List<String>> all = new ArrayList<>();
    collect(Main.commandLine(), List.of(), all);
    return all.stream();
  }

  private static void collect(CommandLine line, List<String> words, List<List<String>> all) {
    all.add(words);
    line.getSubcommands()
        .forEach(
            (name, below) -> {
              List<String> longer = new ArrayList<>(words);
              longer.add(name);
              collect(below, longer, all);
            });
  }

  @ParameterizedTest
  @MethodSource("commands")
  void everyCommandHasHelpWithAnExample(List<String> words) {
    List<String> line = new ArrayList<>(words);
    line.add("--help");
    Shell.Result result = Shell.run(line.toArray()).worked();
    String out = result.out();
    assertThat(out).contains("Usage: outrigger").contains("Example");
    assertThat(out.substring(out.indexOf("Example")))
        .contains(String.join(" ", words).isEmpty() ? "outrigger " : "outrigger " + words.get(0));
  }

  @ParameterizedTest
  @MethodSource("commands")
  void everyOptionIsExplained(List<String> words) {
    CommandLine line = Main.commandLine();
    for (String word : words) {
      line = line.getSubcommands().get(word);
    }
    assertThat(line.getCommandSpec().options())
        .allSatisfy(option -> assertThat(option.description()).isNotEmpty());
  }

  /** Help is shown 80 columns wide where the terminal says nothing else. */
  @ParameterizedTest
  @MethodSource("commands")
  void examplesFitTheScreenAndTheListShowsAWholeSentence(List<String> words) {
    CommandLine line = Main.commandLine();
    for (String word : words) {
      line = line.getSubcommands().get(word);
    }
    var usage = line.getCommandSpec().usageMessage();
    assertThat(usage.footer())
        .filteredOn(text -> text.startsWith("  "))
        .allSatisfy(text -> assertThat(text.length()).as(text).isLessThanOrEqualTo(80));
    assertThat(usage.description()).isNotEmpty();
    assertThat(usage.description()).allSatisfy(text -> assertThat(text).endsWith("."));
  }

  @Test
  void exitCodesAreDocumented() {
    assertThat(Shell.run("--help").out()).contains("Exit codes:", "2", "one line says what to do");
  }

  @Test
  void theVersionIsPrinted() {
    assertThat(Shell.run("--version").worked().out()).contains("outrigger ", "java ");
  }

  @Test
  void aMisspelledOptionGetsOneLineWithTheNearest() {
    Shell.run("guard", "check", "--guard", "g", "--data", "d", "--outt", "v.csv")
        .refused("--out", "See 'outrigger guard check --help'");
    Shell.run("methods", "--jsn").refused("Unknown option: '--jsn'", "--json");
  }

  @Test
  void aMisspelledCommandGetsOneLine() {
    Shell.run("inspct").refused("inspct", "See 'outrigger --help'");
  }

  @Test
  void aMissingOptionIsNamed() {
    Shell.run("train", "--data", "iris").refused("--out=FILE");
  }

  @Test
  void aValueThatIsNoNumberIsNamed() {
    Shell.run("train", "--data", "iris", "--out", "m.safetensors", "--epochs", "many")
        .refused("--epochs", "many");
  }
}
