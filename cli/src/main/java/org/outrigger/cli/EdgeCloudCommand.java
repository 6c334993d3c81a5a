package org.outrigger.cli;

import java.io.PrintWriter;
import java.net.InetAddress;
import java.net.UnknownHostException;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import org.outrigger.adapt.Adapter;
import org.outrigger.adapt.edge.Cema;
import org.outrigger.adapt.edge.CemaCloud;
import org.outrigger.adapt.edge.CloudServer;
import org.outrigger.adapt.edge.CloudSession;
import org.outrigger.adapt.edge.UVpa;
import org.outrigger.adapt.edge.UVpaCloud;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.Methods;
import org.outrigger.core.model.Model;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Serves devices. */
@Command(
    name = "cloud",
    mixinStandardHelpOptions = true,
    description = {
      "Learns for devices that run the student, with the help of a larger model.",
      "Every device, by its name, has a copy of its own. Nothing is encrypted: listen on the"
          + " loopback address, or behind a tunnel. Ctrl-C ends it."
    },
    footerHeading = "%nExamples:%n",
    footer = {
      "  outrigger edge cloud --model large.safetensors --student small.safetensors",
      "  outrigger edge cloud --model large.safetensors --student small.safetensors \\",
      "      --port 9000 --bind 0.0.0.0 --token s3cret --methods cema:cloudBatch=64"
    })
final class EdgeCloudCommand implements Runnable {
  private static final String ALL = "cema,u-vpa";

  @Spec private CommandSpec spec;

  @Option(
      names = "--model",
      required = true,
      paramLabel = "FILE",
      description = "The model that teaches: .pt, .onnx or .safetensors.")
  private Path file;

  @Option(
      names = "--student",
      required = true,
      paramLabel = "FILE",
      description = "The model that the devices run: .safetensors.")
  private Path student;

  @Option(
      names = "--methods",
      paramLabel = "NAME,...",
      description =
          "cema, u-vpa or both, perhaps with settings, which must be those of the devices; those"
              + " that fit the student by default.")
  private @Nullable String methods;

  @Option(
      names = "--port",
      paramLabel = "N",
      defaultValue = "7070",
      description = "The port to listen on, 0 for any that is free; ${DEFAULT-VALUE} by default.")
  private int port;

  @Option(
      names = "--bind",
      paramLabel = "ADDRESS",
      description = "The address to listen on; this machine's loopback address by default.")
  private String bind = "";

  @Option(
      names = "--token",
      paramLabel = "TEXT",
      description = "What devices must know; nothing by default.")
  private String token = "";

  @Option(
      names = "--devices",
      paramLabel = "N",
      defaultValue = "8",
      description = "How many devices may have a copy; ${DEFAULT-VALUE} by default.")
  private int devices;

  @Option(names = "--once", description = "End when the first device has gone.")
  private boolean once;

  @Mixin private ModelArguments model;
  @Mixin private Device device;

  @Override
  public void run() {
    List<Adapter> wanted = wanted();
    CloudServer.Options options =
        CloudServer.Options.defaults()
            .withPort(port)
            .withToken(token)
            .withDevices(devices)
            .withAddress(address());
    device.apply();
    try (Model teacher = model.open(file, device);
        Model pupil = model.open(student, device)) {
      serve(fitting(wanted, pupil), pupil, teacher, options);
    }
  }

  private List<Adapter> wanted() {
    List<Adapter> wanted = Methods.parse(Adapter.class, methods == null ? ALL : methods);
    for (Adapter each : wanted) {
      if (!(each instanceof Cema) && !(each instanceof UVpa)) {
        throw new OutriggerException(
            each.card().slug() + " does not work from a cloud: give cema, u-vpa or both.");
      }
    }
    return wanted;
  }

  /** Those that fit the student, or all that were named, each of which must. */
  private List<Adapter> fitting(List<Adapter> wanted, Model pupil) {
    List<Adapter> fit =
        wanted.stream().filter(each -> pupil.missing(each.needs()).isEmpty()).toList();
    if (methods == null && !fit.isEmpty()) {
      return fit;
    }
    wanted.forEach(each -> pupil.require(each, Adapter.class));
    return wanted;
  }

  private void serve(
      List<Adapter> served, Model pupil, Model teacher, CloudServer.Options options) {
    // What does not fit together is to be known before the first device comes.
    served.forEach(each -> session(served, each.card().slug(), pupil, teacher).close());
    PrintWriter out = spec.commandLine().getOut();
    try (CloudServer server =
            new CloudServer(
                method -> session(served, method, pupil, teacher),
                options,
                text -> {
                  out.println(text);
                  out.flush();
                })) {
      out.println(
          "Listening on "
              + options.address().getHostAddress()
              + ", port "
              + server.port()
              + ", for "
              + served.stream().map(each -> each.card().slug()).collect(Collectors.joining(", "))
              + ".");
      out.flush();
      if (once) {
        server.awaitDeparture();
      } else {
        Thread.currentThread().join();
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private InetAddress address() {
    try {
      return bind.isEmpty() ? InetAddress.getLoopbackAddress() : InetAddress.getByName(bind);
    } catch (UnknownHostException e) {
      throw new OutriggerException(
          "--bind " + bind + " is no address of this machine: give one, such as 0.0.0.0.", e);
    }
  }

  private static CloudSession session(
      List<Adapter> served, String method, Model pupil, Model teacher) {
    for (Adapter each : served) {
      if (each.card().slug().equals(method)) {
        return each instanceof Cema cema
            ? new CemaCloud(cema.settings(), pupil, teacher)
            : new UVpaCloud(((UVpa) each).settings(), pupil, teacher);
      }
    }
    throw new OutriggerException(
        "This cloud does not serve '" + method + "': start it with --methods " + method + ".");
  }
}
