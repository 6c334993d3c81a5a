package org.outrigger.adapt;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.Map;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.LongOptional;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.outrigger.adapt.AdaNpc.Confidence;
import org.outrigger.adapt.FeatureMemory.Neighbours;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.method.Methods;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.model.Output;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;
import org.outrigger.core.torch.Torch;

class AdaNpcTest {
  private PointerScope scope;
  private Memory source;
  private Memory stream;

  @BeforeEach
  void open() {
    Torch.start();
    scope = new PointerScope();
    source = new Memory();
    stream = new Memory();
  }

  @AfterEach
  void close() {
    source.close();
    stream.close();
    scope.close();
  }

  private static AdaNpc.Settings settings(Map<String, ?> changes) {
    try (AdaNpc method = Methods.create(AdaNpc.class, "adanpc", changes)) {
      return method.settings();
    }
  }

  private FeatureMemory memory(double[][] rows, long[] labels, long capacity) {
    FeatureMemory memory = new FeatureMemory(source, stream, capacity);
    memory.learn(Tensors.of(rows), Tensors.of(labels, labels.length), 1000);
    return memory;
  }

  @Test
  void theFullMemoryForgetsTheOldestOfTheStreamAndNothingOfTheSource() {
    FeatureMemory memory = memory(new double[][] {{1, 0}, {0, 1}}, new long[] {7, 8}, 3);
    for (long i = 0; i < 5; i++) {
      memory.add(Tensors.of(new double[][] {{1, 0}}), Tensors.of(new long[] {i}, 1));
    }
    assertThat(memory.size()).isEqualTo(5);
    assertThat(Tensors.longs(memory.labels())).containsExactlyInAnyOrder(7, 8, 2, 3, 4);
    Tensor many = torch.ones_like(Tensors.of(new double[5][2]));
    memory.add(many, Tensors.of(new long[] {10, 11, 12, 13, 14}, 5));
    assertThat(Tensors.longs(memory.labels())).containsExactlyInAnyOrder(7, 8, 12, 13, 14);
    memory.add(many.narrow(0, 0, 2), Tensors.of(new long[] {20, 21}, 2));
    assertThat(Tensors.longs(memory.labels())).containsExactlyInAnyOrder(7, 8, 14, 20, 21);
  }

  @Test
  void aMemoryWithoutABoundKeepsAllInOrder() {
    FeatureMemory memory = memory(new double[][] {{1, 0}}, new long[] {0}, 0);
    try (Rng rng = new Rng(1)) {
      for (int i = 0; i < 30; i++) {
        Tensor rows = torch.normalize(rng.normal(ScalarType.Double, 20, 2));
        memory.add(rows, torch.full_like(rows.select(1, 0), new Scalar(i)).to(ScalarType.Long));
        assertThat(memory.features().narrow(0, memory.size() - 20, 20).equal(rows)).isTrue();
      }
    }
    assertThat(memory.size()).isEqualTo(601);
    assertThat(Tensors.longs(memory.labels().narrow(0, 1, 600))).isSorted();
  }

  @Test
  void neighboursAreThoseOfAllRowsAndEqualOnesGoByIndex() {
    try (Rng rng = new Rng(4)) {
      FeatureMemory memory = new FeatureMemory(source, stream, 0);
      Tensor known = rng.normal(ScalarType.Double, 70, 3);
      memory.learn(known, torch.arange(new Scalar(70)).to(ScalarType.Long), 1000);
      Tensor more = torch.normalize(rng.normal(ScalarType.Double, 50, 3));
      memory.add(more, torch.arange(new Scalar(70), new Scalar(120)).to(ScalarType.Long));
      Tensor queries = torch.normalize(rng.normal(ScalarType.Double, 9, 3));
      Neighbours found = memory.nearest(queries, 6);
      Tensor all = queries.mm(memory.features().t());
      assertThat(Tensors.longs(found.labels())).containsExactly(Tensors.longs(all.topk(6).get1()));
      assertThat(Tensors.longs(found.indices())).containsExactly(Tensors.longs(found.labels()));
    }
  }

  @Test
  void ofEqualNeighboursTheEarlierVote() {
    FeatureMemory memory =
        memory(
            new double[][] {{0, 1}, {1, 0}, {2, 0}, {3, 0}, {4, 0}}, new long[] {0, 1, 2, 3, 4}, 0);
    Tensor query = Tensors.of(new double[][] {{1, 0}});
    assertThat(Tensors.longs(memory.nearest(query, 2).labels())).containsExactly(1, 2);
    assertThat(Tensors.longs(memory.nearest(query, 3).labels())).containsExactly(1, 2, 3);
  }

  @Test
  void theGraphFindsWhatExactSearchFinds() {
    try (Rng rng = new Rng(6)) {
      Tensor known = rng.normal(400, 8);
      Tensor labels = torch.arange(new Scalar(400)).to(ScalarType.Long);
      FeatureMemory exact = new FeatureMemory(source, stream, 0);
      exact.learn(known, labels, 400);
      try (Memory graphs = new Memory();
          Memory none = new Memory()) {
        FeatureMemory walked = new FeatureMemory(graphs, none, 0);
        walked.learn(known, labels, 399);
        assertThat(graphs.find("graph")).isNotNull();
        assertThat(source.find("graph")).isNull();
        Tensor queries = torch.normalize(rng.normal(40, 8));
        double share =
            walked
                .nearest(queries, 5)
                .indices()
                .eq(exact.nearest(queries, 5).indices())
                .to(ScalarType.Double)
                .mean()
                .item_double();
        assertThat(share).isGreaterThan(0.95);
      }
    }
  }

  @Test
  void moreNeighboursThanRowsAreAllRows() {
    FeatureMemory memory = memory(new double[][] {{1, 0}, {0, 1}}, new long[] {0, 1}, 0);
    Tensor votes =
        AdaNpc.predict(memory, Tensors.of(new double[][] {{1, 1}}), 2, AdaNpc.Settings.defaults());
    assertThat(Tensors.doubles(votes))
        .containsExactly(new double[] {.5 + 1e-5, .5 + 1e-5}, within(1e-12));
  }

  @Test
  void aBatchIsPredictedBeforeItJoins() {
    FeatureMemory memory = memory(new double[][] {{1, 0}, {0, 1}}, new long[] {0, 1}, 0);
    AdaNpc.Settings nearest = settings(Map.of("k", 1));
    Tensor batch = Tensors.of(new double[][] {{1, .9}, {.9, 1.1}});
    Tensor labels = AdaNpc.predict(memory, batch, 2, nearest).argmax(new LongOptional(1), false);
    assertThat(Tensors.longs(labels)).containsExactly(0, 1);
    assertThat(memory.size()).isEqualTo(4);
    assertThat(Tensors.longs(memory.labels())).containsExactly(0, 1, 0, 1);
  }

  @Test
  void onlySureRowsJoinAndNeverOnesWithoutDirection() {
    Map<String, Object> vote = Map.of("k", 2, "confidence", Confidence.VOTE, "beta", 0.9);
    FeatureMemory memory = memory(new double[][] {{1, 0}, {0, 1}}, new long[] {0, 1}, 0);
    Tensor batch = Tensors.of(new double[][] {{1, 0}, {1, 1}, {0, 0}});
    AdaNpc.predict(memory, batch, 2, settings(vote));
    assertThat(memory.joined()).isEqualTo(1);
    AdaNpc.predict(memory, batch, 2, settings(Map.of("beta", 1.1)));
    assertThat(memory.joined()).isEqualTo(1);
    AdaNpc.predict(memory, batch, 2, settings(Map.of("beta", 0)));
    assertThat(memory.joined()).isEqualTo(3);
  }

  @Test
  void withinARadiusAllRowsVote() {
    Tensor similarities = Tensors.of(new double[][] {{.9, .8, .1}, {.95, .2, .7}});
    Tensor labels = Tensors.labels(0, 1, 1);
    Tensor votes = AdaNpc.votesWithin(similarities, labels, 2, 0.5, 0.5);
    double first = 1 / (1 + Math.exp((.8 - .9) / .5));
    assertThat(votes).isNotNull();
    assertThat(votes.select(0, 0).select(0, 0).item_double())
        .isCloseTo(first + 1e-5, within(1e-12));
    assertThat(AdaNpc.votesWithin(similarities, labels, 2, 0.5, 0.92)).isNull();
  }

  @Test
  void itsNormalisationLowersTheEntropyOfTheVotes() {
    try (NeuralModel model = SmallWorld.model();
        TensorDataset data = SmallWorld.source(model)) {
      Tensor batch = SmallWorld.stream(1, 32).get(0);
      // Nothing joins, so that only the normalisation moves.
      double[] entropies = new double[2];
      for (int i = 0; i < 2; i++) {
        try (AdaNpc method =
            new AdaNpc(settings(Map.of("beta", 1.1, "gamma", i == 0 ? 1 : 30, "lr", 0.02)))) {
          method.start(model, data);
          try (Output output = method.adapt(batch)) {
            entropies[i] = Entropies.entropy(output.logits().exp()).mean().item_double();
          }
          assertThat(method.usage().updates()).isEqualTo(i == 0 ? 1 : 30);
          assertThatThrownBy(() -> method.adapt(batch.narrow(0, 0, 1)))
              .isInstanceOf(OutriggerException.class)
              .hasMessageContaining("2 rows");
        }
      }
      assertThat(entropies[1]).isLessThan(entropies[0]);
    }
  }

  @Test
  void itNeedsLabelledSourceDataOfItsOwnClasses() {
    try (NeuralModel model = SmallWorld.model();
        AdaNpc method = new AdaNpc()) {
      assertThatThrownBy(() -> method.start(model, null)).hasMessageContaining("give source data");
      Tensor inputs = SmallWorld.stream(1, 6).get(0);
      try (TensorDataset wrong = TensorDataset.of(inputs, Tensors.labels(0, 1, 2, 3, 4, 0));
          TensorDataset unknown =
              TensorDataset.of(inputs, Tensors.labels(-1, -1, -1, -1, -1, -1))) {
        assertThatThrownBy(() -> method.start(model, wrong)).hasMessageContaining("0 to 3");
        assertThatThrownBy(() -> method.start(model, unknown))
            .isInstanceOf(OutriggerException.class);
      }
    }
  }

  @Test
  void aMemoryOfAnotherWidthIsRefused() {
    FeatureMemory memory = memory(new double[][] {{1, 0}, {0, 1}}, new long[] {0, 1}, 0);
    assertThatThrownBy(() -> memory.nearest(Tensors.of(new double[][] {{1, 0, 0}}), 1))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("width 2");
  }

  @Test
  void trainingForItBringsRowsOfAClassTogether() {
    try (Rng rng = new Rng(8)) {
      Tensor labels = torch.arange(new Scalar(60)).remainder(new Scalar(3)).to(ScalarType.Long);
      NeighbourVoting.Settings settings = new NeighbourVoting.Settings(5, 60, 1, 0.1, 10);
      Tensor features = rng.normal(60, 4);
      try (NeighbourVoting votes = NeighbourVoting.create(4, 3, settings, 1)) {
        Tensor weight = rng.normal(4, 4).requires_grad_(true);
        votes.push(features.mm(weight), labels);
        double first = 0;
        double last = 0;
        for (int i = 0; i < 60; i++) {
          try (PointerScope step = new PointerScope()) {
            NeighbourVoting.Result result =
                Scopes.grad(
                    true,
                    () ->
                        votes.step(
                            x -> new Output(x.narrow(1, 0, 3), x.mm(weight)),
                            features,
                            labels,
                            rng));
            result.loss().backward();
            Scopes.grad(
                false, () -> weight.sub_(weight.grad().mul(new Scalar(0.3))).mutable_grad());
            weight.mutable_grad().reset();
            last = NeighbourVoting.loss(votes.scores(features.mm(weight)), labels).item_double();
            first = i == 10 ? last : first;
          }
        }
        assertThat(votes.temperature()).isCloseTo(0.1, within(1e-12));
        assertThat(last).isLessThan(first);
      }
    }
  }

  @Test
  void itsQueueIsSavedExactly() {
    NeighbourVoting.Settings settings = new NeighbourVoting.Settings(2, 5, 1, 0.1, 10);
    try (Rng rng = new Rng(9);
        NeighbourVoting one = NeighbourVoting.create(3, 2, settings, 1);
        NeighbourVoting two = NeighbourVoting.create(3, 2, settings, 2)) {
      Tensor rows = rng.normal(7, 3);
      one.push(rows, Tensors.labels(0, 1, -1, 1, 0, 1, 1));
      two.restore(one.state());
      assertThat(two.next()).isEqualTo(one.next());
      one.push(rows.narrow(0, 0, 2), Tensors.labels(1, 1));
      two.push(rows.narrow(0, 0, 2), Tensors.labels(1, 1));
      assertThat(two.features().equal(one.features())).isTrue();
      assertThat(Tensors.doubles(two.scores(rows)))
          .containsExactly(Tensors.doubles(one.scores(rows)));
      assertThatThrownBy(() -> one.scores(rng.normal(2, 4))).isInstanceOf(OutriggerException.class);
    }
  }
}
