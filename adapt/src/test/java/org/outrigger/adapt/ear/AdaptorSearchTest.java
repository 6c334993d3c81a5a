package org.outrigger.adapt.ear;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.Test;
import org.outrigger.adapt.ear.Adaptor.Family;
import org.outrigger.adapt.ear.Adaptor.Plan;
import org.outrigger.adapt.ear.AdaptorSearch.Candidate;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.nn.Layer;
import org.outrigger.core.optim.CrossEntropy;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

class AdaptorSearchTest {
  private static final long[] WIDTHS = {5, 3, 4};

  private static Layer network(Plan plan, long seed) {
    try (Rng rng = new Rng(seed)) {
      Layer network = AdaptorSearch.network(plan, WIDTHS, 3, rng);
      network.to(ScalarType.Double);
      return network;
    }
  }

  private static Tensor inputs(long rows) {
    try (Rng rng = new Rng(11)) {
      return rng.normal(ScalarType.Double, rows, 12);
    }
  }

  @Test
  void everyAdaptorHasTheParametersThatItsPlanSays() {
    Scopes.run(
        () -> {
          for (Plan plan : AdaptorSearch.space(WIDTHS, 100_000)) {
            try (Rng rng = new Rng(1);
                Adaptor adaptor = new Adaptor(plan, WIDTHS, rng)) {
              assertThat(adaptor.parameterCount())
                  .as(plan.toString())
                  .isEqualTo(plan.parameters(WIDTHS));
              assertThat(adaptor.forward(inputs(2).to(ScalarType.Float)).shape())
                  .containsExactly(2, 4);
            }
          }
        });
  }

  @Test
  void anAdaptorReadsItsTapsAndTheLastOneWhereItAddsToIt() {
    Scopes.run(
        () -> {
          Tensor x = inputs(2).to(ScalarType.Float);
          Tensor other = x.clone();
          other.narrow(1, 0, 5).add_(new Scalar(1.0));
          for (Plan plan : AdaptorSearch.space(WIDTHS, 100_000)) {
            try (Rng rng = new Rng(1);
                Adaptor adaptor = new Adaptor(plan, WIDTHS, rng)) {
              boolean same = Scopes.scoped(() -> adaptor.forward(x).equal(adaptor.forward(other)));
              assertThat(same).as(plan.toString()).isEqualTo(!plan.taps().contains(0));
            }
          }
        });
  }

  @Test
  void theSpaceKeepsToTheBudgetAndDrawsWithoutRepetition() {
    assertThat(AdaptorSearch.space(WIDTHS, 60))
        .isNotEmpty()
        .allSatisfy(plan -> assertThat(plan.parameters(WIDTHS)).isLessThanOrEqualTo(60));
    assertThat(AdaptorSearch.space(WIDTHS, 100_000)).hasSize(7 * 17 + 2);
    try (Rng rng = new Rng(1)) {
      assertThat(AdaptorSearch.draw(WIDTHS, 100_000, 20, rng)).hasSize(20).doesNotHaveDuplicates();
    }
    assertThatThrownBy(() -> AdaptorSearch.space(WIDTHS, 7))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("at most 7 parameters; the smallest has 8");
  }

  @Test
  void ranksShareTheirMeanWhereValuesAreEqualAndNaNIsLast() {
    assertThat(AdaptorSearch.ranks(new double[] {5, 1, 5, Double.NaN, 9}))
        .containsExactly(2.5, 4, 2.5, 5, 1);
  }

  @Test
  void theCandidateThatIsBestByEveryProxyComesFirst() {
    ZeroShotProxies best = new ZeroShotProxies(9, 9, 2, 9, 9);
    ZeroShotProxies worst = new ZeroShotProxies(1, 1, 1e12, 1, 1);
    ZeroShotProxies middle = new ZeroShotProxies(5, 5, 10, 5, 5);
    assertThat(AdaptorSearch.meanRanks(List.of(middle, worst, best)))
        .containsExactly(new double[] {2, 3, 1}, within(1e-12));
  }

  @Test
  void rankingIsSortedAndTheSameForTheSameSeed() {
    Scopes.run(
        () -> {
          List<Plan> plans = AdaptorSearch.space(WIDTHS, 400).subList(0, 12);
          Tensor labels = Tensors.labels(0, 1, 2, 0, 1, 2);
          List<Candidate> one = AdaptorSearch.rank(plans, WIDTHS, inputs(6), labels, 3, 2, 5);
          assertThat(one)
              .hasSize(12)
              .isEqualTo(AdaptorSearch.rank(plans, WIDTHS, inputs(6), labels, 3, 2, 5));
          assertThat(one.stream().mapToDouble(Candidate::meanRank).toArray()).isSorted();
          assertThat(AdaptorSearch.rank(plans, WIDTHS, inputs(6), null, 3, 1, 5))
              .allSatisfy(c -> assertThat(c.proxies().gradientNorm()).isNaN());
        });
  }

  @Test
  void theTangentKernelIsThatOfFiniteDifferences() {
    Scopes.run(
        () -> {
          try (Layer network = network(new Plan(List.of(0, 2), Family.BOTTLENECK, 8, 1), 3)) {
            Tensor x = inputs(3);
            Tensor ntk = ZeroShotProxies.ntk(network, x);
            double step = 1e-6;
            List<Tensor> columns = new ArrayList<>();
            Scopes.grad(
                false,
                () -> {
                  for (Tensor weight : network.parameters().values()) {
                    Tensor flat = weight.detach().view(-1);
                    for (long i = 0; i < flat.numel(); i++) {
                      Tensor entry = flat.narrow(0, i, 1);
                      entry.add_(new Scalar(step));
                      Tensor up = network.forward(x).sum(1);
                      entry.sub_(new Scalar(2 * step));
                      Tensor down = network.forward(x).sum(1);
                      entry.add_(new Scalar(step));
                      columns.add(up.sub(down).div(new Scalar(2 * step)));
                    }
                  }
                  return true;
                });
            Tensor jacobian = torch.stack(new TensorVector(columns.toArray(new Tensor[0])), 1);
            assertThat(Tensors.doubles(ntk))
                .containsExactly(Tensors.doubles(jacobian.mm(jacobian.t())), within(1e-5));
          }
        });
  }

  @Test
  void aLinearNetworkHasOneRegionAndSynflowSumsItsPaths() {
    Scopes.run(
        () -> {
          try (Layer network = network(new Plan(List.of(0, 1, 2), Family.LINEAR, 0, 1), 3)) {
            Tensor code = ZeroShotProxies.activationCode(network, inputs(4));
            assertThat(code.shape()).containsExactly(4, 0);
            assertThat(ZeroShotProxies.linearRegions(code)).isEqualTo(1);
            // R = |V|(|U| 1 + |b|) + |c|: each weight of U and of V is on R's paths once.
            Map<String, Tensor> w = new LinkedHashMap<>();
            network.parameters().forEach((name, t) -> w.put(name, t.detach().abs()));
            Tensor inner = get(w, "adaptor.out.weight").sum(1);
            Tensor v = get(w, "head.weight");
            double through = v.mv(inner).sum().item_double();
            double bias = v.mv(get(w, "adaptor.out.bias")).sum().item_double();
            double last = get(w, "head.bias").sum().item_double();
            assertThat(ZeroShotProxies.synflow(network, 12))
                .isCloseTo(2 * through + 2 * bias + last, within(1e-9));
          }
        });
  }

  private static Tensor get(Map<String, Tensor> weights, String name) {
    return Objects.requireNonNull(weights.get(name));
  }

  @Test
  void duplicateRowsMakeAKernelSingularAndRankLast() {
    Scopes.run(
        () -> {
          try (Layer network = network(new Plan(List.of(0), Family.BOTTLENECK, 8, 1), 3)) {
            Tensor x = inputs(3);
            double distinct = ZeroShotProxies.condition(ZeroShotProxies.ntk(network, x));
            Tensor twice = torch.cat(new TensorVector(x, x), 0);
            double doubled = ZeroShotProxies.condition(ZeroShotProxies.ntk(network, twice));
            assertThat(distinct).isBetween(1.0, 1e9);
            assertThat(doubled).isGreaterThan(1e12);
            assertThatThrownBy(
                    () ->
                        ZeroShotProxies.condition(ZeroShotProxies.ntk(network, x.narrow(0, 0, 1))))
                .isInstanceOf(OutriggerException.class)
                .hasMessageContaining("at least two rows");
          }
        });
  }

  @Test
  void theGradientNormIsThatOfTheLoss() {
    Scopes.run(
        () -> {
          try (Layer network = network(new Plan(List.of(1), Family.RESIDUAL, 8, 2), 3)) {
            Tensor labels = Tensors.labels(0, 1, 2, 1);
            double norm = ZeroShotProxies.gradientNorm(network, inputs(4), labels);
            // Moving a little along the gradient raises the loss by its squared norm.
            double step = 1e-6;
            CrossEntropy.loss(network.forward(inputs(4)), labels, 0).backward();
            double before = CrossEntropy.loss(network.forward(inputs(4)), labels, 0).item_double();
            Scopes.grad(
                false,
                () -> {
                  network.parameters().values().forEach(w -> w.add_(w.grad(), new Scalar(step)));
                  return true;
                });
            double after = CrossEntropy.loss(network.forward(inputs(4)), labels, 0).item_double();
            assertThat((after - before) / step).isCloseTo(norm * norm, within(1e-3 * norm * norm));
          }
        });
  }
}
