package org.outrigger.cli;

import java.io.PrintWriter;
import java.util.ArrayList;
import java.util.List;

/** A table in plain text: columns as wide as their widest cell, numbers flush right. */
final class TextTable {
  private final List<String> header;
  private final List<List<String>> rows = new ArrayList<>();

  TextTable(String... header) {
    this.header = List.of(header);
  }

  TextTable row(String... cells) {
    rows.add(List.of(cells));
    return this;
  }

  TextTable row(List<String> cells) {
    rows.add(List.copyOf(cells));
    return this;
  }

  void print(PrintWriter out) {
    int[] widths = new int[header.size()];
    boolean[] numbers = new boolean[header.size()];
    for (int c = 0; c < widths.length; c++) {
      int column = c;
      widths[c] = header.get(c).length();
      numbers[c] = !rows.isEmpty() && rows.stream().allMatch(r -> numeric(r.get(column)));
      for (List<String> row : rows) {
        widths[c] = Math.max(widths[c], row.get(c).length());
      }
    }
    line(out, header, widths, numbers);
    StringBuilder rule = new StringBuilder();
    for (int width : widths) {
      rule.append("-".repeat(width)).append("  ");
    }
    out.println(rule.toString().stripTrailing());
    rows.forEach(row -> line(out, row, widths, numbers));
  }

  private static void line(PrintWriter out, List<String> cells, int[] widths, boolean[] numbers) {
    StringBuilder line = new StringBuilder();
    for (int c = 0; c < widths.length; c++) {
      String pad = " ".repeat(widths[c] - cells.get(c).length());
      line.append(numbers[c] ? pad + cells.get(c) : cells.get(c) + pad).append("  ");
    }
    out.println(line.toString().stripTrailing());
  }

  private static boolean numeric(String cell) {
    return cell.isEmpty() || cell.matches("[-+]?[\\d.,]+(e[-+]?\\d+)?( ?(%|ms|s|MB|µs|x))?|n/a|-");
  }
}
