package org.outrigger.calibrate.conformal;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.outrigger.calibrate.ConformalPredictor;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.State;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.Methods;
import org.outrigger.core.torch.ResidentMemory;
import org.outrigger.core.torch.Tensors;
import org.outrigger.core.torch.Torch;

/** What every conformal predictor promises; the registry says which there are. */
class ConformalLawsTest {
  private static final long HELD = 300;
  private static final long NEW = 60;

  private PointerScope scope;
  private Simulation held;
  private Simulation fresh;

  static List<String> all() {
    return Stream.concat(
            Methods.cards(ConformalPredictor.class).stream().map(Card::slug),
            Stream.of(
                "lac:allowEmpty=false",
                "aps:randomised=false",
                "raps:kReg=1:lambda=0.1:allowEmpty=false",
                "class-conditional:score=RAPS",
                "covariate-shift-conformal:score=APS",
                "label-shift-conformal:score=APS:priors=0.1+0.2+0.3+0.4",
                "risk-controlled:score=APS:delta=0.01"))
        .toList();
  }

  private static ConformalPredictor make(String name) {
    return Methods.parse(ConformalPredictor.class, name).get(0);
  }

  @BeforeEach
  void open() {
    Torch.start();
    scope = new PointerScope();
    held = Simulation.draw(HELD, 21);
    fresh = Simulation.draw(NEW, 22);
  }

  @AfterEach
  void close() {
    scope.close();
  }

  /** Those that correct a shift are told of one; for the others there is none. */
  private static void aim(ConformalPredictor predictor, Simulation target) {
    if (predictor instanceof CovariateShiftConformal || predictor instanceof LabelShiftConformal) {
      predictor.target(target.probabilities(), target.features());
    }
  }

  private ConformalPredictor fitted(String name) {
    ConformalPredictor predictor = make(name);
    aim(predictor, fresh);
    predictor.fit(held.probabilities(), held.labels(), held.features());
    return predictor;
  }

  private static double[] sets(ConformalPredictor predictor, Simulation rows) {
    return Tensors.doubles(predictor.sets(rows.probabilities(), rows.features()));
  }

  @ParameterizedTest
  @MethodSource("all")
  void itsSetsHoldTheTrueLabelAboutAsOftenAsPromised(String name) {
    Simulation many = Simulation.draw(4000, 23);
    try (ConformalPredictor predictor = fitted(name)) {
      ConformalEvaluation evaluation =
          ConformalEvaluation.of(
              predictor.sets(many.probabilities(), many.features()),
              many.labels(),
              predictor.coverage());
      // 300 rows: the coverage of one fit varies by 0.017, with weights and without empty sets
      // more.
      assertThat(evaluation.coverage().estimate()).as(name).isBetween(0.83, 0.985);
      assertThat(evaluation.meanSize()).isBetween(1.0, 3.3);
      assertThat(predictor.promise()).contains("90 %").endsWith(".");
    }
  }

  @ParameterizedTest
  @MethodSource("all")
  void aRestoredOneMakesTheSameSets(String name) {
    try (ConformalPredictor predictor = fitted(name);
        ConformalPredictor other =
            Methods.create(ConformalPredictor.class, predictor.card().slug(), Map.of())) {
      assertThat(other.fitted()).isFalse();
      State state = predictor.state();
      other.restore(state);
      assertThat(other.settings()).isEqualTo(predictor.settings());
      assertThat(other.promise()).isEqualTo(predictor.promise());
      assertThat(sets(other, fresh)).containsExactly(sets(predictor, fresh));
      other
          .state()
          .tensors()
          .forEach(
              (key, tensor) -> assertThat(torch.equal(tensor, state.tensor(key))).as(key).isTrue());
    }
  }

  @ParameterizedTest
  @MethodSource("all")
  void aRowsSetDoesNotDependOnItsBatch(String name) {
    try (ConformalPredictor predictor = fitted(name)) {
      double[] together = sets(predictor, fresh);
      for (int i = 0; i < NEW; i++) {
        double[] alone = sets(predictor, fresh.rows(i, 1));
        for (int c = 0; c < Simulation.CLASSES; c++) {
          assertThat(alone[c]).isEqualTo(together[i * Simulation.CLASSES + c]);
        }
      }
    }
  }

  @ParameterizedTest
  @MethodSource("all")
  void theSameFitGivesTheSameSets(String name) {
    try (ConformalPredictor one = fitted(name);
        ConformalPredictor two = fitted(name)) {
      assertThat(sets(one, fresh)).containsExactly(sets(two, fresh));
    }
  }

  @ParameterizedTest
  @MethodSource("all")
  void singlePrecisionRowsMakeTheSameSetsButForTheLastDigits(String name) {
    Tensor single = fresh.probabilities().to(ScalarType.Float);
    try (ConformalPredictor predictor = fitted(name)) {
      double[] exact = sets(predictor, fresh);
      double[] rounded = Tensors.doubles(predictor.sets(single, fresh.features()));
      int apart = 0;
      for (int i = 0; i < exact.length; i++) {
        apart += exact[i] == rounded[i] ? 0 : 1;
      }
      assertThat(apart).isLessThanOrEqualTo(1);
    }
  }

  @ParameterizedTest
  @MethodSource("all")
  void aSmallerAlphaMakesSetsThatHoldTheOthers(String name) {
    // A part that chooses settings by alpha is left out: other settings make other sets.
    String fixed = name.equals("raps") ? "raps:kReg=1:lambda=0.1" : name;
    try (ConformalPredictor wide = fitted(fixed + ":alpha=0.05");
        ConformalPredictor middle = fitted(fixed + ":alpha=0.1");
        ConformalPredictor narrow = fitted(fixed + ":alpha=0.3")) {
      double[] large = sets(wide, fresh);
      double[] medium = sets(middle, fresh);
      double[] small = sets(narrow, fresh);
      double grown = 0;
      for (int i = 0; i < large.length; i++) {
        assertThat(large[i]).isGreaterThanOrEqualTo(medium[i]);
        assertThat(medium[i]).isGreaterThanOrEqualTo(small[i]);
        grown += large[i] - small[i];
      }
      assertThat(grown).isPositive();
      assertThat(wide.coverage()).isEqualTo(0.95);
    }
  }

  @ParameterizedTest
  @MethodSource("all")
  void renamingTheClassesRenamesTheSets(String name) {
    if (name.contains("priors")) {
      return; // The settings name classes.
    }
    long[] order = {2, 0, 3, 1};
    Tensor index = Tensors.of(order, 4);
    // Class order[j] becomes j.
    Tensor renamed = index.argsort(0, false);
    try (ConformalPredictor plain = fitted(name);
        ConformalPredictor other = make(name)) {
      Simulation target = renamed(fresh, index, renamed);
      Simulation known = renamed(held, index, renamed);
      aim(other, target);
      other.fit(known.probabilities(), known.labels(), known.features());
      Tensor expected = plain.sets(fresh.probabilities(), fresh.features()).index_select(1, index);
      assertThat(sets(other, target)).containsExactly(Tensors.doubles(expected));
    }
  }

  private static Simulation renamed(Simulation rows, Tensor order, Tensor names) {
    return new Simulation(
        rows.probabilities().index_select(1, order),
        names.index_select(0, rows.labels()),
        rows.features());
  }

  @ParameterizedTest
  @MethodSource("all")
  void tooFewRowsMakeSetsOfAllLabels(String name) {
    if (name.contains("shift")) {
      return; // Six rows that weigh much more than a new one can be enough.
    }
    Simulation small = held.rows(0, 6);
    try (ConformalPredictor predictor = make(name)) {
      aim(predictor, fresh);
      predictor.fit(small.probabilities(), small.labels(), small.features());
      assertThat(sets(predictor, fresh)).containsOnly(1.0);
    }
  }

  @ParameterizedTest
  @MethodSource("all")
  void equalProbabilitiesArePutInTheOrderOfLabels(String name) {
    Tensor even =
        torch.full(new long[] {NEW, 4}, new Scalar(0.25), fresh.probabilities().options());
    Simulation ties = new Simulation(even, fresh.labels(), fresh.features());
    try (ConformalPredictor predictor = make(name)) {
      aim(predictor, fresh);
      predictor.fit(even, fresh.labels(), fresh.features());
      double[] sets = sets(predictor, ties);
      // Rows that are alike get sets that are alike, whichever they are.
      if (!name.startsWith("covariate")) {
        for (int i = 0; i < sets.length; i++) {
          assertThat(sets[i]).isEqualTo(sets[i % 4]);
        }
      }
      double held = 0;
      int[] labels = Tensors.ints(ties.labels());
      for (int i = 0; i < NEW; i++) {
        held += sets[4 * i + labels[i]] / NEW;
      }
      if (!name.contains("shift")) {
        assertThat(held).isGreaterThanOrEqualTo(0.9);
      }
    }
  }

  @ParameterizedTest
  @MethodSource("all")
  void badInputChangesNothing(String name) {
    try (ConformalPredictor predictor = fitted(name)) {
      double[] before = sets(predictor, fresh);
      Tensor p = held.probabilities();
      Tensor y = held.labels();
      Tensor f = held.features();
      Tensor broken = p.clone();
      broken.select(0, 3).fill_(new Scalar(Double.NaN));
      refused(() -> predictor.fit(broken, y, f), "NaN");
      refused(() -> predictor.fit(p.mul(new Scalar(2.0)), y, f), "sum to one");
      refused(() -> predictor.fit(p.neg(), y, f), "0 or more");
      refused(() -> predictor.fit(p, y.add(new Scalar(4L)), f), "classes are 0 to 3");
      refused(() -> predictor.fit(p, y.narrow(0, 0, 5), f), "N = 300");
      refused(() -> predictor.fit(p.narrow(0, 0, 0), y.narrow(0, 0, 0), f), "empty");
      refused(() -> predictor.fit(p, y.to(ScalarType.Float), f), "int64");
      refused(() -> predictor.sets(broken, f), "1 of 300 rows");
      refused(() -> predictor.sets(p.select(0, 0), f), "[N, C]");
      Tensor halves = torch.full(new long[] {2, 2}, new Scalar(0.5), p.options());
      refused(() -> predictor.sets(halves, f.narrow(0, 0, 2)), "C = 4");
      assertThat(sets(predictor, fresh)).containsExactly(before);
    }
    try (ConformalPredictor predictor = make(name)) {
      refused(() -> predictor.sets(fresh.probabilities(), fresh.features()), "has not been fitted");
      refused(predictor::state, "has not been fitted");
      refused(predictor::promise, "has not been fitted");
    }
    refused(() -> make(name + ":alpha=0"), "alpha = 0.0 is out of range");
    refused(() -> make(name + ":alpha=1"), "alpha = 1.0 is out of range");
  }

  private static void refused(
      org.assertj.core.api.ThrowableAssert.ThrowingCallable call, String why) {
    assertThatThrownBy(call).isInstanceOf(OutriggerException.class).hasMessageContaining(why);
  }

  @ParameterizedTest
  @MethodSource("all")
  void aDamagedStateIsRefused(String name) {
    try (ConformalPredictor predictor = fitted(name)) {
      double[] before = sets(predictor, fresh);
      State state = predictor.state();
      for (String key : state.tensors().keySet()) {
        Map<String, Tensor> less = new LinkedHashMap<>(state.tensors());
        less.put(key, state.tensor(key).clone().fill_(new Scalar(Double.NaN)));
        refused(
            () -> predictor.restore(new State(state.type(), 1, state.values(), less)), "damaged");
        less.put(key, torch.cat(new TensorVector(state.tensor(key), state.tensor(key)), -1));
        assertThatThrownBy(
                () -> predictor.restore(new State(state.type(), 1, state.values(), less)))
            .isInstanceOf(OutriggerException.class);
      }
      refused(
          () -> predictor.restore(new State("conformal/other", 1, state.values(), Map.of())),
          "not a conformal/");
      refused(
          () -> predictor.restore(new State(state.type(), 1, state.values(), Map.of())), "damaged");
      assertThat(sets(predictor, fresh)).containsExactly(before);
    }
  }

  @ParameterizedTest
  @MethodSource("all")
  void memoryStaysFlat(String name) {
    try (ConformalPredictor predictor = fitted(name)) {
      double before = 0;
      for (int i = 0; i < 150; i++) {
        if (i == 50) {
          before = ResidentMemory.megabytes();
        }
        try (PointerScope inner = new PointerScope()) {
          predictor.sets(fresh.probabilities(), fresh.features());
        }
      }
      assertThat(ResidentMemory.megabytes() - before).isLessThan(8);
    }
  }

  @ParameterizedTest
  @MethodSource("all")
  void thosePromisingNothingUnderShiftSayWhoDoes(String name) {
    try (ConformalPredictor predictor = make(name)) {
      if (predictor instanceof CovariateShiftConformal
          || predictor instanceof LabelShiftConformal) {
        return;
      }
      refused(
          () -> predictor.target(fresh.probabilities(), fresh.features()),
          "use covariate-shift-conformal");
    }
  }
}
