package org.outrigger.adapt.ear;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.nio.file.Path;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.assertj.core.data.Offset;
import org.bytedeco.javacpp.Pointer;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.LongOptional;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.Preprocessing;
import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.io.State;
import org.outrigger.core.io.StateFiles;
import org.outrigger.core.metric.Accuracy;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

class EarTest {
  private static Ear learned(NeuralModel encoder, Ear.Settings settings, int... domains) {
    Ear ear = new Ear(settings);
    ear.attach(encoder);
    for (int domain : domains) {
      add(ear, domain);
    }
    return ear;
  }

  private static AddedDomain add(Ear ear, int domain) {
    try (TensorDataset data = Domains.blobs(domain, 90, 1)) {
      return ear.add("d" + domain, data);
    }
  }

  private static double accuracy(Ear ear, TensorDataset data) {
    return Scopes.scoped(
        () -> Accuracy.of(ear.predict(data.inputs()).logits(), Tensors.labels(data.labels())));
  }

  /** All that an EAR says of rows, to the last bit. */
  private static List<double[]> says(Ear ear, Tensor inputs) {
    return Scopes.scoped(
        () -> {
          Routed routed = ear.predict(inputs);
          return List.of(
              Tensors.doubles(routed.logits()),
              Tensors.doubles(routed.scores()),
              Tensors.doubles(routed.domains()),
              Tensors.doubles(routed.unknown()));
        });
  }

  private static Map<String, byte[]> bytes(Map<String, Tensor> tensors) {
    Map<String, byte[]> all = new HashMap<>();
    tensors.forEach(
        (name, tensor) -> {
          byte[] content = new byte[(int) tensor.nbytes()];
          Tensors.bytes(tensor.contiguous()).get(content);
          all.put(name, content);
        });
    return all;
  }

  @Test
  void rowsFindTheirDomainAndItsAdaptorKnowsThem() {
    Scopes.run(
        () -> {
          try (NeuralModel encoder = Domains.encoder();
              Ear ear = learned(encoder, Domains.settings(), 1, 2, 3)) {
            for (int domain = 1; domain <= 3; domain++) {
              try (TensorDataset test = Domains.blobs(domain, 60, 9)) {
                assertThat(accuracy(ear, test)).isGreaterThan(0.9);
                Tensor found = ear.predict(test.inputs()).domains();
                double right = found.eq(new Scalar(domain - 1)).sum().item_double() / test.size();
                assertThat(right).isGreaterThan(0.9);
              }
            }
            try (TensorDataset strange = Domains.blobs(50, 60, 9);
                TensorDataset known = Domains.blobs(1, 60, 9)) {
              double own = ear.predict(known.inputs()).scores().mean().item_double();
              assertThat(ear.predict(strange.inputs()).scores().mean().item_double())
                  .isGreaterThan(own + 0.02);
            }
          }
        });
  }

  @ParameterizedTest
  @EnumSource
  void nothingOldIsModifiedByANewDomain(Ear.Head head) {
    Scopes.run(
        () -> {
          try (NeuralModel encoder = Domains.encoder();
              Ear ear = learned(encoder, Domains.settings("head", head), 1);
              TensorDataset test = Domains.blobs(1, 60, 9)) {
            Map<String, byte[]> weights = bytes(encoder.root().stateDict());
            Map<String, byte[]> before = bytes(ear.state().tensors());
            LearnedDomain first = ear.domains().get(0);
            double[] logits = Tensors.doubles(ear.predict(test.inputs()).logits());
            add(ear, 2);
            assertThat(ear.domains().get(0)).isEqualTo(first);
            Map<String, byte[]> after = bytes(ear.state().tensors());
            before.forEach((name, content) -> assertThat(after.get(name)).isEqualTo(content));
            bytes(encoder.root().stateDict())
                .forEach((name, content) -> assertThat(weights.get(name)).isEqualTo(content));
            // Rows that stay with the first domain are predicted as before.
            Routed routed = ear.predict(test.inputs());
            Tensor stayed = routed.domains().eq(new Scalar(0)).nonzero().flatten();
            assertThat(stayed.numel()).isGreaterThan(50);
            Tensor old = Tensors.of(logits, test.size(), 3).index_select(0, stayed);
            assertThat(routed.logits().index_select(0, stayed).sub(old).abs().max().item_double())
                .isLessThan(1e-5);
          }
        });
  }

  @Test
  void aSharedHeadStaysAndACopiedOneMoves() {
    Scopes.run(
        () -> {
          try (NeuralModel encoder = Domains.encoder();
              Ear shared = learned(encoder, Domains.settings("head", "SHARED"), 1, 2);
              Ear copied = learned(encoder, Domains.settings("head", "COPIED"), 1, 2)) {
            String head = "/network/head.weight";
            assertThat(Tensors.floats(shared.state().tensor("domain/1" + head)))
                .isEqualTo(Tensors.floats(shared.state().tensor("domain/0" + head)));
            assertThat(Tensors.floats(copied.state().tensor("domain/1" + head)))
                .isNotEqualTo(Tensors.floats(copied.state().tensor("domain/0" + head)));
          }
        });
  }

  @Test
  void newClassesWidenASharedHeadWhoseOldOutputsStay() {
    Scopes.run(
        () -> {
          try (NeuralModel encoder = Domains.encoder();
              Ear ear = learned(encoder, Domains.settings("head", "SHARED"), 1);
              TensorDataset more = Domains.blobs(1, 60, 1, 3, 4);
              TensorDataset test = Domains.blobs(1, 60, 9, 3, 4);
              TensorDataset old = Domains.blobs(1, 60, 9)) {
            ear.add("more classes", more);
            State state = ear.state();
            Tensor head = state.tensor("domain/1/network/head.weight");
            assertThat(head.size(0)).isEqualTo(5);
            assertThat(Tensors.floats(head.narrow(0, 0, 3)))
                .isEqualTo(Tensors.floats(state.tensor("domain/0/network/head.weight")));
            assertThat(ear.predict(test.inputs()).logits().size(1)).isEqualTo(5);
            assertThat(accuracy(ear, test)).isGreaterThan(0.9);
            assertThat(accuracy(ear, old)).isGreaterThan(0.9);
            assertThat(ear.domains().get(1).classes()).containsExactly(3, 4);
          }
        });
  }

  @Test
  void aHeadOfItsOwnSaysNothingOfClassesThatItsDomainLacks() {
    Scopes.run(
        () -> {
          try (NeuralModel encoder = Domains.encoder();
              Ear ear = learned(encoder, Domains.settings("head", "NEW"), 1);
              TensorDataset more = Domains.blobs(2, 60, 1, 3, 4)) {
            ear.add("more classes", more);
            Routed routed = ear.predict(more.inputs());
            Tensor there = routed.domains().eq(new Scalar(1)).nonzero().flatten();
            Tensor logits = routed.logits().index_select(0, there);
            assertThat(logits.narrow(1, 0, 3).isinf().all().item_bool()).isTrue();
            assertThat(logits.narrow(1, 3, 2).isfinite().all().item_bool()).isTrue();
            Tensor p = torch.softmax(routed.logits(), 1);
            assertThat(p.sum(1).sub(new Scalar(1)).abs().max().item_double()).isLessThan(1e-5);
          }
        });
  }

  @Test
  void theThresholdLeavesItsShareOfHeldOutRowsBelow() {
    Scopes.run(
        () -> {
          try (NeuralModel encoder = Domains.encoder();
              Ear strict = learned(encoder, Domains.settings("quantile", 0.5), 1);
              Ear usual = learned(encoder, Domains.settings("quantile", 0.05), 1);
              TensorDataset test = Domains.blobs(1, 600, 9)) {
            double half = unknown(strict, test);
            double few = unknown(usual, test);
            assertThat(half).isBetween(0.25, 0.75);
            assertThat(few).isLessThan(0.25);
            assertThat(strict.domains().get(0).threshold())
                .isGreaterThan(usual.domains().get(0).threshold());
          }
        });
  }

  private static double unknown(Ear ear, TensorDataset data) {
    return Scopes.scoped(
        () -> ear.predict(data.inputs()).unknown().sum().item_double() / data.size());
  }

  @Test
  void aRowIsRoutedTheSameWhateverBatchItIsIn() {
    Scopes.run(
        () -> {
          try (NeuralModel encoder = Domains.encoder();
              Ear ear = learned(encoder, Domains.settings(), 1, 2);
              TensorDataset test = Domains.blobs(2, 12, 9)) {
            Routed all = ear.predict(test.inputs());
            for (int i = 0; i < 12; i++) {
              Routed one = ear.predict(test.inputs().narrow(0, i, 1));
              assertThat(one.domains().item_long())
                  .isEqualTo(all.domains().narrow(0, i, 1).item_long());
              assertThat(one.scores().sub(all.scores().narrow(0, i, 1)).abs().item_double())
                  .isLessThan(1e-6);
              assertThat(one.logits().argmax(new LongOptional(1), false).item_long())
                  .isEqualTo(
                      all.logits().narrow(0, i, 1).argmax(new LongOptional(1), false).item_long());
            }
          }
        });
  }

  @ParameterizedTest
  @EnumSource
  void everyWayToFuseWorksAndIsRestoredToTheLastBit(Fusing fusing, @TempDir Path folder) {
    Scopes.run(
        () -> {
          Path file = folder.resolve("ear.safetensors");
          try (NeuralModel encoder = Domains.encoder();
              Ear whole = learned(encoder, fusing.settings(), 1, 2);
              Ear half = learned(encoder, fusing.settings(), 1);
              Ear resumed = new Ear();
              TensorDataset test = Domains.blobs(2, 60, 9)) {
            half.observe(half.predict(test.inputs().narrow(0, 0, 10)));
            StateFiles.write(file, half.state());
            resumed.restore(StateFiles.read(file));
            resumed.attach(encoder);
            assertThat(resumed.settings()).isEqualTo(half.settings());
            assertThat(resumed.domains()).isEqualTo(half.domains());
            assertThat(resumed.unknownShare()).isEqualTo(half.unknownShare());
            assertThat(says(resumed, test.inputs()))
                .usingRecursiveComparison()
                .isEqualTo(says(half, test.inputs()));
            // What is learned after a restore is what would have been learned without.
            assertThat(add(resumed, 2).domain()).isEqualTo(whole.domains().get(1));
            assertThat(says(resumed, test.inputs()))
                .usingRecursiveComparison()
                .isEqualTo(says(whole, test.inputs()));
            assertThat(accuracy(resumed, test)).isGreaterThan(0.8);
            try (Ear copy = whole.copy()) {
              assertThat(says(copy, test.inputs()))
                  .usingRecursiveComparison()
                  .isEqualTo(says(whole, test.inputs()));
            }
          }
        });
  }

  /** Settings of the descriptors. */
  enum Fusing {
    USUAL,
    PER_CHANNEL,
    SCALED,
    BOUND,
    BIPOLAR,
    FEWER_DIMENSIONS_THAN_CHANNELS;

    Ear.Settings settings() {
      return switch (this) {
        case USUAL -> Domains.settings();
        case PER_CHANNEL -> Domains.settings("perChannel", true);
        case SCALED -> Domains.settings("scaleLayers", true);
        case BOUND -> Domains.settings("bind", true);
        case BIPOLAR -> Domains.settings("bipolar", true);
        case FEWER_DIMENSIONS_THAN_CHANNELS -> Domains.settings("hyperDimension", 20);
      };
    }
  }

  @Test
  void anotherSeedLearnsAnotherEarAndTheSameTheSame() {
    Scopes.run(
        () -> {
          try (NeuralModel encoder = Domains.encoder();
              Ear one = learned(encoder, Domains.settings("seed", 4), 1);
              Ear same = learned(encoder, Domains.settings("seed", 4), 1);
              Ear other = learned(encoder, Domains.settings("seed", 5), 1)) {
            assertThat(bytes(one.state().tensors()))
                .usingRecursiveComparison()
                .isEqualTo(bytes(same.state().tensors()));
            assertThat(Tensors.floats(one.state().tensor("fusion/projection/0")))
                .isNotEqualTo(Tensors.floats(other.state().tensor("fusion/projection/0")));
          }
        });
  }

  @Test
  void resetForgetsEverythingButTheEncoder() {
    Scopes.run(
        () -> {
          try (NeuralModel encoder = Domains.encoder();
              Ear ear = learned(encoder, Domains.settings(), 1, 2);
              Ear fresh = learned(encoder, Domains.settings(), 2);
              TensorDataset test = Domains.blobs(2, 20, 9)) {
            ear.observe(ear.predict(test.inputs()));
            ear.reset();
            assertThat(ear.domains()).isEmpty();
            assertThat(ear.unknownShare()).isZero();
            add(ear, 2);
            assertThat(bytes(ear.state().tensors()))
                .usingRecursiveComparison()
                .isEqualTo(bytes(fresh.state().tensors()));
          }
        });
  }

  @Test
  void aBundleHoldsTheEncoderToo(@TempDir Path folder) {
    Scopes.run(
        () -> {
          Path bundle = folder.resolve("device.ear");
          try (NeuralModel encoder = Domains.encoder();
              Ear ear = learned(encoder, Domains.settings(), 1, 2);
              TensorDataset test = Domains.blobs(2, 20, 9)) {
            EarReading reading = new EarReading(Preprocessing.imageNet(), List.of("a", "b"));
            ear.save(bundle, reading);
            try (Ear opened = Ear.load(bundle, "cpu")) {
              assertThat(says(opened, test.inputs()))
                  .usingRecursiveComparison()
                  .isEqualTo(says(ear, test.inputs()));
              assertThat(Ear.reading(bundle)).isEqualTo(reading);
            }
          }
        });
  }

  @Test
  void devicesMergeByAdditionAndRowsCanBeTakenOutAgain() {
    Scopes.run(
        () -> {
          try (NeuralModel encoder = Domains.encoder();
              Ear one = learned(encoder, Domains.settings(), 1);
              Ear two = one.copy();
              Ear both = one.copy();
              TensorDataset here = Domains.blobs(1, 30, 5);
              TensorDataset there = Domains.blobs(1, 30, 6)) {
            double[] before = Tensors.doubles(one.state().tensor("domain/0/descriptors"));
            both.extend("d1", here);
            both.extend("d1", there);
            assertThat(both.domains().get(0).rows()).isEqualTo(one.domains().get(0).rows() + 60);
            one.extend("d1", here);
            two.extend("d1", there);
            double[] expected = Tensors.doubles(both.state().tensor("domain/0/descriptors"));
            one.merge(two);
            // The rows that both started from count twice.
            double[] merged = Tensors.doubles(one.state().tensor("domain/0/descriptors"));
            for (int i = 0; i < merged.length; i++) {
              assertThat(merged[i] - before[i]).isCloseTo(expected[i], offset());
            }
            both.forget("d1", here);
            both.forget("d1", there);
            assertThat(Tensors.doubles(both.state().tensor("domain/0/descriptors")))
                .containsExactly(before, offset());
            try (Ear other = learned(encoder, Domains.settings("seed", 3), 1)) {
              refused(() -> one.merge(other), "other projections");
            }
            refused(() -> one.extend("d7", here), "There is no domain 'd7'", "d1");
            try (TensorDataset strange = Domains.blobs(1, 30, 6, 4)) {
              refused(() -> one.extend("d1", strange), "no class 4");
            }
          }
        });
  }

  private static Offset<Double> offset() {
    return within(1e-6);
  }

  @Test
  void theReportShowsTheConfusionOfDomainsAndWhatTheyCost() {
    Scopes.run(
        () -> {
          try (NeuralModel encoder = Domains.encoder();
              Ear ear = learned(encoder, Domains.settings(), 1, 2);
              TensorDataset one = Domains.blobs(1, 40, 9);
              TensorDataset two = Domains.blobs(2, 50, 9);
              TensorDataset strange = Domains.blobs(50, 30, 9)) {
            Map<String, TensorDataset> tests = new LinkedHashMap<>();
            tests.put("d1", one);
            tests.put("d2", two);
            tests.put("strange", strange);
            EarReport report = EarReport.of(ear, tests, 16);
            assertThat(report.encoderParameters()).isEqualTo(encoder.root().parameterCount());
            assertThat(report.bytes())
                .isGreaterThan(
                    report.domains().stream().mapToLong(LearnedDomain::descriptorBytes).sum());
            assertThat(report.tests())
                .extracting(EarReport.Test::rows)
                .containsExactly(40L, 50L, 30L);
            assertThat(report.routingAccuracy(report.tests().get(1))).isGreaterThan(0.9);
            assertThat(report.routingAccuracy(report.tests().get(2))).isNaN();
            assertThat(report.tests().get(2).meanScore())
                .isGreaterThan(report.tests().get(0).meanScore());
            assertThat(report.toMap()).containsKeys("domains", "tests");
            assertThat(report.summary()).contains("2 domains");
          }
        });
  }

  @Test
  void tapsAreChosenByNameAndTheInputOfTheHeadIsNotTakenTwice() {
    Scopes.run(
        () -> {
          try (NeuralModel encoder = Domains.encoder();
              Ear ear = learned(encoder, Domains.settings(), 1);
              Ear named =
                  learned(encoder, Domains.settings("taps", List.of("fc1", "penultimate")), 1);
              TensorDataset test = Domains.blobs(1, 20, 9)) {
            assertThat(ear.taps()).containsExactly("act1", "act2");
            assertThat(named.taps()).containsExactly("fc1", "penultimate");
            assertThat(accuracy(named, test)).isGreaterThan(0.9);
          }
          try (NeuralModel net =
                  NeuralModel.create("resnet8", Map.of(), new long[] {1, 16, 16}, 3, 1);
              TensorDataset images =
                  TensorDataset.of(
                      torch.rand(8, 1, 16, 16), Tensors.labels(0, 1, 2, 0, 1, 2, 0, 1));
              Ear ear = new Ear(Domains.settings("steps", 2))) {
            ear.attach(net);
            ear.add("pictures", images);
            assertThat(ear.taps()).containsExactly("relu", "layer1", "layer2", "layer3");
          }
        });
  }

  @Test
  void badInputIsRefusedBeforeAnythingChanges() {
    Scopes.run(
        () -> {
          try (NeuralModel encoder = Domains.encoder();
              Ear empty = new Ear(Domains.settings());
              TensorDataset data = Domains.blobs(2, 30, 1);
              TensorDataset single = Domains.blobs(2, 30, 1, 1);
              TensorDataset unlabelled = TensorDataset.of(data.inputs(), null);
              TensorDataset broken =
                  TensorDataset.of(
                      data.inputs().mul(new Scalar(Double.NaN)), Tensors.labels(data.labels()));
              TensorDataset wide =
                  TensorDataset.of(torch.rand(6, 9), Tensors.labels(0, 1, 2, 0, 1, 2));
              TensorDataset lone = TensorDataset.of(torch.rand(2, 8), Tensors.labels(0, 1))) {
            refused(() -> empty.add("a", data), "attach");
            refused(() -> empty.predict(data.inputs()), "knows no domain");
            refused(empty::state, "knows no domain");
            empty.attach(encoder);
            refused(() -> empty.add("a", single), "class 1 alone");
            assertThat(empty.domains()).isEmpty();
            try (Ear ear = learned(encoder, Domains.settings(), 1)) {
              List<double[]> before = says(ear, data.inputs());
              refused(() -> ear.add("d1", data), "already");
              refused(() -> ear.add(" ", data), "give it a name");
              refused(() -> ear.add("a", unlabelled), "no labels");
              refused(() -> ear.add("a", data.asUnknown()), "have no known class");
              refused(() -> ear.add("a", broken), "NaN");
              refused(() -> ear.add("a", wide), "mlp");
              refused(() -> ear.add("a", lone), "no class with two rows");
              refused(() -> ear.predict(torch.rand(0, 8)), "at least one row");
              refused(() -> ear.predict(data.inputs().mul(new Scalar(Double.NaN))), "NaN");
              assertThat(says(ear, data.inputs())).usingRecursiveComparison().isEqualTo(before);
            }
            try (Ear ear = new Ear(Domains.settings("taps", List.of("fc9")))) {
              ear.attach(encoder);
              refused(() -> ear.add("a", data), "no tap 'fc9'", "act1");
            }
            try (Ear ear = new Ear(Domains.settings("maxParameters", 5))) {
              ear.attach(encoder);
              refused(() -> ear.add("a", data), "raise maxParameters");
            }
            try (Ear ear = learned(encoder, Domains.settings(), 1);
                NeuralModel other =
                    NeuralModel.create(
                        "mlp", Map.of("hidden", List.of(20, 16)), new long[] {8}, 3, 7)) {
              ear.attach(other);
              refused(() -> ear.predict(data.inputs()), "gives 20 channels", "24");
            }
          }
          refused(() -> Domains.settings("hyperDimension", 0), "hyperDimension");
          refused(
              () -> Domains.settings("hyperDimension", 1, "taps", List.of("act1", "act2")),
              "hyperDimension");
          refused(() -> Domains.settings("quantile", 1.0), "quantile");
          refused(() -> Domains.settings("window", 0), "window");
          refused(() -> Domains.settings("heldOut", 1.0), "heldOut");
          refused(() -> Domains.settings("taps", List.of("act1", "act1")), "taps");
        });
  }

  @Test
  void aDamagedStateIsRefusedAndTheEarStaysAsItWas() {
    Scopes.run(
        () -> {
          try (NeuralModel encoder = Domains.encoder();
              Ear ear = learned(encoder, Domains.settings(), 1);
              TensorDataset test = Domains.blobs(1, 10, 9)) {
            State good = ear.state();
            List<double[]> before = says(ear, test.inputs());
            for (String lost :
                List.of(
                    "fusion/mean/0",
                    "fusion/projection/1",
                    "domain/0/descriptors",
                    "domain/0/counts",
                    "domain/0/network/head.weight")) {
              Map<String, Tensor> tensors = new LinkedHashMap<>(good.tensors());
              tensors.remove(lost);
              refused(() -> ear.restore(state(good, good.values(), tensors)), "");
            }
            Map<String, Tensor> poisoned = new LinkedHashMap<>(good.tensors());
            poisoned.put(
                "domain/0/descriptors",
                good.tensor("domain/0/descriptors").mul(new Scalar(Double.NaN)));
            refused(() -> ear.restore(state(good, good.values(), poisoned)), "NaN");
            for (String lost : List.of("taps", "domains", "window", "classNames")) {
              Map<String, Object> values = new LinkedHashMap<>(good.values());
              values.remove(lost);
              refused(() -> ear.restore(state(good, values, good.tensors())), "");
            }
            refused(
                () -> ear.restore(new State("detector/knn", 1, good.values(), good.tensors())),
                "not a adapt/ear");
            assertThat(says(ear, test.inputs())).usingRecursiveComparison().isEqualTo(before);
          }
        });
  }

  private static State state(State of, Map<String, Object> values, Map<String, Tensor> tensors) {
    return new State(of.type(), of.version(), values, tensors);
  }

  @Test
  void predictingAndLearningDoNotGrowMemory() {
    Scopes.run(
        () -> {
          try (NeuralModel encoder = Domains.encoder();
              Ear ear =
                  learned(
                      encoder,
                      Domains.settings("steps", 3, "candidates", 1, "hyperDimension", 2000),
                      1);
              TensorDataset test = Domains.blobs(1, 64, 9);
              TensorDataset more = Domains.blobs(2, 30, 1)) {
            work(ear, test, more, 5);
            long before = Pointer.physicalBytes();
            work(ear, test, more, 40);
            // What one round makes and drops is more than a megabyte.
            assertThat(Pointer.physicalBytes() - before).isLessThan(20_000_000);
          }
        });
  }

  private static void work(Ear ear, TensorDataset test, TensorDataset more, int times) {
    for (int i = 0; i < times; i++) {
      try (PointerScope scope = new PointerScope()) {
        ear.predict(test.inputs());
        ear.extend("d1", test);
        try (Ear copy = ear.copy()) {
          copy.add("more", more);
        }
      }
    }
  }

  static void refused(Runnable work, String... words) {
    assertThatThrownBy(work::run)
        .isInstanceOf(OutriggerException.class)
        .satisfies(
            error ->
                assertThat(((OutriggerException) error).firstLine()).isNotBlank().contains(words));
  }
}
