package org.outrigger.datasets;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.Arrays;
import org.bytedeco.javacpp.PointerScope;
import org.junit.jupiter.api.Test;
import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.torch.Tensors;
import org.outrigger.core.torch.Torch;

class StreamGeneratorsTest {
  @Test
  void clicksAreTheSameForASeedAndChangeWithTheDrift() {
    Torch.start();
    try (PointerScope scope = new PointerScope();
        TensorDataset before = DriftingClicks.before(4000, 1);
        TensorDataset again = DriftingClicks.before(4000, 1);
        TensorDataset after = DriftingClicks.after(4000, 1)) {
      assertThat(again.labels()).containsExactly(before.labels());
      assertThat(Arrays.stream(before.labels()).average().orElseThrow()).isBetween(0.2, 0.5);
      double[] ids = Tensors.doubles(after.inputs().select(1, 1));
      assertThat(Arrays.stream(ids).max().orElseThrow()).isEqualTo(DriftingClicks.ITEMS - 1);
      assertThat(after.labels()).isNotEqualTo(before.labels());
    }
  }

  @Test
  void aDrasticFailureLiftsALink() {
    Torch.start();
    try (PointerScope scope = new PointerScope()) {
      double[] loads = Tensors.doubles(LinkLoads.failing(1, 4, 4, LinkLoads.Failure.DRASTIC, 3));
      assertThat(loads).hasSize(8 * LinkLoads.PERIOD);
      double before = Arrays.stream(loads, 0, 192).average().orElseThrow();
      double after = Arrays.stream(loads, 192, 384).average().orElseThrow();
      assertThat(after - before).isBetween(0.29, 0.41);
      assertThat(LinkLoads.quiet(2, 3, 1).shape()).containsExactly(2, 144);
    }
  }

  @Test
  void aFailedLinkCarriesNothingAndItsTrafficIsElsewhere() {
    NetworkTraffic traffic = NetworkTraffic.simulate(8, 3, 1, 1, 5);
    assertThat(traffic.links()).hasSize(11).doesNotHaveDuplicates();
    assertThat(traffic.rerouted()).isPositive();
    double[] sums = new double[2];
    for (int t = 0; t < traffic.loads().length; t++) {
      boolean failed = t >= traffic.failure();
      double[] row = traffic.loads()[t];
      sums[failed ? 1 : 0] += Arrays.stream(row).sum();
      if (failed) {
        assertThat(row[traffic.failed()]).isZero();
      } else {
        assertThat(row[traffic.failed()]).isPositive();
      }
    }
    // Detours take more links.
    assertThat(sums[1]).isGreaterThan(sums[0]);
    assertThat(NetworkTraffic.simulate(8, 3, 1, 1, 5).loads()).isDeepEqualTo(traffic.loads());
    assertThatThrownBy(() -> NetworkTraffic.simulate(3, 1, 1, 1, 0)).hasMessageContaining("nodes");
  }
}
