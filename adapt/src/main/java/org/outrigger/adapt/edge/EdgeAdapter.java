package org.outrigger.adapt.edge;

import java.nio.file.Path;
import org.bytedeco.pytorch.Tensor;
import org.jspecify.annotations.Nullable;
import org.outrigger.adapt.Adapter;
import org.outrigger.adapt.Usage;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.io.State;
import org.outrigger.core.model.Model;
import org.outrigger.core.model.ModelFiles;
import org.outrigger.core.model.Output;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Torch;

/** A device and its cloud in one process. */
abstract class EdgeAdapter<D extends EdgeDevice, C extends CloudSession> implements Adapter {
  /** Both sides and what connects them. */
  private record Sides<D, C>(D device, C cloud, MemoryLink link, @Nullable Model owned) {}

  private @Nullable Sides<D, C> sides;
  private @Nullable Model teacher;
  private long batches;
  private long samples;

  /** A teacher's file, or empty. */
  abstract String teacherFile();

  abstract D device(Model model);

  abstract C cloud(Model model, Model teacher);

  /** Teaches with that model from the next start on; borrowed until then, or as its class says. */
  final void teachWith(Model model) {
    teacher = model;
  }

  final D device() {
    return sides().device;
  }

  /** What a cloud that is elsewhere would have been sent, and what it would have sent back. */
  public final CloudLink.Traffic traffic() {
    return sides().link.traffic();
  }

  private Sides<D, C> sides() {
    Sides<D, C> there = sides;
    if (there == null) {
      throw new OutriggerException(
          card().name() + " has not been started: call start with a model first.");
    }
    return there;
  }

  @Override
  public final void start(Model model, @Nullable IndexedDataset source) {
    Torch.start();
    model.require(this, Adapter.class);
    Model opened = teacher == null && !teacherFile().isEmpty() ? open() : null;
    D device = null;
    C cloud;
    try {
      device = device(model);
      Model given = teacher != null ? teacher : opened != null ? opened : model;
      cloud = cloud(model, given);
    } catch (RuntimeException e) {
      if (device != null) {
        device.close();
      }
      if (opened != null) {
        opened.close();
      }
      throw e;
    }
    close();
    sides = new Sides<>(device, cloud, new MemoryLink(cloud), opened);
    batches = 0;
    samples = 0;
  }

  private Model open() {
    return ModelFiles.open(Path.of(teacherFile()));
  }

  @Override
  public final Output adapt(Tensor inputs) {
    Sides<D, C> there = sides();
    Output output = there.device.predict(inputs);
    try {
      Scopes.run(
          () -> {
            there.link.send(there.device.choose(inputs, output));
            Message answer = there.link.receive();
            if (answer != null) {
              there.device.receive(answer);
            }
          });
    } catch (RuntimeException e) {
      output.close();
      throw e;
    }
    batches++;
    samples += inputs.size(0);
    return output;
  }

  @Override
  public final void reset() {
    Sides<D, C> there = sides();
    there.device.reset();
    there.cloud.reset();
    there.link.traffic(CloudLink.Traffic.NONE);
    batches = 0;
    samples = 0;
  }

  @Override
  public final Usage usage() {
    Sides<D, C> there = sides;
    return there == null
        ? Usage.NONE
        : new Usage(
            batches,
            samples,
            there.device.reliable(),
            there.cloud.backward(),
            there.cloud.updates(),
            restarts());
  }

  /** How many times it went back to the source by itself. */
  abstract long restarts();

  private String type() {
    return "adapter/" + card().slug();
  }

  @Override
  public final State state() {
    Sides<D, C> there = sides();
    CloudLink.Traffic traffic = there.link.traffic();
    return new NestedState()
        .value("batches", batches)
        .value("samples", samples)
        .value("sent", traffic.sent())
        .value("received", traffic.received())
        .value("uploads", traffic.uploads())
        .part("device", there.device)
        .part("cloud", there.cloud)
        .of(type());
  }

  @Override
  public final void restore(State state) {
    sides();
    state.expect(type(), 1);
    Scopes.run(() -> NestedState.allOrNothing(state(), state, this::apply));
  }

  private void apply(State state) {
    Sides<D, C> there = sides();
    long newBatches = NestedState.count(state, "batches");
    long newSamples = NestedState.count(state, "samples");
    CloudLink.Traffic traffic =
        new CloudLink.Traffic(
            NestedState.count(state, "sent"),
            NestedState.count(state, "received"),
            NestedState.count(state, "uploads"),
            0);
    NestedState.restore(state, "device", there.device);
    NestedState.restore(state, "cloud", there.cloud);
    there.link.traffic(traffic);
    batches = newBatches;
    samples = newSamples;
  }

  @Override
  public final void close() {
    Sides<D, C> there = sides;
    sides = null;
    if (there != null) {
      there.link.close();
      there.device.close();
      there.cloud.close();
      if (there.owned != null) {
        there.owned.close();
      }
    }
  }
}
