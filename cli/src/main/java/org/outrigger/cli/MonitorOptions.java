package org.outrigger.cli;

import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import org.outrigger.core.OutriggerException;
import org.outrigger.guard.MonitorSettings;
import org.outrigger.serve.ServerPart;
import org.outrigger.serve.monitor.Alerts;
import org.outrigger.serve.monitor.DriftWatch;
import org.outrigger.serve.monitor.ReferenceMonitor;
import org.outrigger.serve.monitor.WatchSettings;
import org.outrigger.serve.monitor.WebhookSettings;
import picocli.CommandLine.Option;

/** How a server watches for drift, and whom it tells. */
final class MonitorOptions {
  @Option(
      names = "--monitor",
      negatable = true,
      defaultValue = "true",
      fallbackValue = "true",
      description = "Watches traffic for drift; on by default.")
  private boolean monitor = true;

  @Option(
      names = "--monitor-window",
      paramLabel = "ROWS",
      defaultValue = "200",
      description = "Rows that are compared together, 20 or more; ${DEFAULT-VALUE} by default.")
  private int window = 200;

  @Option(
      names = "--alert-webhook",
      paramLabel = "URL",
      description =
          "Posts alerts there as JSON; may be repeated. OUTRIGGER_WEBHOOK_SECRET signs them.")
  private List<String> webhooks = List.of();

  @Option(
      names = "--alert-repeat",
      paramLabel = "MINUTES",
      defaultValue = "60",
      description = "After how long drift that goes on is told again; ${DEFAULT-VALUE} by default.")
  private long repeat = 60;

  @Option(
      names = "--alert-quiet",
      paramLabel = "WINDOWS",
      defaultValue = "3",
      description = "After how many windows without drift it is over; ${DEFAULT-VALUE} by default.")
  private int quiet = 3;

  /** Adds the parts that they ask for. */
  void add(List<ServerPart> parts, Path folder) {
    if (repeat < 0) {
      throw new OutriggerException("--alert-repeat is below 0: give minutes.");
    }
    if (monitor) {
      MonitorSettings settings = MonitorSettings.defaults().withWindow(window, null);
      parts.add(
          new DriftWatch(
              WatchSettings.of(folder.resolve("monitor"))
                  .withAlerts(Duration.ofMinutes(repeat), quiet),
              guard -> ReferenceMonitor.of(guard, settings)));
    }
    if (!webhooks.isEmpty()) {
      String secret = System.getenv("OUTRIGGER_WEBHOOK_SECRET");
      parts.add(new Alerts(webhooks.stream().map(url -> WebhookSettings.of(url, secret)).toList()));
    }
  }
}
