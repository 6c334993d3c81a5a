package org.outrigger.select;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.Map;
import java.util.Set;
import java.util.stream.Stream;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.Methods;
import org.outrigger.core.method.Need;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Tensors;
import org.outrigger.core.torch.Torch;

/** What every score obeys. */
class ModelScoreLawsTest {
  private static final long ROWS = 90;
  private static final long CLASSES = 3;
  private static final long DIMENSION = 7;

  /** These draw rows or starting points at random, so that the order of rows counts. */
  private static final Set<String> RANDOM = Set.of("nleep", "knn-accuracy", "probe-accuracy");

  /** These look at one feature after the other, so that their axes count. */
  private static final Set<String> ALONG_AXES = Set.of("parc", "tmi");

  /**
   * These change a little: two standardise each feature, and SFDA's estimate of the largest spread
   * starts from row sums, which three rounds nearly forget.
   */
  private static final Set<String> NEARLY = Set.of("probe-accuracy", "knn-accuracy", "sfda");

  /** LogME has no intercept: it sees where the origin is. */
  private static final Set<String> ABOUT_THE_ORIGIN = Set.of("logme");

  static Stream<String> slugs() {
    return Methods.cards(ModelScore.class).stream().map(Card::slug);
  }

  private static ModelScore create(String slug) {
    // A small floor, so that TMI looks at distances.
    return Methods.create(
        ModelScore.class, slug, slug.equals("tmi") ? Map.of("minDist", 1e-3) : Map.of());
  }

  private static Candidate clouds(double apart) {
    Tensor labels = Clouds.labels(ROWS, CLASSES);
    return new Candidate(
        Clouds.features(labels, DIMENSION, apart, 1),
        labels,
        Clouds.probabilities(labels, 4, apart, 2));
  }

  private static Candidate changed(Candidate c, Tensor rows, Tensor names, Tensor features) {
    return new Candidate(
        features.index_select(0, rows),
        names.index_select(0, c.labels()).index_select(0, rows),
        part(c.probabilities()).index_select(0, rows));
  }

  private static Tensor part(@org.jspecify.annotations.Nullable Tensor tensor) {
    if (tensor == null) {
      throw new AssertionError("the candidate has all parts");
    }
    return tensor;
  }

  private static Tensor all() {
    return torch.arange(new Scalar(ROWS), new org.bytedeco.pytorch.TensorOptions(ScalarType.Long));
  }

  @ParameterizedTest
  @MethodSource("slugs")
  void theOrderOfRowsDoesNotCount(String slug) {
    Torch.start();
    try (PointerScope scope = new PointerScope();
        Rng rng = new Rng(3)) {
      Candidate c = clouds(1);
      double score = create(slug).score(c);
      double mixed =
          create(slug)
              .score(
                  changed(c, rng.permutation(ROWS), Tensors.labels(0, 1, 2), part(c.features())));
      if (RANDOM.contains(slug)) {
        assertThat(mixed).isCloseTo(score, within(0.35));
      } else {
        assertThat(mixed).isCloseTo(score, within(1e-8 * Math.max(1, Math.abs(score))));
      }
    }
  }

  @ParameterizedTest
  @MethodSource("slugs")
  void theNamesOfClassesDoNotCount(String slug) {
    Torch.start();
    try (PointerScope scope = new PointerScope()) {
      Candidate c = clouds(1);
      double score = create(slug).score(c);
      double renamed =
          create(slug).score(changed(c, all(), Tensors.labels(2, 0, 1), part(c.features())));
      if (RANDOM.contains(slug) && !slug.equals("nleep")) {
        assertThat(renamed).isCloseTo(score, within(0.35));
      } else {
        assertThat(renamed).isCloseTo(score, within(1e-8 * Math.max(1, Math.abs(score))));
      }
    }
  }

  @ParameterizedTest
  @MethodSource("slugs")
  void classesWithoutRowsDoNotCount(String slug) {
    Torch.start();
    try (PointerScope scope = new PointerScope()) {
      Candidate c = clouds(1);
      double score = create(slug).score(c);
      double apart =
          create(slug).score(changed(c, all(), Tensors.labels(1, 4, 6), part(c.features())));
      // TMI's definition counts them as classes of entropy 0: 7 classes instead of 3.
      double expected = slug.equals("tmi") ? score * 3 / 7 : score;
      assertThat(apart).isCloseTo(expected, within(1e-8 * Math.max(1, Math.abs(score))));
    }
  }

  @ParameterizedTest
  @MethodSource("slugs")
  void whereFeaturesLieDoesNotCount(String slug) {
    Torch.start();
    try (PointerScope scope = new PointerScope()) {
      Candidate c = clouds(1);
      double score = create(slug).score(c);
      double moved =
          create(slug)
              .score(
                  changed(
                      c, all(), Tensors.labels(0, 1, 2), part(c.features()).add(new Scalar(3.0))));
      if (ABOUT_THE_ORIGIN.contains(slug)) {
        assertThat(moved).isNotCloseTo(score, within(1e-6));
      } else {
        assertThat(moved).isCloseTo(score, within(1e-6 * Math.max(1, Math.abs(score))));
      }
    }
  }

  @ParameterizedTest
  @MethodSource("slugs")
  void rotationsDoNotCountButWhereFeaturesAreTakenOneByOne(String slug) {
    Torch.start();
    try (PointerScope scope = new PointerScope()) {
      Candidate c = clouds(1);
      double score = create(slug).score(c);
      Tensor turned = part(c.features()).mm(Clouds.rotation(DIMENSION, 5));
      double rotated = create(slug).score(changed(c, all(), Tensors.labels(0, 1, 2), turned));
      if (ALONG_AXES.contains(slug)) {
        assertThat(rotated).isNotCloseTo(score, within(1e-3));
      } else if (NEARLY.contains(slug)) {
        assertThat(rotated).isCloseTo(score, within(0.2));
      } else if (slug.equals("nleep")) {
        assertThat(rotated).isCloseTo(score, within(1e-3));
      } else {
        assertThat(rotated).isCloseTo(score, within(1e-8 * Math.max(1, Math.abs(score))));
      }
    }
  }

  @ParameterizedTest
  @MethodSource("slugs")
  void classesThatAreFartherApartScoreHigherButForTmi(String slug) {
    Torch.start();
    try (PointerScope scope = new PointerScope();
        Rng rng = new Rng(4)) {
      Candidate apart = clouds(3);
      Candidate mixed =
          new Candidate(
              apart.features(),
              apart.labels().index_select(0, rng.permutation(ROWS)),
              apart.probabilities());
      double clear = create(slug).score(apart);
      double shuffled = create(slug).score(mixed);
      if (slug.equals("tmi")) {
        // It likes classes that are spread, and shuffled classes are spread over all clouds.
        assertThat(shuffled).isGreaterThan(clear);
      } else {
        assertThat(clear).isGreaterThan(shuffled);
      }
    }
  }

  @ParameterizedTest
  @MethodSource("slugs")
  void theSameSeedGivesTheSameScore(String slug) {
    Torch.start();
    try (PointerScope scope = new PointerScope()) {
      Candidate c = clouds(1);
      assertThat(create(slug).score(c)).isEqualTo(create(slug).score(c));
    }
  }

  @ParameterizedTest
  @MethodSource("slugs")
  void singlePrecisionGivesNearlyTheSameScore(String slug) {
    Torch.start();
    try (PointerScope scope = new PointerScope()) {
      Candidate c = clouds(1);
      Candidate single =
          new Candidate(
              part(c.features()).to(ScalarType.Float),
              c.labels(),
              part(c.probabilities()).to(ScalarType.Float));
      double score = create(slug).score(c);
      assertThat(create(slug).score(single))
          .isCloseTo(score, within(1e-3 * Math.max(1, Math.abs(score))));
    }
  }

  @ParameterizedTest
  @MethodSource("slugs")
  void fewerRowsThanFeaturesAreScored(String slug) {
    Torch.start();
    try (PointerScope scope = new PointerScope()) {
      Tensor labels = Clouds.labels(24, 3);
      Candidate wide =
          new Candidate(
              Clouds.features(labels, 50, 1, 1), labels, Clouds.probabilities(labels, 4, 1, 2));
      assertThat(create(slug).score(wide)).isFinite();
    }
  }

  @ParameterizedTest
  @MethodSource("slugs")
  void whatIsMissingIsNamedWithScoresThatDoWithoutIt(String slug) {
    Torch.start();
    try (PointerScope scope = new PointerScope()) {
      Candidate c = clouds(1);
      ModelScore score = create(slug);
      boolean logits = score.needs().contains(Need.LOGITS);
      Candidate without =
          new Candidate(
              logits ? c.features() : null, c.labels(), logits ? null : c.probabilities());
      assertThatThrownBy(() -> score.score(without))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining(score.card().name() + " needs ")
          .hasMessageContaining(logits ? "logme" : "leep");
    }
  }

  @ParameterizedTest
  @MethodSource("slugs")
  void oneClassIsRefusedButByTmi(String slug) {
    Torch.start();
    try (PointerScope scope = new PointerScope()) {
      Candidate c = clouds(1);
      Candidate single =
          new Candidate(c.features(), torch.zeros_like(c.labels()), c.probabilities());
      ModelScore score = create(slug);
      if (slug.equals("tmi")) {
        assertThat(score.score(single)).isFinite();
      } else {
        assertThatThrownBy(() -> score.score(single))
            .isInstanceOf(OutriggerException.class)
            .hasMessageContaining("at least two classes");
      }
    }
  }

  @ParameterizedTest
  @MethodSource("slugs")
  void memoryStaysFlat(String slug) {
    Torch.start();
    try (PointerScope scope = new PointerScope()) {
      Candidate c = clouds(1);
      ModelScore score = create(slug);
      for (int i = 0; i < 3; i++) {
        score.score(c);
      }
      long before = org.bytedeco.javacpp.Pointer.totalCount();
      for (int i = 0; i < 5; i++) {
        score.score(c);
      }
      assertThat(org.bytedeco.javacpp.Pointer.totalCount() - before).isLessThan(20);
    }
  }

  @Test
  void badCandidatesAreNamed() {
    Torch.start();
    try (PointerScope scope = new PointerScope()) {
      Tensor x = Tensors.of(new double[] {1, 2, 3, 4, 5, 6}, 3, 2);
      Tensor y = Tensors.labels(0, 1, 1);
      assertThatThrownBy(() -> new Candidate(x, Tensors.labels(0, 1), null))
          .hasMessageContaining("N = 2");
      assertThatThrownBy(() -> new Candidate(x, Tensors.labels(0, -1, 1), null))
          .hasMessageContaining("from -1");
      assertThatThrownBy(() -> new Candidate(x, y.to(ScalarType.Double), null))
          .hasMessageContaining("int64");
      assertThatThrownBy(() -> new Candidate(x.div(Tensors.of(new double[] {0, 1}, 2)), y, null))
          .hasMessageContaining("NaN or infinite");
      assertThatThrownBy(() -> new Candidate(x, y, x)).hasMessageContaining("sum to 1");
      assertThatThrownBy(() -> new Candidate(null, Tensors.of(new long[0], 0), null))
          .hasMessageContaining("empty");
      assertThatThrownBy(() -> new LogMe().score(new Candidate(torch.zeros_like(x), y, null)))
          .hasMessageContaining("do not vary");
    }
  }
}
