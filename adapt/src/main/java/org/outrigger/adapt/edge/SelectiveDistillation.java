package org.outrigger.adapt.edge;

import org.bytedeco.pytorch.LongOptional;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;

/**
 * CEMA's losses in the cloud: entropy and distillation, each row weighted by {@code 1 / exp(H -
 * E_max)} of an entropy H that is held fixed, so that confident rows count more. Weights lie
 * between {@code exp(E_max) / C} and {@code exp(E_max)} and are not normalised.
 *
 * <p>Chen et al., "Towards Robust and Efficient Cloud-Edge Elastic Model Adaptation via Selective
 * Entropy Distillation", ICLR 2024.
 */
public final class SelectiveDistillation {
  private SelectiveDistillation() {}

  /**
   * The entropy of each row's softmax.
   *
   * @param logits [N, C]; negative infinity counts as probability 0
   * @return [N] in nats, 0 to ln C
   */
  public static Tensor entropy(Tensor logits) {
    Shapes.check().tensor("The logits", logits, "N", "C");
    return Scopes.tensor(() -> entropyOf(logProbabilities(logits)));
  }

  private static Tensor logProbabilities(Tensor logits) {
    ScalarType type = logits.scalar_type().intern();
    double least = type == ScalarType.Double ? -Double.MAX_VALUE : -Float.MAX_VALUE;
    return torch.log_softmax(logits, 1).clamp_min(new Scalar(least));
  }

  private static Tensor entropyOf(Tensor logP) {
    return logP.exp().mul(logP).sum(1).neg();
  }

  /** {@code 1 / exp(H - E_max)} without gradient. */
  private static Tensor weights(Tensor entropy, double entropyMax) {
    return entropy.detach().neg().add(new Scalar(entropyMax)).exp();
  }

  /**
   * What the cloud's own model minimises: {@code mean w(H) H}.
   *
   * @param logits of the teacher, [N, C]
   * @param entropyMax E_max of the weights, in nats
   * @return a scalar
   */
  public static Tensor teacherLoss(Tensor logits, double entropyMax) {
    Shapes.check().tensor("The teacher's logits", logits, "N", "C");
    return Scopes.tensor(
        () -> {
          Tensor entropy = entropyOf(logProbabilities(logits));
          return entropy.mul(weights(entropy, entropyMax)).mean();
        });
  }

  /**
   * What the device's model minimises: {@code alpha mean w(H(s)) H(s) + beta mean w(H(t)) T^2
   * KL(softmax(t/T) || softmax(s/T)) + gamma mean w(H(t)) CE(s, argmax t)}.
   *
   * @param student s, [N, C]
   * @param teacher t, [N, C]; gets no gradient
   * @param alpha weight of the entropy
   * @param beta weight of the divergence
   * @param gamma weight of the cross-entropy
   * @param temperature T, above 0
   * @param entropyMax E_max of the weights, in nats
   * @return a scalar
   */
  public static Tensor studentLoss(
      Tensor student,
      Tensor teacher,
      double alpha,
      double beta,
      double gamma,
      double temperature,
      double entropyMax) {
    Shapes.check()
        .tensor("The student's logits", student, "N", "C")
        .tensor("The teacher's logits", teacher, "N", "C");
    return Scopes.tensor(
        () -> {
          Tensor t = teacher.detach();
          Tensor trust = weights(entropyOf(logProbabilities(t)), entropyMax);
          Tensor logS = logProbabilities(student);
          Tensor own = entropyOf(logS);
          Tensor ownPart = own.mul(weights(own, entropyMax)).mean();
          Scalar soft = new Scalar(temperature);
          Tensor logSoftT = logProbabilities(t.div(soft));
          Tensor logSoftS = logProbabilities(student.div(soft));
          Tensor divergence = logSoftT.exp().mul(logSoftT.sub(logSoftS)).sum(1);
          Tensor softPart = divergence.mul(trust).mean().mul(new Scalar(temperature * temperature));
          Tensor label = t.argmax(new LongOptional(1), true);
          Tensor hardPart = logS.gather(1, label).squeeze(1).neg().mul(trust).mean();
          return ownPart
              .mul(new Scalar(alpha))
              .add(softPart.mul(new Scalar(beta)))
              .add(hardPart.mul(new Scalar(gamma)));
        });
  }
}
