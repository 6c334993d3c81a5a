package org.outrigger.cli;

import java.util.ArrayList;
import java.util.List;
import org.outrigger.serve.ServerPart;
import org.outrigger.serve.store.EventStore;
import picocli.CommandLine.Mixin;

/** What a server has besides inference. */
final class ServeParts {
  @Mixin private DataDir dataDir = new DataDir();
  @Mixin private StoreOptions store = new StoreOptions();
  @Mixin private AdaptationOptions adaptation = new AdaptationOptions();
  @Mixin private MonitorOptions monitor = new MonitorOptions();
  @Mixin private DashboardOptions dashboard = new DashboardOptions();

  DataDir dataDir() {
    return dataDir;
  }

  /** Whether there is a page to look at. */
  boolean dashboard() {
    return dashboard.on();
  }

  /**
   * The parts, for {@code GuardServer.start}, which closes them.
   *
   * @param demo whether the server shows its own traffic
   */
  ServerPart[] make(boolean demo) {
    List<ServerPart> parts = new ArrayList<>();
    EventStore events = store.part(dataDir);
    if (events != null) {
      parts.add(events);
    }
    parts.add(adaptation.part(dataDir::folder));
    monitor.add(parts, dataDir.folder());
    parts.addAll(dashboard.parts(demo));
    return parts.toArray(ServerPart[]::new);
  }
}
