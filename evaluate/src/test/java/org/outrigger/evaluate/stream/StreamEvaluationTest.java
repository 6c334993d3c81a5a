package org.outrigger.evaluate.stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.ArrayList;
import java.util.List;
import org.bytedeco.javacpp.Pointer;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.Test;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.Shift;
import org.outrigger.core.metric.CalibrationMetrics;
import org.outrigger.core.model.Output;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

class StreamEvaluationTest {
  /** Makes a third of the rows look like those of another class. */
  private static final Shift PLUS =
      Shift.of("plus", x -> x.add(x.remainder(new Scalar(3.0)).eq(new Scalar(0.0))));

  private static final List<Shift> SHIFTS = List.of(Shift.none(), PLUS);

  /** Says the class of row number r, r % 4, with logits that grow with the number. */
  private static Output read(Tensor inputs) {
    return Scopes.scoped(
        () -> {
          Tensor label = inputs.flatten().remainder(new Scalar(4.0)).to(ScalarType.Long);
          Tensor sure = inputs.remainder(new Scalar(7.0)).mul(new Scalar(.5)).add(new Scalar(.1));
          return new Output(
              Scopes.keep(torch.one_hot(label, 4).to(ScalarType.Float).mul(sure)), null);
        });
  }

  private static TestStream stream(String protocol, int rows) {
    return StreamProtocol.parse(protocol)
        .with(s -> s.withRounds(2).withBatchSize(32))
        .over(new CountedRows(rows, 4, true), SHIFTS);
  }

  @Test
  void figuresAreThoseOfTheRowsOfTheDomainMixedOrNot() {
    for (String protocol : List.of("continual", "mixed_domains", "correlated")) {
      List<Tensor> logits = new ArrayList<>();
      List<Tensor> labels = new ArrayList<>();
      Scopes.run(
          () -> {
            StreamReport report =
                StreamEvaluation.of(stream(protocol, 100))
                    .observe(
                        (batch, output) -> {
                          for (int i = 0; i < batch.size(); i++) {
                            if (batch.domains()[i] == 1) {
                              logits.add(Scopes.own(output.logits().narrow(0, i, 1).clone()));
                              labels.add(Scopes.own(batch.labels().narrow(0, i, 1).clone()));
                            }
                          }
                        })
                    .run(StreamPredictor.frozen(StreamEvaluationTest::read));
            CalibrationMetrics expected =
                CalibrationMetrics.of(
                    torch.softmax(cat(logits).to(ScalarType.Double), 1), cat(labels));
            StreamReport.Figures plus = report.domain("plus");
            assertThat(plus.rows()).isEqualTo(200);
            assertThat(plus.accuracy())
                .isCloseTo(expected.accuracy(), within(1e-12))
                .isBetween(.6, .7);
            assertThat(plus.ece()).isCloseTo(expected.ece(), within(1e-9));
            assertThat(plus.brier()).isCloseTo(expected.brierSum(), within(1e-9));
            assertThat(plus.nll()).isCloseTo(expected.nll(), within(1e-9));
            assertThat(plus.millisPerRow()).isPositive();
            assertThat(report.domain("none").error()).isZero();
            assertThat(report.accuracy()).isCloseTo((1 + plus.accuracy()) / 2, within(1e-12));
            assertThat(report.total().rows()).isEqualTo(400);
            assertThat(report.rounds()).hasSize(2);
            assertThat(report.accuracy(0) + report.lastAccuracy())
                .isCloseTo(2 * report.accuracy(), within(1e-12));
          });
      logits.forEach(Scopes::release);
      labels.forEach(Scopes::release);
    }
  }

  private static Tensor cat(List<Tensor> parts) {
    return torch.cat(new TensorVector(parts.toArray(new Tensor[0])), 0);
  }

  @Test
  void thePredictorIsResetWhereTheStreamSaysSoBeforeItPredicts() {
    List<String> calls = new ArrayList<>();
    StreamPredictor predictor =
        StreamPredictor.of(
            x -> {
              calls.add("predict");
              return read(x);
            },
            () -> calls.add("reset"));
    StreamEvaluation.of(
            StreamProtocol.parse("reset_each_shift")
                .with(s -> s.withBatchSize(50))
                .over(new CountedRows(100, 4, true), SHIFTS))
        .run(predictor);
    assertThat(calls).containsExactly("reset", "predict", "predict", "reset", "predict", "predict");
  }

  @Test
  void theCurveAndTheProgressFollowTheStream() {
    List<StreamEvaluation.Progress> progress = new ArrayList<>();
    StreamReport report =
        StreamEvaluation.of(
                StreamProtocol.parse("continual")
                    .with(s -> s.withBatchSize(10))
                    .over(new CountedRows(100, 4, true), SHIFTS))
            .curve(50)
            .progress(progress::add)
            .run(StreamPredictor.frozen(StreamEvaluationTest::read));
    assertThat(report.curve())
        .extracting(StreamReport.Point::rows)
        .containsExactly(50L, 100L, 150L, 200L);
    assertThat(report.curve().get(0).accuracy()).isEqualTo(1);
    assertThat(report.curve().get(3).accuracy()).isLessThan(.8);
    assertThat(progress).hasSize(20);
    assertThat(progress.get(9)).isEqualTo(new StreamEvaluation.Progress(100, 200, "none", 1));
    assertThat(progress.get(19).of()).isEqualTo(progress.get(19).rows());
    assertThat(progress.get(19).accuracy()).isEqualTo(report.total().accuracy());
    assertThat(
            StreamEvaluation.of(stream("continual", 50))
                .run(StreamPredictor.frozen(StreamEvaluationTest::read))
                .curve())
        .isEmpty();
  }

  @Test
  void unknownAndUnlabelledRowsCountForTheTimeAlone() {
    CountedRows known = new CountedRows(80, 4, true);
    StreamReport report =
        StreamEvaluation.of(
                StreamProtocol.parse("mixed_domains")
                    .over(
                        List.of(
                            new Domain("known", known),
                            new Domain("unknown", known.onlyUnknown(1, 2)))))
            .run(StreamPredictor.frozen(StreamEvaluationTest::read));
    assertThat(report.domain("unknown").rows()).isEqualTo(40);
    assertThat(report.domain("unknown").labelled()).isZero();
    assertThat(report.domain("unknown").accuracy()).isNaN();
    assertThat(report.accuracy()).isEqualTo(report.domain("known").accuracy()).isEqualTo(1);
    StreamReport blind =
        StreamEvaluation.of(
                StreamProtocol.parse("continual")
                    .over(List.of(new Domain("a", new CountedRows(20, 0, true)))))
            .curve(1)
            .run(StreamPredictor.frozen(StreamEvaluationTest::read));
    assertThat(blind.error()).isNaN();
    assertThat(blind.curve()).hasSize(1);
  }

  @Test
  void aPredictorThatBreaksDownIsNamedWithThePlace() {
    StreamPredictor broken =
        StreamPredictor.frozen(x -> new Output(read(x).logits().mul(new Scalar(Double.NaN)), null));
    assertThatThrownBy(() -> StreamEvaluation.of(stream("continual", 50)).run(broken))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("rows 0 to 31")
        .hasMessageContaining("domain 'none'");
    StreamPredictor tooFew =
        StreamPredictor.frozen(x -> new Output(read(x).logits().narrow(0, 0, 3), null));
    assertThatThrownBy(() -> StreamEvaluation.of(stream("continual", 50)).run(tooFew))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("predicted logits");
    assertThatThrownBy(() -> StreamEvaluation.of(stream("continual", 50)).curve(0))
        .isInstanceOf(OutriggerException.class);
  }

  @Test
  void aDomainThatIsNotThereIsNamed() {
    StreamReport report =
        StreamEvaluation.of(stream("continual", 50))
            .run(StreamPredictor.frozen(StreamEvaluationTest::read));
    assertThatThrownBy(() -> report.domain("fog"))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("[none, plus]");
  }

  @Test
  void aLongRunHoldsNoMoreMemoryThanAShortOne() {
    StreamPredictor predictor = StreamPredictor.frozen(StreamEvaluationTest::read);
    StreamEvaluation.of(stream("mixed_domains", 100)).run(predictor);
    long before = Pointer.totalCount();
    StreamEvaluation.of(stream("mixed_domains", 20_000)).run(predictor);
    assertThat(Pointer.totalCount()).isLessThanOrEqualTo(before + 8);
  }

  @Test
  void aSlidingWindowPredictsEachRowFromTheRowsBeforeItAndLearnsOnceARound() {
    List<String> calls = new ArrayList<>();
    StreamPredictor learner =
        StreamPredictor.of(
            x -> {
              calls.add("learn " + List.of(Tensors.ints(x)[0], Tensors.ints(x)[2]));
              return new Output(x.mul(new Scalar(-1.0)), null);
            },
            () -> calls.add("reset"));
    try (SlidingWindow window =
        new SlidingWindow(
            3,
            2,
            x -> {
              calls.add("predict " + x.size(0));
              return new Output(x.mul(new Scalar(2.0)), x);
            },
            learner)) {
      List<Integer> answers = new ArrayList<>();
      for (int i = 1; i <= 7; i++) {
        int row = i;
        Scopes.run(
            () -> {
              Output output = window.predict(Tensors.of(new float[] {row}, 1, 1));
              assertThat(output.size()).isEqualTo(1);
              answers.add(Tensors.ints(output.logits())[0]);
            });
      }
      assertThat(answers).containsExactly(2, 4, -3, 8, 10, -6, 14);
      assertThat(calls)
          .containsExactly(
              "predict 2",
              "predict 2",
              "learn [1, 3]",
              "predict 3",
              "predict 3",
              "learn [4, 6]",
              "predict 3");
      window.reset();
      Scopes.run(() -> window.predict(Tensors.of(new float[] {9}, 1, 1)));
      assertThat(calls).endsWith("reset", "predict 2");
      assertThatThrownBy(() -> window.predict(Tensors.of(new float[] {1, 2}, 2, 1)))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("batchSize = 1");
    }
    assertThatThrownBy(() -> new SlidingWindow(2, 3, x -> new Output(x, null), learner))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("least = 3");
  }
}
