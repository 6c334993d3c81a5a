package org.outrigger.example.boot;

import io.micrometer.core.instrument.Counter;
import io.micrometer.core.instrument.MeterRegistry;
import jakarta.annotation.PreDestroy;
import java.nio.file.Path;
import java.util.Map;
import org.bytedeco.javacpp.PointerScope;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.optim.Trainer;
import org.outrigger.core.torch.Tensors;
import org.outrigger.core.torch.Torch;
import org.outrigger.datasets.Iris;
import org.outrigger.detect.Mahalanobis;
import org.outrigger.guard.Guard;
import org.outrigger.guard.GuardInfo;
import org.outrigger.guard.Verdict;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.springframework.stereotype.Service;

/** Holds the guard. Requests may come on many threads: {@code Guard.check} is safe for that. */
@Service
public class Classifier {
  private static final Logger LOG = LoggerFactory.getLogger(Classifier.class);

  private final @Nullable NeuralModel trained;
  private final Guard guard;
  private final Counter known;
  private final Counter unknown;
  private volatile boolean open = true;

  public Classifier(ClassifierProperties properties, MeterRegistry meters) {
    Torch.threads(properties.threads());
    Path bundle = properties.bundle();
    if (bundle == null) {
      trained = train();
      try (TensorDataset flowers = Iris.all()) {
        guard = Guard.of(trained).detect(new Mahalanobis()).accept(0.95).fit(flowers);
      }
      LOG.info("Trained a guard on Iris; classifier.bundle names one of your own");
    } else {
      trained = null;
      guard = Guard.load(bundle);
      LOG.info("Opened the guard {}", bundle);
    }
    known = meters.counter("classifier.rows", "unknown", "false");
    unknown = meters.counter("classifier.rows", "unknown", "true");
  }

  private static NeuralModel train() {
    NeuralModel model = NeuralModel.create("mlp", Map.of("hidden", "16"), new long[] {4}, 3, 1);
    try (TensorDataset flowers = Iris.all()) {
      Trainer.of(model)
          .settings(Trainer.Settings.defaults().withEpochs(60).withSeed(1))
          .fit(flowers);
    }
    return model;
  }

  /**
   * Judges one input.
   *
   * @throws OutriggerException if it does not fit; the first line of the message says why
   */
  public Verdict classify(float[] values) {
    long[] inner = info().inputShape();
    long[] shape = new long[inner.length + 1];
    shape[0] = 1;
    System.arraycopy(inner, 0, shape, 1, inner.length);
    int length = 1;
    for (long size : inner) {
      length *= (int) size;
    }
    if (values.length != length) {
      throw new OutriggerException(
          "The input has " + values.length + " values: send " + length + ".");
    }
    // Tensors are native memory, which this scope frees.
    try (PointerScope scope = new PointerScope()) {
      Verdict verdict = guard.check(Tensors.of(values, shape)).get(0);
      (verdict.unknown() ? unknown : known).increment();
      return verdict;
    }
  }

  /** What the guard is. */
  public GuardInfo info() {
    return guard.info();
  }

  /** Whether it answers. */
  public boolean open() {
    return open;
  }

  /** Spring calls this after the last request was answered (server.shutdown=graceful). */
  @PreDestroy
  public void close() {
    open = false;
    guard.close();
    if (trained != null) {
      trained.close();
    }
  }
}
