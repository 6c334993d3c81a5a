package org.outrigger.cli;

import java.util.List;
import org.outrigger.serve.ServerPart;
import org.outrigger.serve.dashboard.Dashboard;
import org.outrigger.serve.dashboard.DashboardSettings;
import picocli.CommandLine.Option;

/** The page that shows what guards do. */
final class DashboardOptions {
  @Option(
      names = "--dashboard",
      negatable = true,
      defaultValue = "true",
      fallbackValue = "true",
      description = "Shows live at / what the guards do; on by default.")
  private boolean dashboard = true;

  @Option(
      names = "--dashboard-inputs",
      description =
          "Keep the least familiar inputs of the last hour in memory and show them on the"
              + " dashboard. Off by default: inputs may be private.")
  private boolean inputs;

  /** Whether there is one. */
  boolean on() {
    return dashboard;
  }

  /**
   * The dashboard, or nothing.
   *
   * @param demo whether made-up traffic is served, whose inputs may be shown
   */
  List<ServerPart> parts(boolean demo) {
    return dashboard
        ? List.of(new Dashboard(DashboardSettings.defaults().withInputs(inputs || demo)))
        : List.of();
  }
}
