package org.outrigger.cli;

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
  private int threads;

  String name() {
    return device;
  }

  int threads() {
    return threads;
  }

  /** Applies the choice; call it before the first tensor. */
  void apply() {
    if (threads != 0) {
      Torch.threads(threads);
    }
    Torch.device(device).close();
  }
}
