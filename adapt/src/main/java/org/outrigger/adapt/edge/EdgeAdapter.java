package org.outrigger.adapt.edge;

import java.util.LinkedHashMap;
import java.util.Map;
import org.bytedeco.pytorch.Tensor;
import org.jspecify.annotations.Nullable;
import org.outrigger.adapt.BaseAdapter;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.io.State;
import org.outrigger.core.io.Stateful;
import org.outrigger.core.model.Model;
import org.outrigger.core.model.Output;

/** A device and its cloud in one process. */
abstract class EdgeAdapter<S extends Record, D extends EdgeDevice> extends BaseAdapter<S> {
  private @Nullable Model teacher;
  private @Nullable D device;
  private @Nullable CloudSession cloud;
  private @Nullable MemoryLink link;

  EdgeAdapter(S settings) {
    super(settings);
  }

  abstract D device(Model model);

  abstract CloudSession cloud(Model model, Model teacher);

  /** Teaches with that model from the next start on; borrowed. */
  final void teachWith(Model model) {
    teacher = model;
  }

  final boolean started() {
    return device != null;
  }

  final D device() {
    return there(device);
  }

  private <T> T there(@Nullable T part) {
    if (part == null) {
      throw new OutriggerException(
          card().name() + " has not been started: call start with a model first.");
    }
    return part;
  }

  /** The bytes that would have gone each way between two machines, since the start or a reset. */
  public final CloudLink.Traffic traffic() {
    return there(link).traffic();
  }

  @Override
  protected final void configure(
      Model model, @Nullable IndexedDataset source, @Nullable State saved) {
    device = device(model);
    CloudSession made = cloud(model, teacher == null ? model : teacher);
    cloud = made;
    link = new MemoryLink(made);
  }

  @Override
  protected final Output step(Tensor inputs) {
    D edge = device();
    CloudSession learner = there(cloud);
    MemoryLink between = there(link);
    long reliable = edge.reliable();
    long backward = learner.backward();
    long updates = learner.updates();
    long restarts = edge.restarts();
    Output output = edge.predict(inputs);
    between.send(edge.choose(inputs, output));
    Message answer = between.receive();
    if (answer != null) {
      edge.receive(answer);
    }
    count(edge.reliable() - reliable, learner.backward() - backward, learner.updates() - updates);
    countResets(edge.restarts() - restarts);
    CloudLink.Traffic traffic = between.traffic();
    memory().put("sent", traffic.sent());
    memory().put("received", traffic.received());
    memory().put("uploads", traffic.uploads());
    return output;
  }

  @Override
  protected final Map<String, Stateful> parts() {
    Map<String, Stateful> parts = new LinkedHashMap<>();
    parts.put("device", device());
    parts.put("cloud", there(cloud));
    return parts;
  }

  @Override
  protected final void restored() {
    there(link)
        .traffic(
            new CloudLink.Traffic(
                (long) memory().number("sent", 0),
                (long) memory().number("received", 0),
                (long) memory().number("uploads", 0),
                0));
  }

  @Override
  public final Model model() {
    return device().model();
  }

  @Override
  protected final void release() {
    if (link != null) {
      link.close();
    }
    if (device != null) {
      device.close();
    }
    if (cloud != null) {
      cloud.close();
    }
    link = null;
    device = null;
    cloud = null;
  }
}
