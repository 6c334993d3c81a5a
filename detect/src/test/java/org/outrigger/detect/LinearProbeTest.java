package org.outrigger.detect;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import org.bytedeco.pytorch.LongOptional;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.State;
import org.outrigger.core.io.StateFiles;
import org.outrigger.core.model.LinearHead;
import org.outrigger.core.model.Outputs;
import org.outrigger.core.torch.Gradients;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

class LinearProbeTest {
  private static final LinearProbe.Settings ONE_STEP =
      new LinearProbe.Settings(0.3, 0.9, 1, 0, false, 5);

  private static double accuracy(LinearProbe probe, Tensor features, Tensor labels) {
    return probe
        .logits(features)
        .argmax(new LongOptional(1), false)
        .eq(labels)
        .to(ScalarType.Double)
        .mean()
        .item_double();
  }

  @Test
  void itLearnsClassesThatALineSeparates() {
    Scopes.run(
        () -> {
          Blobs blobs = new Blobs(2, 4, 6);
          try (LinearProbe probe = new LinearProbe()) {
            probe.fit(blobs.near(80), blobs.labels(80), 4);
            assertThat(accuracy(probe, blobs.near(40), blobs.labels(40))).isEqualTo(1);
          }
        });
  }

  /** Autograd's gradient of the mean cross-entropy is what the closed form must follow. */
  @Property(tries = 10)
  void stepsFollowTheGradientWithMomentum(@ForAll long seed) {
    Scopes.run(
        () -> {
          LinearProbe.Settings two = ONE_STEP.withSteps(2).withSeed(seed);
          try (Rng rng = new Rng(seed);
              Rng start = Rng.named(seed, "linear probe");
              LinearProbe probe = new LinearProbe(two)) {
            Tensor x = rng.normal(ScalarType.Double, 9, 4);
            Tensor y = Tensors.labels(0, 1, 2, 0, 1, 2, 0, 1, 2);
            Tensor w = start.fillUniform(torch.zeros(3, 4).to(ScalarType.Double), -0.5, 0.5);
            Tensor b = start.fillUniform(torch.zeros(3).to(ScalarType.Double), -0.5, 0.5);
            Tensor pace = torch.zeros_like(w);
            Tensor biasPace = torch.zeros_like(b);
            for (int step = 0; step < 2; step++) {
              Tensor leaf = w.detach().clone().requires_grad_(true);
              Tensor biasLeaf = b.detach().clone().requires_grad_(true);
              Tensor loss = torch.cross_entropy_loss(torch.addmm(biasLeaf, x, leaf.t()), y);
              List<Tensor> gradients = Gradients.of(loss, List.of(leaf, biasLeaf), false);
              pace = pace.mul(new Scalar(0.9)).add(gradients.get(0));
              biasPace = biasPace.mul(new Scalar(0.9)).add(gradients.get(1));
              w = w.sub(pace.mul(new Scalar(0.3)));
              b = b.sub(biasPace.mul(new Scalar(0.3)));
            }
            probe.fit(x, y, 3);
            assertThat(Tensors.doubles(probe.state().tensor("weight")))
                .containsExactly(Tensors.doubles(w), within(1e-12));
            assertThat(Tensors.doubles(probe.state().tensor("bias")))
                .containsExactly(Tensors.doubles(b), within(1e-12));
          }
        });
  }

  @Test
  void theFoldedHeadGivesTheSameLogits() {
    Scopes.run(
        () -> {
          Blobs blobs = new Blobs(2, 4, 6);
          Tensor tested = blobs.far(20);
          try (LinearProbe probe = new LinearProbe()) {
            probe.fit(blobs.near(80), blobs.labels(80), 4);
            LinearHead head = probe.head();
            Tensor logits = probe.logits(tested);
            assertThat(head.apply(tested).allclose(logits, 1e-9, 1e-9, false)).isTrue();
            Outputs over = probe.over(blobs.known(tested));
            assertThat(torch.equal(over.logits(), logits)).isTrue();
            assertThat(torch.equal(over.features(), tested)).isTrue();
            try (Energy energy = new Energy();
                Vim vim = new Vim(new Vim.Settings(3))) {
              vim.fit(over);
              assertThat(vim.fitted()).isTrue();
              assertThat(energy.fitted()).isTrue();
            }
          }
        });
  }

  @Test
  void theSameSeedGivesTheSameProbeAlsoInBatches() {
    Scopes.run(
        () -> {
          Blobs blobs = new Blobs(2, 4, 6);
          Tensor train = blobs.near(50);
          Tensor labels = blobs.labels(50);
          LinearProbe.Settings batches = new LinearProbe.Settings(0.1, 0.9, 60, 16, true, 1);
          try (LinearProbe a = new LinearProbe(batches);
              LinearProbe b = new LinearProbe(batches);
              LinearProbe c = new LinearProbe(batches.withSeed(2))) {
            a.fit(train, labels, 4);
            b.fit(train, labels, 4);
            c.fit(train, labels, 4);
            double[] logits = Tensors.doubles(a.logits(train));
            assertThat(Tensors.doubles(b.logits(train))).containsExactly(logits);
            assertThat(Tensors.doubles(c.logits(train))).isNotEqualTo(logits);
            assertThat(accuracy(a, train, labels)).isEqualTo(1);
          }
        });
  }

  @Test
  void aProbeReadFromAFileGivesTheSameLogits(@TempDir Path folder) {
    Scopes.run(
        () -> {
          Blobs blobs = new Blobs(2, 4, 6);
          Tensor train = blobs.near(50);
          try (LinearProbe probe = new LinearProbe(LinearProbe.Settings.defaults().withSeed(9));
              LinearProbe other = new LinearProbe()) {
            probe.fit(train, blobs.labels(50), 4);
            Path file = folder.resolve("probe.safetensors");
            StateFiles.write(file, probe.state());
            other.restore(StateFiles.read(file));
            assertThat(other.settings()).isEqualTo(probe.settings());
            assertThat(other.classes()).isEqualTo(4);
            assertThat(Tensors.doubles(other.logits(train)))
                .containsExactly(Tensors.doubles(probe.logits(train)));
            State good = probe.state();
            State empty = new State(good.type(), 1, good.values(), Map.of());
            assertThatThrownBy(() -> other.restore(empty)).hasMessageContaining("weight");
            assertThat(other.fitted()).isTrue();
          }
        });
  }

  @Test
  void badInputIsRefusedAndChangesNothing() {
    Scopes.run(
        () -> {
          Blobs blobs = new Blobs(2, 4, 6);
          Tensor train = blobs.near(20);
          Tensor labels = blobs.labels(20);
          try (LinearProbe probe = new LinearProbe()) {
            assertThatThrownBy(() -> probe.logits(train))
                .isInstanceOf(OutriggerException.class)
                .hasMessageContaining("has not been fitted");
            probe.fit(train, labels, 4);
            double[] before = Tensors.doubles(probe.logits(train));
            assertThatThrownBy(() -> probe.fit(train, labels, 3))
                .hasMessageContaining("the classes are 0 to 2");
            assertThatThrownBy(() -> probe.fit(train, labels, 1)).hasMessageContaining("classes");
            assertThatThrownBy(() -> probe.fit(train, labels.mul(new Scalar(0)), 4))
                .hasMessageContaining("at least two classes");
            assertThatThrownBy(() -> probe.fit(train.narrow(0, 0, 0), labels.narrow(0, 0, 0), 4))
                .hasMessageContaining("empty");
            assertThatThrownBy(() -> probe.fit(train.narrow(0, 0, 5), labels, 4))
                .hasMessageContaining("[N]");
            Tensor broken = train.clone();
            broken.select(0, 1).fill_(new Scalar(Double.NaN));
            assertThatThrownBy(() -> probe.fit(broken, labels, 4)).hasMessageContaining("1 of 20");
            assertThatThrownBy(
                    () -> probe.fit(Outputs.of(train, train, labels.sub(new Scalar(9)), null), 4))
                .hasMessageContaining("no known row");
            assertThatThrownBy(() -> probe.logits(train.narrow(1, 0, 3)))
                .hasMessageContaining("[N, D]");
            assertThat(Tensors.doubles(probe.logits(train))).containsExactly(before);
          }
          assertThatThrownBy(() -> new LinearProbe.Settings(0, 0.9, 1, 0, true, 0))
              .hasMessageContaining("rate = 0");
          assertThatThrownBy(() -> new LinearProbe.Settings(0.1, 1, 1, 0, true, 0))
              .hasMessageContaining("momentum = 1");
          assertThatThrownBy(() -> new LinearProbe.Settings(0.1, 0.9, 0, 0, true, 0))
              .hasMessageContaining("steps = 0");
        });
  }
}
