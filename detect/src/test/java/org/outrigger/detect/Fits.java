package org.outrigger.detect;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.model.Output;
import org.outrigger.core.model.Outputs;
import org.outrigger.core.torch.Tensors;

/** What every fitted detector keeps: bits through a save, and its state through a failed fit. */
final class Fits {
  private Fits() {}

  /** Saves, restores into {@code other}, and compares all bits; then fits on bad data. */
  static void holds(Detector detector, Detector other, Outputs known, Output tested) {
    assertThatThrownBy(() -> detector.score(tested))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("has not been fitted");
    detector.fit(known);
    double[] scores = Tensors.doubles(detector.score(tested));
    other.restore(detector.state());
    assertThat(Tensors.doubles(other.score(tested))).containsExactly(scores);
    assertThat(other.settings()).isEqualTo(detector.settings());

    Tensor none = Tensors.of(new long[(int) tested.size()], tested.size()).sub(new Scalar(1));
    assertThatThrownBy(() -> detector.fit(Outputs.of(tested, none, known.head())))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("below 0");
    assertThat(Tensors.doubles(detector.score(tested))).containsExactly(scores);

    Tensor nan = tested.logits().clone().fill_(new Scalar(Double.NaN));
    Output bad =
        new Output(
            nan,
            tested.hasFeatures() ? tested.features().mul(new Scalar(Double.NaN)) : null,
            tested.maps());
    assertThatThrownBy(() -> detector.score(bad))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("NaN");
  }
}
