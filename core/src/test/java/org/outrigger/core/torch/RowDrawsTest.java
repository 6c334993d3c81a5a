package org.outrigger.core.torch;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.Test;

class RowDrawsTest {
  @Test
  void aRowDrawsTheSameInEveryBatch() {
    Torch.start();
    try (PointerScope scope = new PointerScope();
        Rng rng = new Rng(1)) {
      Tensor rows = rng.normal(50, 3, 4);
      double[] together = Tensors.doubles(RowDraws.uniform(rows, 7, 2));
      for (int i = 0; i < 50; i++) {
        double[] alone = Tensors.doubles(RowDraws.uniform(rows.narrow(0, i, 1), 7, 2));
        assertThat(alone).containsExactly(together[2 * i], together[2 * i + 1]);
      }
      assertThat(RowDraws.uniform(rows.narrow(0, 0, 0), 7, 2).shape()).containsExactly(0, 2);
    }
  }

  @Test
  void theDrawsAreUniformAndUnrelated() {
    Torch.start();
    try (PointerScope scope = new PointerScope()) {
      // Neighbouring numbers: what a weak hash would map to a pattern.
      long[] numbers = new long[20_000];
      java.util.Arrays.setAll(numbers, i -> i);
      for (Tensor rows :
          new Tensor[] {
            Tensors.of(numbers, numbers.length, 1),
            Tensors.of(numbers, numbers.length, 1).to(ScalarType.Float).div(new Scalar(1e5)),
            Tensors.of(numbers, numbers.length, 1).to(ScalarType.Double).div(new Scalar(1e5))
          }) {
        Tensor u = RowDraws.uniform(rows, 3, 2);
        double[] counts = new double[20];
        for (double value : Tensors.doubles(u)) {
          assertThat(value).isGreaterThan(0).isLessThan(1);
          counts[(int) (20 * value)]++;
        }
        double chi = 0;
        for (double count : counts) {
          chi += (count - 2000) * (count - 2000) / 2000;
        }
        // The 1 - 1e-6 quantile of chi-squared with 19 degrees of freedom.
        assertThat(chi).isLessThan(63);
        Tensor centred = u.sub(new Scalar(0.5));
        double both = centred.select(1, 0).mul(centred.select(1, 1)).mean().item_double() * 12;
        assertThat(both).isCloseTo(0, within(0.035));
        Tensor other = RowDraws.uniform(rows, 4, 2).sub(new Scalar(0.5));
        assertThat(centred.mul(other).mean().item_double() * 12).isCloseTo(0, within(0.025));
      }
    }
  }

  @Test
  void normalDrawsHaveMeanZeroAndVarianceOne() {
    Torch.start();
    try (PointerScope scope = new PointerScope();
        Rng rng = new Rng(2)) {
      Tensor z = RowDraws.normal(rng.normal(4000, 2), 5, 3);
      assertThat(z.mean().item_double()).isCloseTo(0, within(0.04));
      assertThat(z.mul(z).mean().item_double()).isCloseTo(1, within(0.06));
      assertThat(z.isfinite().all().item_bool()).isTrue();
    }
  }
}
