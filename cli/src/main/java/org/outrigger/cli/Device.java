package org.outrigger.cli;

import org.jspecify.annotations.Nullable;
import org.outrigger.core.torch.Torch;
import picocli.CommandLine.Option;

/** Where and on how many threads the work is done. */
final class Device {
  @Option(
      names = "--device",
      paramLabel = "NAME",
      defaultValue = "cpu",
      description = "auto, cpu, cuda or cuda:INDEX; ${DEFAULT-VALUE} by default.")
  private String device = "cpu";

  @Option(
      names = "--threads",
      paramLabel = "N",
      description = "Threads of one operation; as many as the machine has by default.")
  private @Nullable Integer threads;

  String name() {
    return device;
  }

  int threads() {
    return threads == null ? 0 : threads;
  }

  /** Applies the choice; call it before the first tensor. */
  void apply() {
    if (threads != null) {
      Torch.threads(threads);
    }
    Torch.device(device).close();
  }
}
