package org.outrigger.guard;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.method.Methods;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.optim.Adam;
import org.outrigger.core.optim.Trainer;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.detect.Detector;
import org.outrigger.detect.Discrepancy;
import org.outrigger.detect.Energy;
import org.outrigger.detect.ModalityReport;
import org.outrigger.detect.MultiOod;

/** A guard around a model of two modalities, which are packed as one row. */
class MultiModalGuardTest {
  /** Both modalities of a row follow its class; strange ones follow two different classes. */
  private static IndexedDataset rows(int count, boolean strange, long seed) {
    return Scopes.scoped(
        () -> {
          try (Rng rng = new Rng(seed);
              Rng fixed = new Rng(7)) {
            Tensor label = torch.arange(new Scalar(count)).remainder(new Scalar(3));
            Tensor other = strange ? label.add(new Scalar(1)).remainder(new Scalar(3)) : label;
            Map<String, IndexedDataset> both = new LinkedHashMap<>();
            Tensor centres = fixed.normal(3, 4).mul(new Scalar(2.0));
            for (Tensor each : new TensorVector(label, other).get()) {
              Tensor inputs =
                  centres
                      .index_select(0, each.to(ScalarType.Long))
                      .add(rng.normal(count, 4).mul(new Scalar(0.3)));
              both.put(
                  both.isEmpty() ? "a" : "b",
                  TensorDataset.of(
                      both.isEmpty() ? inputs : inputs.unsqueeze(1).unsqueeze(1),
                      both.isEmpty() ? label.to(ScalarType.Long) : null));
            }
            IndexedDataset packed = IndexedDataset.pack(both);
            return strange ? packed.asUnknown() : packed;
          }
        });
  }

  private static NeuralModel trained() {
    NeuralModel model =
        NeuralModel.create(
            "multimodal",
            Map.of("parts", "a:4+b:1x1x4", "encoders", "mlp:hidden=16"),
            new long[] {8},
            3,
            1);
    try (MultiOod objective =
        new MultiOod(
            new MultiOod.Settings(0.5, 0.5, 0.5, Discrepancy.HELLINGER, 3, 10, 8, 1, true, 0))) {
      objective.attach(model);
      Trainer.of(model)
          .settings(Trainer.Settings.defaults().withEpochs(8).withBatchSize(16))
          .optimiser(p -> new Adam(p, Adam.Settings.of(0.01)))
          .objective(objective)
          .fit(rows(240, false, 1));
    }
    return model;
  }

  @Test
  void modalitiesThatContradictEachOtherAreFoundAlsoBySavedGuards(@TempDir Path folder) {
    try (NeuralModel model = trained();
        Guard guard =
            Guard.of(model)
                .detect(Methods.parse(Detector.class, "modality-discrepancy").get(0))
                .fit(rows(240, false, 2))) {
      List<Verdict> known = check(guard, rows(90, false, 3));
      List<Verdict> strange = check(guard, rows(90, true, 4));
      assertThat(known.stream().filter(Verdict::unknown).count()).isLessThan(20);
      assertThat(strange.stream().filter(Verdict::unknown).count()).isGreaterThan(80);
      guard.save(folder.resolve("g"));
      try (Guard loaded = Guard.load(folder.resolve("g"))) {
        assertThat(check(loaded, rows(90, true, 4))).isEqualTo(strange);
      }
    }
  }

  @Test
  void everyKindOfDetectorServesTheJointLogitsAndFeatures() {
    try (NeuralModel model = trained();
        Guard guard =
            Guard.of(model)
                .detect(
                    Methods.parse(Detector.class, "energy,knn:k=5,vim:dim=4,react,odin,gram")
                        .toArray(new Detector[0]))
                .fit(rows(240, false, 2))) {
      assertThat(check(guard, rows(90, false, 3)).stream().filter(Verdict::unknown).count())
          .isLessThan(40);
    }
  }

  @Test
  void theReportComparesModalitiesAloneAndTogether() {
    try (NeuralModel model = trained();
        Energy energy = new Energy()) {
      ModalityReport report =
          ModalityReport.of(model, rows(90, false, 3), rows(60, true, 4), energy, 32);
      assertThat(report.knownCount()).isEqualTo(90);
      assertThat(report.modalities())
          .extracting(ModalityReport.Part::name)
          .containsExactly("a", "b");
      assertThat(report.joint().accuracy()).isGreaterThan(0.95);
      assertThat(report.discrepancyUnknown()).isGreaterThan(report.discrepancyKnown() + 0.3);
      assertThat(report.discrepancyAuroc()).isGreaterThan(0.95);
      // Each modality alone sees nothing strange.
      assertThat(report.modalities()).allMatch(part -> part.auroc() < 0.7);
      assertThat(report.text()).contains("energy AUROC", "joint", "discrepancy: 0.");
      assertThat(report.toMap()).containsKeys("modalities", "joint", "discrepancy");
    }
  }

  private static List<Verdict> check(Guard guard, IndexedDataset rows) {
    return Scopes.scoped(
        () -> {
          int[] all = new int[(int) rows.size()];
          for (int i = 0; i < all.length; i++) {
            all[i] = i;
          }
          return guard.check(rows.read(all));
        });
  }
}
