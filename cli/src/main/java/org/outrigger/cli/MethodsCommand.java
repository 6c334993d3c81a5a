package org.outrigger.cli;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Collectors;
import org.outrigger.core.io.Json;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.Methods;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** Lists what is implemented. */
@Command(
    name = "methods",
    mixinStandardHelpOptions = true,
    description = "Lists the implemented methods, or shows one.",
    footerHeading = "%nExamples:%n",
    footer = {"  outrigger methods", "  outrigger methods knn", "  outrigger methods --json"})
final class MethodsCommand implements Runnable {
  @Spec private CommandSpec spec;

  @Parameters(arity = "0..1", paramLabel = "NAME", description = "Show this method in full.")
  private String name;

  @Option(names = "--json", description = "Print JSON.")
  private boolean json;

  @Override
  public void run() {
    var out = spec.commandLine().getOut();
    List<Card> cards =
        name == null
            ? Methods.cards()
            : Methods.cards().stream().filter(card -> card.slug().equals(name)).toList();
    if (cards.isEmpty()) {
      throw Methods.unknown(org.outrigger.core.method.Method.class, name);
    }
    if (json) {
      List<Object> all = new ArrayList<>();
      cards.forEach(card -> all.add(toJson(card)));
      out.println(Json.pretty(name == null ? all : all.get(0)));
      return;
    }
    if (name != null) {
      show(cards.get(0));
      return;
    }
    TextTable table = new TextTable("method", "room", "year", "what it does");
    for (Card card : cards) {
      table.row(
          card.slug(),
          card.room().name().toLowerCase(Locale.ROOT),
          Integer.toString(card.year()),
          card.summary());
    }
    table.print(out);
    out.println();
    out.println(cards.size() + " methods. 'outrigger methods NAME' shows one in full.");
  }

  private void show(Card card) {
    var out = spec.commandLine().getOut();
    out.println(card.name() + " (" + card.slug() + ")");
    out.println(card.summary());
    out.println();
    out.println(
        "room      " + card.room().name().toLowerCase(Locale.ROOT) + ": " + card.room().question());
    out.println("paper     " + card.paper());
    out.println(
        "needs     "
            + (card.needs().length == 0
                ? "nothing"
                : Arrays.stream(card.needs())
                    .map(need -> need.meaning())
                    .collect(Collectors.joining("; "))));
    out.println("keeps     " + (card.state().isEmpty() ? "nothing" : card.state()));
    Map<String, Object> defaults = Methods.defaults(card.slug());
    out.println(
        "settings  "
            + (defaults.isEmpty()
                ? "none"
                : defaults.entrySet().stream()
                    .map(e -> e.getKey() + "=" + e.getValue())
                    .collect(Collectors.joining(", "))));
  }

  private static Map<String, Object> toJson(Card card) {
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("slug", card.slug());
    json.put("name", card.name());
    json.put("summary", card.summary());
    json.put("paper", card.paper());
    json.put("year", card.year());
    json.put("room", card.room());
    json.put("needs", card.needs());
    json.put("state", card.state());
    json.put("settings", Methods.defaults(card.slug()));
    return json;
  }
}
