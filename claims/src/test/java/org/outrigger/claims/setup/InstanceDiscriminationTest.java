package org.outrigger.claims.setup;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.ArrayList;
import java.util.List;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.Test;
import org.outrigger.core.model.Output;
import org.outrigger.core.optim.StepObjective;
import org.outrigger.core.torch.Gradients;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

class InstanceDiscriminationTest {
  private static Output features(Tensor features) {
    return new Output(features.narrow(1, 0, 2), features);
  }

  @Test
  void theLossIsThatOfGuessingWhereAllImagesLookAlikeAndSmallWhereOnlyPairsDo() {
    Scopes.run(
        () -> {
          try (InstanceDiscrimination objective = new InstanceDiscrimination(8, 16, 8, 0);
              Rng rng = new Rng(1)) {
            Tensor none = Tensors.labels(-1, -1, -1, -1, -1, -1, -1, -1);
            Tensor same = rng.normal(1, 8).expand(8, 8);
            assertThat(objective.loss(features(same), none).item_double())
                .isCloseTo(Math.log(7), within(1e-5));
            Tensor four = rng.normal(4, 8);
            Tensor pairs = torch.cat(new TensorVector(four, four), 0);
            Tensor strangers = torch.cat(new TensorVector(four, four.flip(0)), 0);
            double paired = objective.loss(features(pairs), none).item_double();
            assertThat(paired).isLessThan(Math.log(7));
            assertThat(paired).isLessThan(objective.loss(features(strangers), none).item_double());
          }
        });
  }

  @Test
  void aStepShowsTwoViewsOfEachImageAndMovesTheProjection() {
    Scopes.run(
        () -> {
          try (InstanceDiscrimination objective = new InstanceDiscrimination(6, 5, 4, 0);
              Rng rng = new Rng(1);
              Rng again = new Rng(1)) {
            Tensor images = torch.ones(new long[] {3, 1, 4, 4});
            List<Tensor> seen = new ArrayList<>();
            StepObjective.Result result =
                objective.step(
                    x -> {
                      seen.add(x);
                      return features(x.flatten(1, -1).narrow(1, 5, 6));
                    },
                    images,
                    Tensors.labels(0, 1, 0),
                    rng);
            assertThat(seen).hasSize(1);
            Tensor views = seen.get(0);
            assertThat(views.shape()).containsExactly(6, 1, 4, 4);
            assertThat(views.narrow(0, 0, 3).equal(views.narrow(0, 3, 3))).isFalse();
            assertThat(result.labels().lt(new Scalar(0)).all().item_bool()).isTrue();
            assertThat(
                    Gradients.of(result.loss(), List.copyOf(objective.parameters().values()), false)
                        .get(0)
                        .abs()
                        .sum()
                        .to(ScalarType.Double)
                        .item_double())
                .isPositive();
            StepObjective.Result same =
                objective.step(
                    x -> features(x.flatten(1, -1).narrow(1, 5, 6)),
                    images,
                    Tensors.labels(0, 1, 0),
                    again);
            assertThat(same.loss().item_double()).isEqualTo(result.loss().item_double());
          }
        });
  }
}
