package org.outrigger.claims.golden;

import java.util.LinkedHashMap;
import java.util.Map;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.adapt.AdaNpc;
import org.outrigger.adapt.FeatureMemory;
import org.outrigger.adapt.Memory;
import org.outrigger.adapt.NeighbourVoting;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.Methods;
import org.outrigger.core.torch.Gradients;
import org.outrigger.core.torch.Scopes;

/** Golden cases of AdaNPC: votes over a growing memory, and a step of training for it. */
public final class AdaNpcGolden implements GoldenSuite {
  @Override
  public String slug() {
    return "adanpc";
  }

  @Override
  public void check(GoldenCase golden) {
    if (golden.hasInput("memory_features") && golden.hasInput("x")) {
      stream(golden);
    } else if (golden.hasInput("queue_features") && golden.hasInput("z")) {
      training(golden);
    } else {
      throw new OutriggerException(
          golden.file() + " is a kind of case that this suite does not know.");
    }
  }

  private static void stream(GoldenCase golden) {
    AdaNpc.Settings settings = settings(golden);
    long classes = (long) golden.param("classes");
    try (Memory source = new Memory();
        Memory joined = new Memory()) {
      FeatureMemory memory = new FeatureMemory(source, joined, settings.capacity());
      memory.learn(
          golden.input("memory_features"), golden.labels("memory_labels"), settings.graphAbove());
      Tensor x = golden.input("x");
      int batches = (int) x.size(0);
      TensorVector scores = new TensorVector();
      TensorVector confidences = new TensorVector();
      double[] sizes = new double[batches];
      for (int t = 0; t < batches; t++) {
        Tensor votes = AdaNpc.predict(memory, x.select(0, t), classes, settings);
        scores.push_back(votes);
        confidences.push_back(AdaNpc.confidence(votes, settings.confidence()));
        sizes[t] = memory.size();
      }
      golden.expect("scores", torch.stack(scores, 0));
      golden.expect("confidence", torch.stack(confidences, 0));
      golden.expect("memory_size_after", sizes);
      golden.expect("memory_labels_after", memory.labels());
      long last = golden.output("last_memory_rows").size(0);
      golden.expect("last_memory_rows", memory.features().narrow(0, memory.size() - last, last));
    }
  }

  private static AdaNpc.Settings settings(GoldenCase golden) {
    Map<String, Object> changes = new LinkedHashMap<>();
    changes.put("k", (int) golden.param("k"));
    changes.put("temperature", golden.param("temperature"));
    changes.put("beta", golden.param("beta"));
    if (golden.params().has("eps_ball")) {
      changes.put("epsBall", golden.param("eps_ball"));
    }
    try (AdaNpc method = Methods.create(AdaNpc.class, "adanpc", changes)) {
      return method.settings();
    }
  }

  private static void training(GoldenCase golden) {
    Tensor queue = golden.input("queue_features");
    NeighbourVoting.Settings defaults = NeighbourVoting.Settings.defaults();
    double temperature = golden.param("temperature");
    try (NeighbourVoting voting =
        new NeighbourVoting(
            queue,
            golden.labels("queue_labels"),
            (long) golden.param("write_index"),
            (long) golden.param("classes"),
            new NeighbourVoting.Settings(
                (int) golden.param("k"),
                (int) queue.size(0),
                temperature,
                temperature,
                defaults.annealing()))) {
      Tensor z = golden.input("z").requires_grad_(true);
      Tensor y = golden.labels("y");
      Tensor scores = Scopes.grad(true, () -> voting.scores(z));
      Tensor loss = Scopes.grad(true, () -> NeighbourVoting.loss(scores, y));
      golden.expect("scores", scores);
      golden.expect("loss", loss);
      golden.expect("grad_z", Gradients.of(loss, z));
      voting.push(z, y);
      golden.expect("queue_features_after", voting.features());
      golden.expect("queue_labels_after", voting.labels());
      golden.expect("write_index_after", voting.next());
    }
  }
}
