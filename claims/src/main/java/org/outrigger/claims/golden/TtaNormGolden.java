package org.outrigger.claims.golden;

import java.util.ArrayList;
import java.util.List;
import java.util.function.UnaryOperator;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.adapt.AlphaBatchNorm;
import org.outrigger.adapt.Cstu;
import org.outrigger.adapt.InstanceAwareBatchNorm;
import org.outrigger.adapt.Memo;
import org.outrigger.adapt.Note;
import org.outrigger.adapt.RobustBatchNorm;
import org.outrigger.core.nn.BatchNorm2d;
import org.outrigger.core.nn.ForwardContext;
import org.outrigger.core.torch.Gradients;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

/** Normalisation layers, RoTTA's memory, and MEMO's loss. */
final class TtaNormGolden {
  private static final String MEAN = "running_mean";
  private static final String VARIANCE = "running_var";

  private TtaNormGolden() {}

  /** Whether the case is of this kind. */
  static boolean knows(GoldenCase golden) {
    return golden.hasOutput("y_alpha")
        || golden.hasOutput("note_entropy_loss")
        || golden.hasOutput("occupancy_after_each")
        || golden.hasOutput("avg_log_prob");
  }

  static void check(GoldenCase golden) {
    if (golden.hasOutput("y_alpha")) {
      mixtures(golden);
    } else if (golden.hasOutput("note_entropy_loss")) {
      note(golden);
    } else if (golden.hasOutput("occupancy_after_each")) {
      rotta(golden);
    } else {
      memo(golden);
    }
  }

  private static void mixtures(GoldenCase golden) {
    Tensor x = golden.input("x");
    try (BatchNorm2d norm = GoldenNorms.of(golden, MEAN, VARIANCE, golden.param("momentum"));
        AlphaBatchNorm alpha = new AlphaBatchNorm(norm, golden.param("alpha"))) {
      golden.expect("y_source", each(x, norm::forward));
      golden.expect("y_alpha", each(x, alpha::forward));
      golden.expect(
          "y_batch", each(x, batch -> norm.forward(batch, ForwardContext.BATCH_STATISTICS)));
      golden.expect(
          "y_ema",
          each(
              x,
              batch -> {
                norm.train();
                norm.forward(batch);
                norm.eval();
                return norm.forward(batch);
              }));
      golden.expect("ema_mean_after", norm.tensor(MEAN));
      golden.expect("ema_var_after", norm.tensor(VARIANCE));
    }
  }

  private static Tensor each(Tensor batches, UnaryOperator<Tensor> layer) {
    List<Tensor> outputs = new ArrayList<>();
    for (long t = 0; t < batches.size(0); t++) {
      outputs.add(layer.apply(batches.select(0, t)));
    }
    return StreamGolden.stack(outputs);
  }

  private static void note(GoldenCase golden) {
    Tensor x = golden.input("x");
    double momentum = golden.param("bn_momentum");
    try (BatchNorm2d norm = GoldenNorms.of(golden, MEAN, VARIANCE, momentum);
        InstanceAwareBatchNorm layer =
            new InstanceAwareBatchNorm(norm, golden.param("k"), momentum)) {
      layer.eval();
      golden.expect("y_eval", layer.forward(x));
      layer.train();
      golden.expect("y_train", layer.forward(x));
      golden.expect("running_mean_after", layer.tensor(MEAN));
      golden.expect("running_var_after", layer.tensor(VARIANCE));
      layer.eval();
      golden.expect("y_eval_after", layer.forward(x));
    }
    golden.expect("note_entropy_loss", Note.loss(golden.input("logits")));
  }

  private static void rotta(GoldenCase golden) {
    int[] labels = Tensors.ints(golden.labels("pseudo_labels"));
    double[] uncertainty = golden.values("uncertainty");
    int capacity = (int) golden.param("capacity");
    int classes = (int) golden.param("classes");
    double[] occupancy = new double[labels.length * classes];
    try (Cstu memory =
        new Cstu(capacity, classes, golden.param("lambda_t"), golden.param("lambda_u"))) {
      for (int i = 0; i < labels.length; i++) {
        memory.offer(Tensors.scalar(i), labels[i], uncertainty[i]);
        int[] counts = memory.occupancy();
        for (int c = 0; c < classes; c++) {
          occupancy[i * classes + c] = counts[c];
        }
      }
      golden.expect("occupancy_after_each", occupancy);
      golden.expect("final_sample_ids", memory.inputs());
      Tensor ages = Tensors.of(memory.ages(), memory.size()).div(Tensors.scalar(capacity));
      golden.expect("final_ages_over_capacity", ages);
      golden.expect("instance_weights", Cstu.weights(ages));
    }
    Tensor x = golden.input("x");
    double alpha = golden.param("rbn_alpha");
    try (BatchNorm2d norm = GoldenNorms.of(golden, MEAN, VARIANCE, alpha);
        RobustBatchNorm layer = new RobustBatchNorm(norm, alpha)) {
      layer.train();
      golden.expect("rbn_train_y", each(x, layer::forward));
      golden.expect("rbn_mean_after", layer.tensor(MEAN));
      golden.expect("rbn_var_after", layer.tensor(VARIANCE));
      layer.eval();
      golden.expect("rbn_eval_y_first", layer.forward(x.select(0, 0)));
    }
  }

  private static void memo(GoldenCase golden) {
    Tensor logits = golden.input("logits").to(ScalarType.Double).requires_grad_(true);
    Tensor loss = Scopes.grad(true, () -> Memo.marginalEntropy(logits));
    golden.expect("loss", loss);
    golden.expect("avg_log_prob", Memo.averageLogProbabilities(logits));
    golden.expect("grad_logits", Gradients.of(loss, logits));
  }
}
