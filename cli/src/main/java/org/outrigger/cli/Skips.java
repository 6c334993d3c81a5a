package org.outrigger.cli;

import java.io.PrintWriter;
import java.util.List;
import org.outrigger.core.data.Batches;

/** Says which rows could not be read. */
final class Skips {
  private static final int SHOWN = 10;

  private Skips() {}

  static void report(PrintWriter err, String data, List<Batches.Skipped> skipped) {
    if (skipped.isEmpty()) {
      return;
    }
    boolean one = skipped.size() == 1;
    err.println(
        skipped.size()
            + (one ? " row of " : " rows of ")
            + data
            + " could not be read and "
            + (one ? "was" : "were")
            + " left out (--strict stops):");
    skipped.stream()
        .limit(SHOWN)
        .forEach(each -> err.println("  " + each.id() + ": " + each.reason()));
    if (skipped.size() > SHOWN) {
      err.println("  and " + (skipped.size() - SHOWN) + " more");
    }
  }
}
