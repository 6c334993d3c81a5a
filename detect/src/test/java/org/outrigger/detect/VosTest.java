package org.outrigger.detect;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.ArrayList;
import java.util.List;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.junit.jupiter.api.Test;
import org.outrigger.core.model.LinearHead;
import org.outrigger.core.model.Output;
import org.outrigger.core.torch.Gradients;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

class VosTest {
  private final Vos.Settings small = new Vos.Settings(0.1, 4, 1000, 2, 7);

  private static LinearHead head(Rng rng, long classes, long dimension) {
    return new LinearHead(
        rng.normal(classes, dimension).requires_grad_(true),
        rng.normal(classes).requires_grad_(true));
  }

  @Test
  void outliersJoinOnceEveryQueueIsFullAndTrainHeadWeightsAndRegression() {
    Scopes.run(
        () -> {
          try (Rng rng = new Rng(1);
              Vos vos = new Vos(small)) {
            LinearHead head = head(rng, 2, 3);
            vos.attach(head);
            Tensor features = rng.normal(4, 3);
            Output output = new Output(head.apply(features), features);
            double first = vos.loss(output, Tensors.labels(0, 1, 0, 1)).item_double();
            double plain =
                torch.cross_entropy_loss(output.logits(), Tensors.labels(0, 1, 0, 1)).item_double();
            assertThat(first).isCloseTo(plain, within(1e-6));
            assertThat(vos.ready()).isFalse();
            Tensor loss = vos.loss(output, Tensors.labels(0, 1, 0, 1));
            assertThat(vos.ready()).isTrue();
            List<Tensor> trained = new ArrayList<>(vos.parameters().values());
            trained.add(head.weight());
            for (Tensor gradient : Gradients.of(loss, trained, false)) {
              assertThat(gradient.abs().sum().item_double()).isGreaterThan(0);
            }
            assertThat(vos.synthesise().shape()).containsExactly(4, 3);
          }
        });
  }

  @Test
  void queuesKeepTheLastRowsOfEachClassInOrderOfArrival() {
    Scopes.run(
        () -> {
          try (Rng rng = new Rng(1);
              Vos vos = new Vos(small)) {
            LinearHead head = head(rng, 2, 1);
            vos.attach(head);
            Tensor features = Tensors.of(new float[] {1, 2, 3, 4, 5, 6, 7, 8}, 8, 1);
            Tensor labels = Tensors.labels(0, 0, 0, 0, 1, 0, 0, -1);
            vos.loss(new Output(head.apply(features), features), labels);
            // Six rows of class 0 in a queue of four: the first two have left.
            float[] queue = Tensors.floats(vos.state().tensor("queue"));
            assertThat(queue).containsExactly(6, 7, 3, 4, 5, 0, 0, 0);
            Tensor one = Tensors.of(new float[] {9}, 1, 1);
            vos.loss(new Output(head.apply(one), one), Tensors.labels(0));
            assertThat(Tensors.floats(vos.state().tensor("queue")))
                .containsExactly(6, 7, 9, 4, 5, 0, 0, 0);
          }
        });
  }

  @Test
  void outliersHaveTheRadiusOfTheLargestOfManyDraws() {
    Scopes.run(
        () -> {
          long dimension = 3;
          try (Rng rng = new Rng(3);
              Vos vos = new Vos(new Vos.Settings(0.1, 400, 200, 100, 5))) {
            LinearHead head = head(rng, 2, dimension);
            vos.attach(head);
            Tensor features = rng.normal(800, dimension);
            Tensor labels = torch.arange(new Scalar(800)).remainder(new Scalar(2));
            vos.loss(new Output(head.apply(features), features), labels.to(torch.ScalarType.Long));
            Tensor radii = vos.synthesise().square().sum(1).sqrt();
            // The upper half of 200 draws: above the median radius, 1.54 for three dimensions.
            Tensor drawn = rng.normal(200_000, dimension).square().sum(1).sqrt();
            double median = drawn.median().item_double();
            double upper = drawn.masked_select(drawn.gt(new Scalar(median))).mean().item_double();
            assertThat(radii.mean().item_double()).isCloseTo(upper, within(0.15));
            assertThat(radii.min().item_double()).isGreaterThan(median - 0.4);
          }
        });
  }

  @Test
  void aRestoredOneContinuesWithTheSameLosses() {
    Scopes.run(
        () -> {
          try (Rng rng = new Rng(1);
              Vos vos = new Vos(small);
              Vos other = new Vos(small)) {
            LinearHead head = head(rng, 2, 3);
            vos.attach(head);
            Tensor features = rng.normal(8, 3);
            Output output = new Output(head.apply(features), features);
            Tensor labels = Tensors.labels(0, 1, 0, 1, 0, 1, 0, 1);
            vos.loss(output, labels);
            other.restore(vos.state());
            other.attach(head);
            for (int i = 0; i < 3; i++) {
              assertThat(other.loss(output, labels).item_double())
                  .isEqualTo(vos.loss(output, labels).item_double());
            }
          }
        });
  }

  @Test
  void withoutAHeadItSaysWhatToDo() {
    Scopes.run(
        () -> {
          try (Vos vos = new Vos()) {
            Tensor logits = Tensors.of(new float[2], 1, 2);
            assertThatThrownBy(() -> vos.loss(new Output(logits, logits), Tensors.labels(0)))
                .hasMessageContaining("call attach");
          }
        });
    assertThatThrownBy(() -> new Vos.Settings(0.1, 10, 5, 6, 0)).hasMessageContaining("select");
  }
}
