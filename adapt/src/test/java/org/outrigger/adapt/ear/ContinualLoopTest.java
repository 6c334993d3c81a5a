package org.outrigger.adapt.ear;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.outrigger.core.data.Batch;
import org.outrigger.core.data.Batches;
import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.io.StateFiles;
import org.outrigger.core.metric.Accuracy;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

class ContinualLoopTest {
  /** A domain that is unlike the first one. */
  private static final int STRANGE = 50;

  private static Ear started(NeuralModel encoder) {
    Ear ear = new Ear(Domains.settings());
    ear.attach(encoder);
    try (TensorDataset data = Domains.blobs(1, 90, 1)) {
      ear.add("start", data);
    }
    return ear;
  }

  private static List<ContinualLoop.Step> follow(ContinualLoop loop, TensorDataset stream) {
    List<ContinualLoop.Step> steps = new ArrayList<>();
    try (Batches batches = stream.batches(8)) {
      while (batches.hasNext()) {
        steps.add(loop.next(batches.next()));
      }
    }
    return steps;
  }

  @Test
  void theWindowDecidesWhenItIsFullAndMostOfItIsUnknown() {
    NoveltyWindow window = new NoveltyWindow(4);
    assertThat(window.observe(new long[] {1, 1, 1})).isEqualTo(Ear.Decision.KNOWN);
    assertThat(window.observe(new long[] {0})).isEqualTo(Ear.Decision.NEW_DOMAIN);
    assertThat(window.observe(new long[] {0})).isEqualTo(Ear.Decision.KNOWN);
    assertThat(window.share()).isEqualTo(0.5);
    assertThat(NoveltyWindow.of(4, window.text()).text()).isEqualTo("1100");
    EarTest.refused(() -> NoveltyWindow.of(3, window.text()), "damaged");
    EarTest.refused(() -> new NoveltyWindow(0), "window");
  }

  @Test
  void aStreamThatComesToANewDomainIsLearnedFromAndAKnownOneIsNot() {
    Scopes.run(
        () -> {
          try (NeuralModel encoder = Domains.encoder();
              Ear ear = started(encoder);
              ContinualLoop loop = new ContinualLoop(ear, 48, false);
              TensorDataset known = Domains.blobs(1, 80, 5);
              TensorDataset strange = Domains.blobs(STRANGE, 120, 5);
              TensorDataset test = Domains.blobs(STRANGE, 60, 6)) {
            assertThat(follow(loop, known))
                .allSatisfy(
                    step -> {
                      assertThat(step.decision()).isEqualTo(Ear.Decision.KNOWN);
                      assertThat(step.collected()).isZero();
                    });
            List<AddedDomain> added =
                follow(loop, strange).stream()
                    .map(ContinualLoop.Step::added)
                    .filter(Objects::nonNull)
                    .toList();
            assertThat(added).hasSize(1);
            assertThat(ear.domains())
                .extracting(LearnedDomain::name)
                .containsExactly("start", "domain 1");
            assertThat(loop.collected()).isZero();
            Routed routed = ear.predict(test.inputs());
            assertThat(Accuracy.of(routed.logits(), Tensors.labels(test.labels())))
                .isGreaterThan(0.9);
            assertThat(routed.domains().sum().item_long()).isGreaterThan(50);
          }
        });
  }

  @Test
  void rowsThatWaitAreSavedAndTheLoopGoesOn(@TempDir Path folder) {
    Scopes.run(
        () -> {
          Path file = folder.resolve("loop.safetensors");
          try (NeuralModel encoder = Domains.encoder();
              Ear ear = started(encoder);
              Ear twin = ear.copy();
              ContinualLoop loop = new ContinualLoop(ear, 48, false);
              ContinualLoop resumed = new ContinualLoop(twin, 48, false);
              TensorDataset first = Domains.blobs(STRANGE, 40, 5);
              TensorDataset second = Domains.blobs(STRANGE, 60, 6)) {
            follow(loop, first);
            assertThat(loop.collected()).isBetween(8L, 40L);
            StateFiles.write(file, loop.state());
            resumed.restore(StateFiles.read(file));
            twin.restore(ear.state());
            assertThat(resumed.collected()).isEqualTo(loop.collected());
            follow(loop, second);
            follow(resumed, second);
            assertThat(twin.domains()).hasSize(2).isEqualTo(ear.domains());
          }
        });
  }

  @Test
  void aStreamWithoutLabelsNeedsPseudoLabels() {
    Scopes.run(
        () -> {
          try (NeuralModel encoder = Domains.encoder();
              Ear ear = started(encoder);
              Ear other = ear.copy();
              ContinualLoop strict = new ContinualLoop(ear, 40, false);
              ContinualLoop bold = new ContinualLoop(other, 40, true);
              TensorDataset strange = Domains.blobs(STRANGE, 80, 5);
              TensorDataset unlabelled = TensorDataset.of(strange.inputs(), null)) {
            EarTest.refused(() -> follow(strict, unlabelled), "have no labels", "pseudo-labels");
            follow(bold, unlabelled);
            assertThat(other.domains()).hasSize(2);
            EarTest.refused(() -> new ContinualLoop(ear, 1, false), "rows");
            try (Batch batch = strange.read(new int[] {0, 1})) {
              EarTest.refused(
                  () -> new ContinualLoop(new Ear(), 4, false).next(batch), "knows no domain");
            }
          }
        });
  }
}
