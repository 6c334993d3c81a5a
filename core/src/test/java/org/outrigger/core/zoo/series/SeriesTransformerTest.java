package org.outrigger.core.zoo.series;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.List;
import java.util.Map;
import java.util.function.Function;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Gradients;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

class SeriesTransformerTest {
  private static final int PATCH = 4;

  private static SeriesConfig config(boolean decoder) {
    return new SeriesConfig(decoder, PATCH, 16, 2, 2, 3, 12);
  }

  private static SeriesTransformer network(boolean decoder) {
    SeriesTransformer network = SeriesTransformer.create(config(decoder), 1);
    network.to(ScalarType.Double);
    return network;
  }

  /** One series of that many patches, the last two to be predicted. */
  private static PackedSeries series(int patches, long seed) {
    try (Rng rng = new Rng(seed)) {
      long[] predicted = new long[patches];
      predicted[patches - 1] = 1;
      predicted[patches - 2] = 1;
      long[] time = new long[patches];
      java.util.Arrays.setAll(time, i -> i);
      long[] sample = new long[patches];
      java.util.Arrays.fill(sample, 1);
      Tensor target = rng.normal(ScalarType.Double, 1, patches, PATCH).mul(new Scalar(3));
      return new PackedSeries(
          target,
          torch.ones_like(target).to(ScalarType.Bool),
          Tensors.of(sample, 1, patches),
          Tensors.of(time, 1, patches),
          Tensors.of(new long[patches], 1, patches),
          Tensors.of(predicted, 1, patches).to(ScalarType.Bool));
    }
  }

  /** The second series behind the first in one sequence, then padding. */
  private static PackedSeries packed(PackedSeries first, PackedSeries second, int padding) {
    Function<Function<PackedSeries, Tensor>, Tensor> join =
        part -> {
          Tensor a = part.apply(first);
          Tensor b = part.apply(second);
          return torch.cat(new TensorVector(a, b, torch.zeros_like(b.narrow(1, 0, padding))), 1);
        };
    return new PackedSeries(
        join.apply(PackedSeries::target),
        join.apply(PackedSeries::observed),
        torch.cat(
            new TensorVector(
                first.sampleId(),
                second.sampleId().add(new Scalar(1)),
                torch.zeros_like(second.sampleId().narrow(1, 0, padding))),
            1),
        join.apply(PackedSeries::timeId),
        join.apply(PackedSeries::variateId),
        join.apply(PackedSeries::predicted));
  }

  @ParameterizedTest
  @CsvSource({
    "8,1,1,872",
    "24,1,1,7032",
    "24,2,1,14040",
    "64,2,1,100928",
    "64,6,1,302656",
    "192,4,3,1771712",
    "256,6,4,4747264"
  })
  void theStackHasThePapersParameters(int width, int layers, int heads, long count) {
    SeriesConfig config = SeriesConfig.of(false, width, layers, heads);
    assertThat(config.stackParameters()).isEqualTo(count);
    if (count < 20_000) {
      try (SeriesTransformer network = SeriesTransformer.create(config, 0)) {
        assertThat(network.stackParameters()).isEqualTo(count);
      }
    }
  }

  @Test
  void largeSizesCountAsThePaperSays() {
    assertThat(SeriesConfig.of(false, 384, 8, 6).stackParameters() / 1e7)
        .isCloseTo(1.41, within(0.01));
    assertThat(SeriesConfig.of(false, 512, 12, 8).stackParameters() / 1e7)
        .isCloseTo(3.78, within(0.01));
    assertThat(SeriesConfig.of(false, 768, 18, 12).stackParameters() / 1e8)
        .isCloseTo(1.27, within(0.01));
    assertThat(SeriesConfig.of(false, 1024, 24, 16).stackParameters() / 1e8)
        .isCloseTo(3.02, within(0.01));
    assertThat(SeriesConfig.of(true, 1536, 36, 24).stackParameters() / 1e9)
        .isCloseTo(1.016, within(0.005));
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void aSeriesAloneIsASeriesPackedWithOthersAndPadding(boolean decoder) {
    Scopes.run(
        () -> {
          try (SeriesTransformer network = network(decoder)) {
            PackedSeries first = series(4, 1);
            PackedSeries second = series(5, 2);
            double alone =
                (network.loss(first).item_double() + network.loss(second).item_double()) / 2;
            assertThat(network.loss(packed(first, second, 0)).item_double())
                .isCloseTo(alone, within(1e-10));
            assertThat(network.loss(packed(first, second, 3)).item_double())
                .isCloseTo(alone, within(1e-10));
          }
        });
  }

  @Test
  void anEncoderDoesNotSeeWhatItIsToPredict() {
    Scopes.run(
        () -> {
          try (SeriesTransformer network = network(false)) {
            PackedSeries series = series(5, 3);
            SeriesScale scale = SeriesScale.of(series);
            double[] before = Tensors.doubles(network.predict(series, scale).raw());
            series.target().narrow(1, 3, 2).add_(new Scalar(100));
            assertThat(Tensors.doubles(network.predict(series, SeriesScale.of(series)).raw()))
                .isEqualTo(before);
          }
        });
  }

  @Test
  void aDecoderSeesOnlyWhatIsBefore() {
    Scopes.run(
        () -> {
          try (SeriesTransformer network = network(true)) {
            PackedSeries series = series(5, 3);
            SeriesScale scale = SeriesScale.of(series);
            Tensor before = network.predict(series, scale).raw().clone();
            series.target().narrow(1, 3, 1).add_(new Scalar(1));
            Tensor after = network.predict(series, scale).raw();
            assertThat(Tensors.doubles(after.narrow(1, 0, 3)))
                .isEqualTo(Tensors.doubles(before.narrow(1, 0, 3)));
            assertThat(after.narrow(1, 3, 2).sub(before.narrow(1, 3, 2)).abs().min().item_double())
                .isGreaterThan(0);
          }
        });
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void gradientsOfTheLossAreFiniteDifferences(boolean decoder) {
    Scopes.run(
        () -> {
          try (SeriesTransformer network = network(decoder)) {
            PackedSeries batch = packed(series(4, 5), series(5, 6), 1);
            Map<String, Tensor> parameters = network.parameters();
            List<String> names =
                List.of(
                    "in_proj.weight",
                    "encoder.layers.0.self_attn.q_norm.weight",
                    "encoder.layers.1.self_attn.k_proj.weight",
                    "encoder.layers.0.ffn.fc_gate.weight",
                    "encoder.norm.weight",
                    "param_proj.proj.components.2.df.weight",
                    "param_proj.proj.weights_logits.bias");
            for (String name : names) {
              Tensor p = parameters.get(name);
              assertThat(p).as(name).isNotNull();
              double exact =
                  Gradients.of(network.loss(batch), p).flatten(0, -1).select(0, 1).item_double();
              Tensor value = p.detach().view(-1).narrow(0, 1, 1);
              double step = 1e-6;
              value.add_(new Scalar(step));
              double up = network.loss(batch).item_double();
              value.sub_(new Scalar(2 * step));
              double down = network.loss(batch).item_double();
              value.add_(new Scalar(step));
              assertThat((up - down) / (2 * step))
                  .as(name)
                  .isCloseTo(exact, within(1e-6 + 1e-5 * Math.abs(exact)));
            }
          }
        });
  }

  @Test
  void attentionIsWhatTheLayerUses() {
    Scopes.run(
        () -> {
          try (Rng rng = new Rng(0);
              SeriesBlock block = new SeriesBlock(config(true), rng)) {
            Tensor x = rng.normal(1, 4, 16);
            Tensor time = Tensors.of(new long[] {0, 1, 2, 3}, 1, 4);
            Tensor one = torch.ones_like(time);
            Tensor weights = block.attention(x, one, time);
            assertThat(weights.shape()).containsExactly(1, 2, 4, 4);
            assertThat(weights.triu(1).abs().max().item_double()).isZero();
            assertThat(weights.sum(-1).sub(new Scalar(1)).abs().max().item_double())
                .isLessThan(1e-6);
            assertThat(Tensors.floats(block.forward(x)))
                .isEqualTo(Tensors.floats(block.run(x, one, time)));
          }
        });
  }

  @Test
  void aConstantSeriesAndASinglePointHaveAScale() {
    Scopes.run(
        () -> {
          Tensor target = torch.ones_like(series(2, 0).target());
          Tensor given = torch.zeros_like(target).to(ScalarType.Bool);
          given.narrow(1, 0, 1).narrow(2, 0, 1).logical_not_();
          Tensor ids = torch.ones_like(series(2, 0).sampleId());
          for (Tensor mask : List.of(torch.ones_like(given), given)) {
            SeriesScale scale =
                SeriesScale.of(target, mask, ids, torch.zeros_like(ids), 1, SeriesScale.MINIMUM);
            assertThat(scale.loc().max().item_double()).isEqualTo(1);
            assertThat(scale.scale().max().item_double()).isCloseTo(Math.sqrt(1e-5), within(1e-12));
          }
        });
  }

  @Test
  void drawsHaveTheMixturesMoments() {
    Scopes.run(
        () -> {
          try (Rng rng = new Rng(4)) {
            // Degrees of freedom 2 + softplus(20): a variance that is known, df / (df - 2).
            Tensor raw = Tensors.of(new double[] {20, -1, 0.5, 20, 2, 1}, 1, 2, 3);
            Tensor logits = Tensors.of(new double[] {Math.log(0.25), Math.log(0.75)}, 1, 2);
            StudentTMixture mixture =
                new StudentTMixture(raw, logits, Tensors.scalar(10), Tensors.scalar(2));
            Tensor drawn = mixture.sample(200_000, rng);
            double mean = 0.25 * -1 + 0.75 * 2;
            assertThat(drawn.mean().item_double()).isCloseTo(10 + 2 * mean, within(0.03));
            double s0 = Math.log1p(Math.exp(0.5));
            double s1 = Math.log1p(Math.exp(1));
            double inflate = 22.0 / 20;
            double variance =
                0.25 * (s0 * s0 * inflate + 1) + 0.75 * (s1 * s1 * inflate + 4) - mean * mean;
            assertThat(drawn.var().item_double()).isCloseTo(4 * variance, within(0.15));
          }
        });
  }

  @Test
  void theDensityOfAMixtureIntegratesToOne() {
    Scopes.run(
        () -> {
          Tensor raw = Tensors.of(new double[] {5, -1, 0.5, 9, 2, 1}, 1, 2, 3);
          Tensor logits = Tensors.of(new double[] {0.3, -0.2}, 1, 2);
          double[] grid = new double[40_001];
          java.util.Arrays.setAll(grid, i -> -200 + i * 0.01);
          StudentTMixture mixture =
              new StudentTMixture(raw, logits, Tensors.scalar(1), Tensors.scalar(0.7));
          Tensor density = mixture.negativeLogLikelihood(Tensors.of(grid, grid.length)).neg().exp();
          assertThat(density.sum().item_double() * 0.01).isCloseTo(1, within(1e-4));
        });
  }

  @Test
  void checkpointsLoadByTheAuthorsNames() {
    try (SeriesTransformer network = SeriesTransformer.create(config(false), 0)) {
      assertThat(network.stateDict().keySet())
          .contains(
              "mask_encoding.weight",
              "in_proj.weight",
              "in_proj.bias",
              "encoder.layers.1.self_attn.q_proj.weight",
              "encoder.layers.1.self_attn.k_norm.weight",
              "encoder.layers.1.ffn.fc_gate.weight",
              "encoder.layers.1.norm2.weight",
              "encoder.norm.weight",
              "param_proj.proj.weights_logits.weight",
              "param_proj.proj.components.0.df.weight");
    }
    try (SeriesTransformer network = SeriesTransformer.create(config(true), 0)) {
      assertThat(network.stateDict()).doesNotContainKey("mask_encoding.weight");
    }
  }

  @Test
  void badSizesAndBatchesAreRefused() {
    assertThatThrownBy(() -> SeriesConfig.of(false, 12, 1, 2))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("multiple of 4");
    Scopes.run(
        () -> {
          assertThatThrownBy(() -> Rotary.of(Tensors.of(new long[] {0}, 1), 3, ScalarType.Float))
              .isInstanceOf(OutriggerException.class)
              .hasMessageContaining("not even");
          try (SeriesTransformer network = network(false)) {
            assertThatThrownBy(() -> network.loss(series(13, 0)))
                .isInstanceOf(OutriggerException.class)
                .hasMessageContaining("longer than the 12");
            PackedSeries bad = series(4, 0);
            bad.target().narrow(1, 0, 1).fill_(new Scalar(Double.NaN));
            assertThatThrownBy(() -> network.loss(bad))
                .isInstanceOf(OutriggerException.class)
                .hasMessageContaining("NaN");
          }
        });
  }
}
