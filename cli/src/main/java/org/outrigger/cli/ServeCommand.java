package org.outrigger.cli;

import java.nio.file.Path;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.serve.GuardServer;
import org.outrigger.serve.ServerPart;
import org.outrigger.serve.ServerSettings;
import org.outrigger.serve.store.EventStore;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Serves guards over HTTP. */
@Command(
    name = "serve",
    mixinStandardHelpOptions = true,
    subcommands = {ServeTokenCommand.class, ServeLoadCommand.class, ServeEventsCommand.class},
    description = {
      "Serves guards over HTTP with the Open Inference Protocol, version 2: clients of KServe and"
          + " Triton work, and get the guard's verdict as further outputs.",
      "Listens on this machine only unless --host says otherwise. Ctrl-C stops it after it has"
          + " answered what it accepted."
    },
    footerHeading = "%nExamples:%n",
    footer = {
      "  outrigger serve --demo",
      "  outrigger serve --guard resnet.guard",
      "  outrigger serve --guard digits=a.guard --guard clothes=b.guard --port 9000",
      "  outrigger serve --guard resnet.guard --shadow resnet=new.guard \\",
      "      --tokens tokens.txt --host 0.0.0.0",
      "  outrigger serve --guard resnet.guard --log-format json \\",
      "      --alert-webhook https://hooks.example.org/alerts",
      "  curl http://127.0.0.1:8080/v2/models/resnet",
      "",
      "A bundle that changed on disk is read again, without a dropped request, by POST"
          + " /v2/repository/models/NAME/load; .../rollback goes back."
    })
final class ServeCommand implements Runnable {
  @Spec private CommandSpec spec;

  @Option(
      names = "--guard",
      paramLabel = "[NAME=]DIR",
      description = "A saved guard; its name is the folder's without .guard. May be repeated.")
  private List<String> bundles = java.util.List.of();

  @Option(
      names = "--shadow",
      paramLabel = "NAME=DIR",
      description = "A second guard that sees the traffic of NAME and answers nobody.")
  private Map<String, Path> shadows = new LinkedHashMap<>();

  @Option(
      names = "--host",
      paramLabel = "ADDRESS",
      defaultValue = "127.0.0.1",
      description = "The address to listen on; ${DEFAULT-VALUE} by default.")
  private String host;

  @Option(
      names = "--port",
      paramLabel = "N",
      defaultValue = "8080",
      description = "The port to listen on; ${DEFAULT-VALUE} by default.")
  private int port;

  @Option(
      names = "--max-batch",
      paramLabel = "ROWS",
      defaultValue = "64",
      description = "The most rows of one forward pass; ${DEFAULT-VALUE} by default.")
  private int maxBatch;

  @Option(
      names = "--max-delay",
      paramLabel = "MS",
      defaultValue = "2",
      description =
          "The longest that a request waits for others to share a pass; ${DEFAULT-VALUE} ms by"
              + " default.")
  private long maxDelay;

  @Option(
      names = "--queue",
      paramLabel = "ROWS",
      defaultValue = "1024",
      description = "Rows that may wait; more get status 429. ${DEFAULT-VALUE} by default.")
  private int queue;

  @Option(
      names = "--max-request-mb",
      paramLabel = "MB",
      defaultValue = "32",
      description = "The largest request; ${DEFAULT-VALUE} by default.")
  private int megabytes;

  @Option(
      names = "--tokens",
      paramLabel = "FILE",
      description = "Only tokens of this file may ask; see 'outrigger serve token'.")
  private @Nullable Path tokens;

  @Option(
      names = "--keystore",
      paramLabel = "FILE",
      description =
          "A PKCS#12 file: serve HTTPS. Its password comes from OUTRIGGER_KEYSTORE_PASSWORD.")
  private @Nullable Path keystore;

  @Option(
      names = "--demo",
      description =
          "Serve a guard of embedded pictures that sends itself traffic, which shifts after a minute:"
              + " to see the dashboard.")
  private boolean demo;

  @Mixin private Device device;
  @Mixin private ServeParts features = new ServeParts();
  @Mixin private LogOptions log;

  @Override
  public void run() {
    if (bundles.isEmpty() && !demo) {
      throw new OutriggerException(
          "There is nothing to serve: name a saved guard with --guard, or make one with 'outrigger"
              + " guard fit'.");
    }
    log.apply();
    if (demo && (tokens != null || keystore != null)) {
      throw new OutriggerException(
          "The demo sends itself traffic without a token and without TLS: leave out --tokens and"
              + " --keystore.");
    }
    device.apply();
    // It goes with the server.
    TemporaryFolder folder = demo ? new TemporaryFolder("outrigger-demo") : null;
    ServerSettings settings =
        ServerSettings.defaults()
            .withAddress(host, port)
            .withBatching(maxBatch, Duration.ofMillis(maxDelay))
            .withLimits(queue, Math.multiplyExact(megabytes, 1 << 20), 1024)
            .withTokens(tokens)
            .withTls(keystore, System.getenv("OUTRIGGER_KEYSTORE_PASSWORD"));
    ServerPart[] parts = features.make(demo);
    GuardServer server = GuardServer.start(settings, device.name(), parts);
    try {
      for (String each : bundles) {
        int equals = each.indexOf('=');
        Path bundle = Path.of(each.substring(equals + 1));
        String name = equals < 0 ? name(bundle) : each.substring(0, equals);
        server.guards().load(name, bundle);
      }
      if (folder != null) {
        Path bundle = folder.path().resolve(ServeDemo.NAME + ".guard");
        spec.commandLine()
            .getErr()
            .println("Fitting a guard of embedded pictures; that takes a moment.");
        ServeDemo.fit(bundle, 0);
        server.guards().load(ServeDemo.NAME, bundle);
      }
      shadows.forEach(server.guards()::shadow);
    } catch (RuntimeException e) {
      close(server, folder);
      throw e;
    }
    String address = (keystore == null ? "http://" : "https://") + host + ":" + server.port();
    var out = spec.commandLine().getOut();
    for (String name : server.guards().names()) {
      out.println("Serving " + name + " at " + address + "/v2/models/" + name);
    }
    for (ServerPart part : parts) {
      if (part instanceof EventStore events) {
        out.println("Storing events in " + events.location());
      }
    }
    if (!host.equals("127.0.0.1") && !host.equals("localhost") && tokens == null) {
      spec.commandLine()
          .getErr()
          .println("Everybody who reaches " + host + " may ask: --tokens limits that.");
    }
    if (features.dashboard()) {
      out.println("Dashboard at " + address + "/");
    }
    out.println("Ctrl-C stops it.");
    out.flush();
    try (ServeDemo traffic = demo ? new ServeDemo(loopback(server), 0) : null) {
      await(server, folder);
    }
  }

  private static String loopback(GuardServer server) {
    return "http://127.0.0.1:" + server.port();
  }

  private static String name(Path bundle) {
    String name = String.valueOf(bundle.toAbsolutePath().normalize().getFileName());
    return name.endsWith(".guard") ? name.substring(0, name.length() - 6) : name;
  }

  private static void await(GuardServer server, @Nullable TemporaryFolder folder) {
    CountDownLatch stopped = new CountDownLatch(1);
    Thread stop =
        new Thread(
            () -> {
              close(server, folder);
              stopped.countDown();
            },
            "stop");
    Runtime.getRuntime().addShutdownHook(stop);
    try {
      stopped.await();
    } catch (InterruptedException e) {
      Runtime.getRuntime().removeShutdownHook(stop);
      close(server, folder);
      Thread.currentThread().interrupt();
    }
  }

  private static void close(GuardServer server, @Nullable TemporaryFolder folder) {
    server.close();
    if (folder != null) {
      folder.close();
    }
  }
}
