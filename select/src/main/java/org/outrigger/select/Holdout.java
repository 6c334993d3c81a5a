package org.outrigger.select;

import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;

/**
 * A random split of a candidate's rows by class: some to fit a simple classifier on, the others to
 * measure it. The features are standardised by the rows that fit.
 *
 * @param fit float64 [M, D]
 * @param fitLabels int64 [M]
 * @param test float64 [N - M, D]
 * @param testLabels int64 [N - M]
 */
record Holdout(Tensor fit, Tensor fitLabels, Tensor test, Tensor testLabels) {
  /**
   * Splits; tensors belong to the enclosing scope.
   *
   * @param most rows that are used at all; of more a random sample is taken
   * @param share of a class that fits, at least one row of each
   */
  static Holdout of(Tensor features, Tensor labels, double share, int most, Rng rng) {
    return Scopes.scoped(
        () -> {
          Tensor order = rng.permutation(features.size(0));
          order = order.narrow(0, 0, Math.min(most, order.size(0)));
          Tensor drawn = labels.index_select(0, order);
          ClassOrder classes = ClassOrder.of(drawn);
          TensorVector first = new TensorVector();
          TensorVector second = new TensorVector();
          for (int c = 0; c < classes.classes(); c++) {
            long n = classes.counts()[c];
            long cut = n == 0 ? 0 : Math.max(1, Math.min(n - 1, Math.round(share * n)));
            Tensor rows = classes.rows(c);
            first.push_back(rows.narrow(0, 0, cut));
            second.push_back(rows.narrow(0, cut, n - cut));
          }
          Tensor fitting = torch.cat(first, 0);
          Tensor testing = torch.cat(second, 0);
          if (testing.size(0) == 0) {
            throw new OutriggerException(
                "No row is left to measure a probe on: give at least two rows of some class.");
          }
          Tensor x = features.index_select(0, order.index_select(0, fitting)).to(ScalarType.Double);
          Tensor mean = x.mean(0);
          Tensor spread = x.std(new long[] {0}, false, false);
          Tensor scale = spread.masked_fill(spread.eq(new Scalar(0.0)), new Scalar(1.0));
          Tensor z = features.index_select(0, order.index_select(0, testing)).to(ScalarType.Double);
          return new Holdout(
              Scopes.keep(new Tensor(x.sub(mean).div_(scale))),
              Scopes.keep(new Tensor(drawn.index_select(0, fitting))),
              Scopes.keep(new Tensor(z.sub(mean).div_(scale))),
              Scopes.keep(new Tensor(drawn.index_select(0, testing))));
        });
  }

  /** The share of the rows to measure on that are predicted right. */
  double accuracy(Tensor predicted) {
    return Scopes.scoped(() -> predicted.eq(testLabels).to(ScalarType.Double).mean().item_double());
  }
}
