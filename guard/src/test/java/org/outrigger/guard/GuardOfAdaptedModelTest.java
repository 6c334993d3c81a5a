package org.outrigger.guard;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.bytedeco.pytorch.Scalar;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.data.Shift;
import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.io.StateFiles;
import org.outrigger.core.method.Methods;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.torch.Scopes;
import org.outrigger.detect.Adaptation;
import org.outrigger.detect.Energy;
import org.outrigger.detect.Mol;

/** From meta-training over saving and adapting to a guard. */
class GuardOfAdaptedModelTest {
  private static Shift moved(double by) {
    return Shift.of("moved by " + by, x -> x.add(new Scalar(by)));
  }

  @Test
  void aMetaTrainedModelIsSavedAdaptedToAFewRowsAndGuarded(@TempDir Path folder) {
    Path network = folder.resolve("network.safetensors");
    Path learned = folder.resolve("mol.safetensors");
    List<Shift> shifts =
        IntStream.rangeClosed(-4, 4).mapToObj(GuardOfAdaptedModelTest::moved).toList();
    try (NeuralModel model = Blobs.model();
        TensorDataset train = Blobs.known(300, 2);
        TensorDataset outliers = Blobs.far(100);
        Mol mol = Methods.create(Mol.class, "mol", Map.of("iterations", 60))) {
      model.save(network);
      mol.attach(model);
      mol.train(mol.tasks(train, outliers, shifts));
      StateFiles.write(learned, mol.state());
    }

    IndexedDataset shifted = moved(6).of(Blobs.known(600, 4));
    try (NeuralModel model = NeuralModel.load(network);
        Mol mol = new Mol()) {
      Scopes.run(() -> mol.restore(StateFiles.read(learned)));
      mol.attach(model);
      Adaptation adaptation = mol.adapt(shifted.read(IntStream.range(0, 15).toArray()));
      assertThat(adaptation.lossAfter()).isLessThan(adaptation.lossBefore());
      IndexedDataset validation = shifted.subset(IntStream.range(15, 600).toArray());
      try (NeuralModel adapted = mol.model();
          Guard stale = Guard.of(model).detect(new Energy()).fit(validation);
          Guard guard = Guard.of(adapted).detect(new Energy()).fit(validation)) {
        assertThat(accuracy(guard, validation))
            .isGreaterThan(0.8)
            .isGreaterThan(accuracy(stale, validation) + 0.1);
      }
    }
  }

  private static double accuracy(Guard guard, IndexedDataset data) {
    return GuardEvaluation.of(guard, data, List.of(), 128, 0, done -> {})
        .known()
        .predictions()
        .accuracy()
        .estimate();
  }
}
