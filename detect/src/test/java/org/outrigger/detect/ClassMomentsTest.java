package org.outrigger.detect;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.Test;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Tensors;
import org.outrigger.core.torch.Torch;

class ClassMomentsTest {
  private static void assertSame(ClassMoments a, ClassMoments b) {
    assertThat(Tensors.doubles(a.counts())).containsExactly(Tensors.doubles(b.counts()));
    assertThat(Tensors.doubles(a.means()))
        .containsExactly(Tensors.doubles(b.means()), within(1e-9));
    assertThat(Tensors.doubles(a.within()))
        .containsExactly(Tensors.doubles(b.within()), within(1e-9));
    assertThat(Tensors.doubles(a.covariance()))
        .containsExactly(Tensors.doubles(b.covariance()), within(1e-9));
  }

  @Property(tries = 20)
  void mergedPartsEqualOnePass(@ForAll long seed, @ForAll @IntRange(min = 1, max = 29) int cut) {
    Torch.start();
    try (PointerScope scope = new PointerScope();
        ClassMoments whole = new ClassMoments(3, 4);
        ClassMoments left = new ClassMoments(3, 4);
        ClassMoments right = new ClassMoments(3, 4)) {
      Blobs blobs = new Blobs(seed, 3, 4);
      Tensor features = blobs.near(30).add(new Scalar(100.0));
      Tensor labels = blobs.labels(30);
      whole.add(features, labels);
      left.add(features.narrow(0, 0, cut), labels.narrow(0, 0, cut));
      right.add(features.narrow(0, cut, 30 - cut), labels.narrow(0, cut, 30 - cut));
      right.merge(left);
      assertSame(right, whole);
    }
  }

  @Test
  void theyAreTheMomentsOfTheDefinition() {
    Torch.start();
    try (PointerScope scope = new PointerScope();
        ClassMoments moments = new ClassMoments(3, 4)) {
      Blobs blobs = new Blobs(5, 3, 4);
      // A common offset of ten thousand spreads must cost no digits that matter.
      Tensor features = blobs.near(60).add(new Scalar(3000.0));
      Tensor labels = blobs.labels(60);
      moments.add(features, labels);
      Tensor apart = features.sub(moments.means().index_select(0, labels));
      assertThat(Tensors.doubles(moments.within()))
          .containsExactly(
              Tensors.doubles(apart.t().mm(apart).div(new Scalar(60.0))), within(1e-9));
      Tensor about = features.sub(features.mean(0));
      assertThat(Tensors.doubles(moments.covariance()))
          .containsExactly(
              Tensors.doubles(about.t().mm(about).div(new Scalar(60.0))), within(1e-9));
      Tensor origin = features.select(0, 0);
      Tensor from = features.sub(origin);
      assertThat(Tensors.doubles(moments.secondMoment(origin)))
          .containsExactly(Tensors.doubles(from.t().mm(from).div(new Scalar(60.0))), within(1e-8));
    }
  }

  @Test
  void aRestoredOneContinues() {
    Torch.start();
    try (PointerScope scope = new PointerScope();
        ClassMoments first = new ClassMoments(2, 3);
        ClassMoments second = new ClassMoments(1, 1)) {
      Blobs blobs = new Blobs(5, 2, 3);
      first.add(blobs.near(10), blobs.labels(10));
      second.restore(first.state());
      Tensor more = blobs.near(8);
      first.add(more, blobs.labels(8));
      second.add(more, blobs.labels(8));
      assertThat(Tensors.doubles(second.within())).containsExactly(Tensors.doubles(first.within()));
      assertThat(second.count()).isEqualTo(18);
    }
  }

  @Test
  void momentsOfOtherSizesAndLabelsOutOfRangeAreRefused() {
    Torch.start();
    try (PointerScope scope = new PointerScope();
        ClassMoments moments = new ClassMoments(2, 3);
        ClassMoments other = new ClassMoments(2, 4)) {
      assertThatThrownBy(() -> moments.merge(other)).isInstanceOf(OutriggerException.class);
      Tensor rows = torch.ones(new long[] {2, 3}, new TensorOptions(ScalarType.Double));
      assertThatThrownBy(() -> moments.add(rows, Tensors.labels(0, 2)))
          .isInstanceOf(OutriggerException.class);
      assertThat(moments.count()).isZero();
    }
  }

  @Property(tries = 20)
  void percentilesAreThoseOfSortedValues(
      @ForAll long seed, @ForAll @IntRange(min = 0, max = 100) int percent) {
    Torch.start();
    try (PointerScope scope = new PointerScope();
        Rng rng = new Rng(seed)) {
      for (ScalarType type : new ScalarType[] {ScalarType.Float, ScalarType.Double}) {
        Tensor a = rng.normal(type, 7, 5);
        Tensor b = rng.normal(type, 3, 5).relu();
        Tensor all = torch.cat(new org.bytedeco.pytorch.TensorVector(a, b), 0).flatten();
        double[] sorted = Tensors.doubles(all.sort().get0());
        double position = 49 * percent / 100.0;
        int low = (int) Math.floor(position);
        double expected =
            sorted[low] + (position - low) * (sorted[Math.min(low + 1, 49)] - sorted[low]);
        double actual =
            Percentile.of(
                percent,
                part -> {
                  part.accept(a);
                  part.accept(b);
                });
        assertThat(actual).isCloseTo(expected, within(1e-15));
      }
    }
  }
}
