package org.outrigger.detect;

import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import org.bytedeco.pytorch.LongOptional;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.metric.Auroc;
import org.outrigger.core.metric.Bootstrap;
import org.outrigger.core.metric.DetectionMetrics;
import org.outrigger.core.metric.Interval;
import org.outrigger.core.metric.Rate;
import org.outrigger.core.metric.ScoreTable;
import org.outrigger.core.model.Outputs;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;
import org.outrigger.core.torch.Tensors;
import org.outrigger.detect.Separability.Kind;
import org.outrigger.detect.Separability.Score;
import org.outrigger.detect.Separability.Settings;
import org.outrigger.detect.Separability.Unknown;

/** How the figures of {@link Separability} come about. */
final class SeparabilityMeasurement {
  private SeparabilityMeasurement() {}

  static Separability of(
      String backbone,
      String known,
      List<String> classNames,
      Outputs fit,
      Outputs test,
      List<Unknown> unknown,
      Settings settings) {
    if (unknown.isEmpty()) {
      throw new OutriggerException("There are no unknown inputs to measure on: give some.");
    }
    unknown.forEach(kind -> checkDisjoint(classNames, kind));
    return Scopes.scoped(
        () ->
            Scopes.grad(
                false,
                () -> {
                  Side fitted = Side.of(fit, "fit on", true);
                  Side tested = Side.of(test, "test on", true);
                  int classes = classes(classNames, fitted, tested, fit, settings.ownHead());
                  try (LinearProbe probe =
                      settings.ownHead()
                          ? null
                          : new LinearProbe(settings.probe())
                              .fit(fitted.features, fitted.labels(), classes)) {
                    return measure(backbone, known, fitted, tested, test, unknown, probe, settings);
                  }
                }));
  }

  private static void checkDisjoint(List<String> known, Unknown kind) {
    if (kind.noSharedClass()) {
      return;
    }
    if (known.isEmpty() || kind.classNames().isEmpty()) {
      throw new OutriggerException(
          "Nothing says whether "
              + kind.name()
              + " holds inputs of known classes, which would not be unknown: give both data sets"
              + " class names, or state that no class is shared.");
    }
    Set<String> shared = new LinkedHashSet<>(kind.classNames());
    shared.retainAll(new LinkedHashSet<>(known));
    if (!shared.isEmpty()) {
      throw new OutriggerException(
          "The classes "
              + String.join(", ", shared)
              + " of "
              + kind.name()
              + " are known classes too, so its inputs are not all unknown: leave them out, or state"
              + " that no class is shared if only the names are the same.");
    }
  }

  private static int classes(
      List<String> names, Side fitted, Side tested, Outputs fit, boolean ownHead) {
    long largest =
        Math.max(fitted.labels().max().item_long(), tested.labels().max().item_long()) + 1;
    if (ownHead && largest > fit.classes()) {
      throw new OutriggerException(
          "The known data has labels up to "
              + (largest - 1)
              + ", but the model's own last layer tells "
              + fit.classes()
              + " classes: let a probe be fitted instead.");
    }
    return Math.toIntExact(Math.max(Math.max(largest, names.size()), 2));
  }

  /** Features and logits of one data set, all in memory; labels below 0 are left out. */
  private record Side(Tensor features, Tensor logits, @Nullable Tensor given) {
    static Side of(Outputs outputs, String purpose, boolean known) {
      Tensor features = outputs.features();
      Tensor logits = outputs.logits();
      Tensor labels = known ? outputs.labels("Measuring a linear probe") : null;
      if (labels != null) {
        Tensor chosen = labels.ge(new Scalar(0)).nonzero().flatten();
        if (chosen.numel() == 0) {
          throw new OutriggerException(
              "There is no known row to "
                  + purpose
                  + ": every label is below 0 (which marks unknown inputs).");
        }
        if (chosen.numel() < labels.numel()) {
          features = features.index_select(0, chosen);
          logits = logits.index_select(0, chosen);
          labels = labels.index_select(0, chosen);
        }
      }
      ScalarType type = features.scalar_type().intern();
      if (type != ScalarType.Float && type != ScalarType.Double) {
        features = features.to(ScalarType.Float);
      }
      Shapes.finite("The features to " + purpose, features);
      return new Side(features, logits, labels);
    }

    Tensor labels() {
      return Objects.requireNonNull(given);
    }

    long size() {
      return features.size(0);
    }
  }

  private static Separability measure(
      String backbone,
      String known,
      Side fit,
      Side test,
      Outputs testOutputs,
      List<Unknown> unknown,
      @Nullable LinearProbe probe,
      Settings settings) {
    Tensor bank = PtOod.sample(compared(fit.features, settings), settings.bank(), settings.seed());
    HyperParameter.require(
        settings.k() < bank.size(0),
        "k",
        settings.k(),
        "below the bank's " + bank.size(0) + " rows");
    Tensor logits = probe == null ? test.logits : probe.logits(test.features);
    double accuracy =
        logits
            .argmax(new LongOptional(1), false)
            .eq(test.labels())
            .to(ScalarType.Double)
            .mean()
            .item_double();
    Scored id = Scored.of(test.features, logits, bank, settings);
    List<Kind> kinds = new ArrayList<>();
    for (Unknown each : unknown) {
      kinds.add(
          Scopes.scoped(
              () -> {
                Side rows = Side.of(each.outputs(), "tell apart", false);
                Shapes.check()
                    .tensor("The known features", test.features, "*", "D")
                    .tensor("The features of " + each.name(), rows.features, "*", "D");
                Tensor unknownLogits = probe == null ? rows.logits : probe.logits(rows.features);
                Scored ood = Scored.of(rows.features, unknownLogits, bank, settings);
                Score msp = score(id.msp, ood.msp, settings.seed());
                return new Kind(
                    each.name(),
                    rows.size(),
                    separability(test.features, rows.features, settings),
                    msp.metrics().fprIdPositive(),
                    msp,
                    score(id.energy, ood.energy, settings.seed()),
                    score(id.knn, ood.knn, settings.seed()));
              }));
    }
    return new Separability(
        backbone, known, fit.size(), test.size(), accuracy, settings.ownHead(), kinds);
  }

  private static Tensor compared(Tensor features, Settings settings) {
    return settings.normalise() ? Knn.unit(features) : features;
  }

  /** The three scores of one data set. */
  @SuppressWarnings("ArrayRecordComponent")
  private record Scored(double[] msp, double[] energy, double[] knn) {
    static Scored of(Tensor features, Tensor logits, Tensor bank, Settings settings) {
      return Scopes.scoped(
          () ->
              new Scored(
                  Tensors.doubles(Msp.score(logits, 1)),
                  Tensors.doubles(Energy.score(logits, 1)),
                  Tensors.doubles(
                      PtOod.score(
                          compared(features.to(bank.scalar_type()), settings),
                          bank,
                          settings.k()))));
    }
  }

  private static Score score(double[] id, double[] ood, long seed) {
    ScoreTable table = ScoreTable.of(id, ood);
    return new Score(
        DetectionMetrics.of(table, 0.95), Bootstrap.of(seed).detection(table, Auroc::of));
  }

  /**
   * The accuracy of a linear classifier that learned known from unknown on one half of each, on the
   * other halves. As many rows of either are taken, so that 0.5 means inseparable.
   */
  private static Interval separability(Tensor known, Tensor unknown, Settings settings) {
    long rows = Math.min(known.size(0), unknown.size(0));
    if (rows < 2) {
      throw new OutriggerException(
          "Linear separability needs at least two known and two unknown rows, half of each to learn"
              + " from.");
    }
    try (Rng rng = Rng.named(settings.seed(), "separability");
        LinearProbe judge = new LinearProbe(settings.probe())) {
      Tensor a = known.index_select(0, rng.permutation(known.size(0)).narrow(0, 0, rows));
      Tensor b = unknown.index_select(0, rng.permutation(unknown.size(0)).narrow(0, 0, rows));
      b = b.to(a.scalar_type());
      long half = rows / 2;
      long rest = rows - half;
      judge.fit(
          torch.cat(new TensorVector(a.narrow(0, 0, half), b.narrow(0, 0, half)), 0),
          halves(half),
          2);
      Tensor right =
          judge
              .logits(
                  torch.cat(new TensorVector(a.narrow(0, half, rest), b.narrow(0, half, rest)), 0))
              .argmax(new LongOptional(1), false)
              .eq(halves(rest));
      return Rate.wilson(right.sum().item_long(), 2 * rest, 0.95);
    }
  }

  /** 0 for the first so many rows, 1 for as many more. */
  private static Tensor halves(long rows) {
    Tensor zeros = torch.zeros(new long[] {rows}, new TensorOptions(ScalarType.Long));
    return torch.cat(new TensorVector(zeros, torch.ones_like(zeros)), 0);
  }
}
