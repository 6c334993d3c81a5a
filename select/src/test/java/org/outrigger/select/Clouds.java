package org.outrigger.select;

import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;

/** Classes as clouds of points, for tests. */
final class Clouds {
  private Clouds() {}

  /** Labels 0, 1, ... in turn, int64 [n]. */
  static Tensor labels(long n, long classes) {
    return torch
        .arange(new Scalar(0), new Scalar(n), new TensorOptions(ScalarType.Long))
        .remainder(new Scalar(classes));
  }

  /** Normal clouds of deviation 1 around class centres that are {@code apart} apart or so. */
  static Tensor features(Tensor labels, long dimension, double apart, long seed) {
    return Scopes.tensor(
        () -> {
          try (Rng rng = new Rng(seed)) {
            long classes = labels.max().item_long() + 1;
            Tensor centres =
                rng.normal(ScalarType.Double, classes, dimension).mul(new Scalar(apart));
            return centres
                .index_select(0, labels)
                .add_(rng.normal(ScalarType.Double, labels.size(0), dimension));
          }
        });
  }

  /** Probabilities of {@code sources} classes that go with the labels. */
  static Tensor probabilities(Tensor labels, long sources, double sure, long seed) {
    return Scopes.tensor(() -> features(labels, sources, sure, seed).softmax(1));
  }

  /** A candidate with all that a score may need. */
  static Candidate candidate(Tensor labels, Tensor features, Tensor probabilities) {
    return new Candidate(features, labels, probabilities);
  }

  /** A random rotation, [d, d]. */
  static Tensor rotation(long d, long seed) {
    return Scopes.tensor(
        () -> {
          try (Rng rng = new Rng(seed)) {
            return torch.linalg_qr(rng.normal(ScalarType.Double, d, d)).get0();
          }
        });
  }
}
