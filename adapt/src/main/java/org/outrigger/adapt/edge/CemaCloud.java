package org.outrigger.adapt.edge;

import java.util.LinkedHashMap;
import java.util.Map;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.io.State;
import org.outrigger.core.model.Model;
import org.outrigger.core.optim.Sgd;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;

/**
 * The side of {@link Cema} that learns: the teacher adapts itself to what was uploaded, and teaches
 * a copy of the device's model, whose normalisation parameters are sent back.
 */
public final class CemaCloud implements CloudSession {
  private static final String TYPE = "edge/cema-cloud";
  private static final double MOMENTUM = 0.9;

  /** Batches of a device after each of which it gets what is new, whatever K is. */
  private static final long FIRST_BATCHES = 10;

  private final Cema.Settings settings;
  private final RenormalisedCopy student;
  private final Sgd studentOptimiser;
  private final CemaTeacher teacher;
  private final SampleRing queue;
  private final SampleRing replay;
  private final double entropyMax;
  private final Rng rng;
  private @Nullable Tensor random;
  private long batch;
  private long version;
  private long sent;
  private long updates;
  private long backward;

  /**
   * @param device the device's model; is copied
   * @param teacher is copied and adapts if it has normalisation layers and can be copied; any other
   *     is borrowed, must stay open, and stays as it is
   * @throws org.outrigger.core.OutriggerException if the two have different numbers of classes
   */
  public CemaCloud(Cema.Settings settings, Model device, Model teacher) {
    CloudSession.requireSameClasses(device, teacher);
    this.settings = settings;
    entropyMax = settings.entHighMargin() * Math.log(device.classes());
    student = new RenormalisedCopy(device);
    studentOptimiser = new Sgd(student.affine(), rule(settings.deviceRate()));
    this.teacher = new CemaTeacher(teacher, rule(settings.cloudRate()));
    // At most so many rows wait: a device that sends faster than the cloud learns loses the oldest.
    queue = new SampleRing(Math.max(settings.replay(), settings.cloudBatch()));
    replay = new SampleRing(settings.replay());
    rng = Rng.named(settings.seed(), "cema replay");
  }

  private static Sgd.Settings rule(double rate) {
    return new Sgd.Settings(rate, MOMENTUM, 0, 0, false);
  }

  @Override
  public String digest() {
    return student.digest();
  }

  @Override
  public Message answer(Message upload) {
    upload.expect(Message.Kind.UPLOAD);
    Map<String, Tensor> statistics = new LinkedHashMap<>(upload.tensors());
    Tensor rows = statistics.remove(CemaDevice.SAMPLES);
    if (rows != null) {
      student.check(rows);
    }
    student.begin(statistics);
    return Scopes.grad(true, () -> learnFrom(rows));
  }

  private Message learnFrom(@Nullable Tensor rows) {
    batch++;
    boolean stepped = false;
    if (rows != null) {
      queue.add(rows);
      replay.add(rows);
      while (queue.size() >= settings.cloudBatch()) {
        learn();
        stepped = true;
      }
    }
    if (!stepped && replay.size() > settings.replayStart()) {
      Scopes.run(() -> distil(replay.sample(4L * settings.cloudBatch(), rng)));
    }
    long next = batch + 1;
    boolean due = next <= FIRST_BATCHES || next % settings.refresh() == 0;
    return due && version > sent ? update() : Message.of(Message.Kind.IDLE, Map.of());
  }

  /** One batch of the queue: the teacher adapts, then the student learns of it. */
  private void learn() {
    Scopes.run(
        () -> {
          Tensor rows = queue.pop(settings.cloudBatch());
          Sgd optimiser = teacher.optimiser();
          if (optimiser != null) {
            Tensor logits = teacher.adapting(rows);
            step(SelectiveDistillation.teacherLoss(logits, entropyMax), optimiser, rows.size(0));
          }
          boolean more = replay.size() >= settings.replayStart();
          distil(
              more
                  ? torch.cat(
                      new TensorVector(rows, replay.sample(3L * settings.cloudBatch(), rng)), 0)
                  : rows);
        });
  }

  private void distil(Tensor rows) {
    Tensor target = teacher.labels(rows);
    Shapes.finite("What the teacher says of the uploaded rows", target);
    Tensor loss =
        SelectiveDistillation.studentLoss(
            student.logits(rows, true),
            target,
            settings.alpha(),
            settings.beta(),
            settings.gamma(),
            settings.temperature(),
            entropyMax);
    step(loss, studentOptimiser, rows.size(0));
    version++;
  }

  private void step(Tensor loss, Sgd optimiser, long rows) {
    optimiser.clearGradients();
    loss.backward();
    optimiser.step();
    optimiser.clearGradients();
    updates++;
    backward += rows;
  }

  private Message update() {
    sent = version;
    return new Message(Message.Kind.UPDATE, Map.of("version", version), student.shipped());
  }

  @Override
  public Message latest(long held) {
    if (version > held) {
      return update();
    }
    // A cloud that was started anew counts on from what the device has.
    version = held;
    sent = held;
    return Message.of(Message.Kind.IDLE, Map.of());
  }

  @Override
  public long updates() {
    return updates;
  }

  @Override
  public long backward() {
    return backward;
  }

  @Override
  public State state() {
    Tensor now = Scopes.scoped(() -> Scopes.own(rng.state()));
    Scopes.release(random);
    random = now;
    return new NestedState()
        .value("batch", batch)
        .value("version", version)
        .value("sent", sent)
        .value("updates", updates)
        .value("backward", backward)
        .part("teacher", teacher)
        .part("student", student)
        .part("studentOptimiser", studentOptimiser)
        .part("queue", queue)
        .part("replay", replay)
        .tensor("random", now)
        .of(TYPE);
  }

  @Override
  public void restore(State state) {
    NestedState.allOrNothing(state(), state.expect(TYPE, 1), this::apply);
  }

  private void apply(State state) {
    long newBatch = NestedState.count(state, "batch");
    long newVersion = NestedState.count(state, "version");
    long newSent = NestedState.count(state, "sent");
    long newUpdates = NestedState.count(state, "updates");
    long newBackward = NestedState.count(state, "backward");
    NestedState.restore(state, "student", student);
    NestedState.restore(state, "studentOptimiser", studentOptimiser);
    NestedState.restore(state, "queue", queue);
    NestedState.restore(state, "replay", replay);
    NestedState.restore(state, "teacher", teacher);
    rng.state(state.tensor("random"));
    batch = newBatch;
    version = newVersion;
    sent = newSent;
    updates = newUpdates;
    backward = newBackward;
  }

  @Override
  public void close() {
    studentOptimiser.close();
    student.close();
    teacher.close();
    queue.close();
    replay.close();
    rng.close();
    Scopes.release(random);
    random = null;
  }
}
