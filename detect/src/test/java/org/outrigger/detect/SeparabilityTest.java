package org.outrigger.detect;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.List;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.Json;
import org.outrigger.core.metric.Auroc;
import org.outrigger.core.model.Outputs;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Torch;

/** On a plane where the probe's classes differ along one axis and unknown inputs along another. */
class SeparabilityTest {
  private PointerScope scope;
  private Rng rng;

  @BeforeEach
  void open() {
    Torch.start();
    scope = new PointerScope();
    rng = new Rng(4);
  }

  @AfterEach
  void close() {
    rng.close();
    scope.close();
  }

  /** Two classes at x = -2 and 2, y = 1. */
  private Outputs known(long rows) {
    Tensor labels =
        torch.arange(new Scalar(0), new Scalar(rows), Blobs.LONG).remainder(new Scalar(2));
    Tensor x = labels.to(ScalarType.Double).mul(new Scalar(4.0)).sub(new Scalar(2.0));
    return outputs(x, 1, labels);
  }

  /** Far out along the axis that tells the classes apart, at another y: confidently misjudged. */
  private Outputs familiar(long rows) {
    Tensor sign =
        torch.arange(new Scalar(0), new Scalar(rows), Blobs.LONG).remainder(new Scalar(2));
    Tensor x = sign.to(ScalarType.Double).mul(new Scalar(12.0)).sub(new Scalar(6.0));
    return outputs(x, -7, null);
  }

  private Outputs outputs(Tensor x, double y, Tensor labels) {
    long rows = x.size(0);
    Tensor centres = torch.stack(new TensorVector(x, torch.full_like(x, new Scalar(y))), 1);
    Tensor features = centres.add(rng.normal(ScalarType.Double, rows, 2).mul(new Scalar(0.2)));
    // What the backbone's own head says is of other classes and of no use.
    return Outputs.of(rng.normal(ScalarType.Double, rows, 5), features, labels, null);
  }

  private static final LinearProbe.Settings QUICK =
      new LinearProbe.Settings(0.5, 0.9, 50, 0, false, 0);

  private Separability measure(List<Separability.Unknown> unknown) {
    return Separability.of(
        "b",
        "k",
        List.of("left", "right"),
        known(60),
        known(60),
        unknown,
        Separability.Settings.defaults().withProbe(QUICK));
  }

  private static Separability.Unknown kind(String name, Outputs outputs) {
    return new Separability.Unknown(name, outputs, List.of("other"), false);
  }

  @Test
  void aProbeThatIsSureOfWhatIsFarAwayIsFlaggedAsUnsafe() {
    Separability report = measure(List.of(kind("familiar", familiar(40))));
    Separability.Kind familiar = report.kinds().get(0);
    assertThat(report.accuracy()).isEqualTo(1);
    assertThat(familiar.rows()).isEqualTo(40);
    assertThat(familiar.knn().metrics().auroc()).isGreaterThan(0.99);
    assertThat(familiar.msp().metrics().auroc()).isLessThan(0.4);
    assertThat(familiar.separability().estimate()).isGreaterThan(0.95);
    assertThat(familiar.accepted()).isEqualTo(familiar.msp().metrics().fprIdPositive());
    assertThat(familiar.unsafe()).isTrue();
    assertThat(familiar.inverted()).isTrue();
    assertThat(report.unsafe()).isTrue();
    assertThat(familiar.advice()).contains("unsafe", "pt-ood", "inverted");
    assertThat(familiar.msp().auroc().estimate()).isEqualTo(familiar.msp().metrics().auroc());
  }

  @Test
  void inputsOfTheKnownDistributionAreInseparableAndNothingIsUnsafe() {
    Separability report = measure(List.of(kind("same", known(400))));
    Separability.Kind same = report.kinds().get(0);
    assertThat(same.separability().estimate()).isCloseTo(0.5, within(0.2));
    assertThat(same.separability().low()).isLessThan(same.separability().estimate());
    assertThat(same.unsafe()).isFalse();
    assertThat(report.unsafe()).isFalse();
    assertThat(same.advice()).contains("another backbone");
  }

  @Test
  void theDistanceIsTheDetectors() {
    Outputs fit = known(60);
    Outputs test = known(30);
    Outputs far = familiar(20);
    Separability report =
        Separability.of(
            "b",
            "k",
            List.of(),
            fit,
            test,
            List.of(new Separability.Unknown("f", far, List.of(), true)),
            Separability.Settings.defaults().withProbe(QUICK).withK(3));
    try (PtOod detector = new PtOod(new PtOod.Settings(3, true, 1, 0))) {
      detector.fit(fit);
      Tensor id =
          detector.score(new org.outrigger.core.model.Output(test.logits(), test.features()));
      Tensor ood =
          detector.score(new org.outrigger.core.model.Output(far.logits(), far.features()));
      assertThat(report.kinds().get(0).knn().metrics().auroc()).isEqualTo(Auroc.of(id, ood));
    }
  }

  @Test
  void twoBackbonesAreComparedKindByKind() {
    Separability a = measure(List.of(kind("familiar", familiar(40)), kind("same", known(40))));
    Separability b = measure(List.of(kind("familiar", familiar(40))));
    List<Separability.Difference> differences = a.minus(b);
    assertThat(differences).hasSize(1);
    assertThat(differences.get(0).name()).isEqualTo("familiar");
    assertThat(differences.get(0).msp())
        .isEqualTo(
            a.kinds().get(0).msp().metrics().auroc() - b.kinds().get(0).msp().metrics().auroc());
  }

  @Test
  void theSameSeedGivesTheSameReport() {
    Outputs fit = known(40);
    Outputs test = known(40);
    List<Separability.Unknown> far = List.of(kind("f", familiar(30)));
    Separability.Settings settings =
        Separability.Settings.defaults().withProbe(QUICK).withBank(0.5).withSeed(3);
    Separability once = Separability.of("b", "k", List.of("x"), fit, test, far, settings);
    assertThat(Separability.of("b", "k", List.of("x"), fit, test, far, settings)).isEqualTo(once);
  }

  @Test
  void theReportBecomesJson() {
    Separability report = measure(List.of(kind("familiar", familiar(40))));
    String json = Json.pretty(report.toJson());
    assertThat(json).contains("\"unsafe\" : true", "\"linearSeparability\"", "\"fpr95IdPositive\"");
  }

  @Test
  void theModelsOwnHeadCanBeJudgedInstead() {
    Outputs fit = known(30);
    Separability own =
        Separability.of(
            "b",
            "k",
            List.of("left", "right"),
            fit,
            known(60),
            List.of(kind("familiar", familiar(20))),
            Separability.Settings.defaults().withOwnHead(true).withProbe(QUICK));
    assertThat(own.ownHead()).isTrue();
    assertThat(own.accuracy()).isLessThan(0.6);
    assertThat(own.kinds().get(0).unsafe()).isTrue();
  }

  @Test
  void sharedClassesAreRefusedUnlessTheCallerKnowsBetter() {
    Outputs far = familiar(10);
    assertThatThrownBy(
            () -> measure(List.of(new Separability.Unknown("u", far, List.of("left"), false))))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("classes left of u");
    assertThatThrownBy(() -> measure(List.of(new Separability.Unknown("u", far, List.of(), false))))
        .hasMessageContaining("state that no class is shared");
    assertThat(measure(List.of(new Separability.Unknown("u", far, List.of("left"), true))).kinds())
        .hasSize(1);
  }

  @Test
  void badInputIsNamed() {
    assertThatThrownBy(() -> measure(List.of())).hasMessageContaining("no unknown inputs");
    assertThatThrownBy(() -> measure(List.of(kind("one", familiar(1)))))
        .hasMessageContaining("at least two");
    Outputs far = familiar(10);
    Tensor bad = far.features().clone();
    bad.select(0, 2).fill_(new Scalar(Double.NaN));
    Outputs broken = Outputs.of(far.logits(), bad, null, null);
    assertThatThrownBy(() -> measure(List.of(kind("nan", broken))))
        .hasMessageContaining("1 of 10 rows");
    Outputs narrow = Outputs.of(far.logits(), far.features().narrow(1, 0, 1), null, null);
    assertThatThrownBy(() -> measure(List.of(kind("narrow", narrow)))).hasMessageContaining("D");
    Outputs unlabelled = familiar(20);
    assertThatThrownBy(
            () ->
                Separability.of(
                    "b",
                    "k",
                    List.of("x"),
                    unlabelled,
                    known(10),
                    List.of(kind("f", far)),
                    Separability.Settings.defaults()))
        .hasMessageContaining("class labels");
    assertThatThrownBy(
            () ->
                Separability.of(
                    "b",
                    "k",
                    List.of("x"),
                    known(10),
                    known(10),
                    List.of(kind("f", far)),
                    Separability.Settings.defaults().withK(10)))
        .hasMessageContaining("k = 10");
  }
}
