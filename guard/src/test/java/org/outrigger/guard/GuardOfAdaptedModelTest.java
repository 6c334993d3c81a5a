package org.outrigger.guard;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.data.Shift;
import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.io.StateFiles;
import org.outrigger.core.method.Methods;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;
import org.outrigger.detect.Adaptation;
import org.outrigger.detect.Energy;
import org.outrigger.detect.Mol;

/** From meta-training over saving and adapting to a guard. */
class GuardOfAdaptedModelTest {
  private static Shift turned(double degrees) {
    double a = Math.toRadians(degrees);
    float[] matrix = {
      (float) Math.cos(a), (float) Math.sin(a), (float) -Math.sin(a), (float) Math.cos(a)
    };
    return Shift.of("turned by " + degrees, x -> x.mm(Tensors.of(matrix, 2, 2)));
  }

  @Test
  void aMetaTrainedModelIsSavedAdaptedToAFewRowsAndGuarded(@TempDir Path folder) {
    Path network = folder.resolve("network.safetensors");
    Path learned = folder.resolve("mol.safetensors");
    List<Shift> shifts = IntStream.range(0, 9).mapToObj(i -> turned(15 * i)).toList();
    try (NeuralModel model =
            NeuralModel.create("mlp", Map.of("hidden", "16"), new long[] {2}, 3, 5);
        TensorDataset train = Blobs.known(300, 2);
        TensorDataset outliers = Blobs.far(100);
        Mol mol = Methods.create(Mol.class, "mol", Map.of("iterations", 250, "outerRate", 0.01))) {
      model.save(network);
      mol.attach(model);
      mol.train(mol.tasks(train, outliers, shifts));
      Scopes.run(() -> StateFiles.write(learned, mol.state()));
    }

    try (NeuralModel model = NeuralModel.load(network);
        TensorDataset fresh = Blobs.known(600, 4);
        Mol mol = new Mol()) {
      IndexedDataset shifted = turned(170).of(fresh);
      IndexedDataset validation = shifted.subset(IntStream.range(15, 600).toArray());
      Scopes.run(() -> mol.restore(StateFiles.read(learned)));
      mol.attach(model);
      try (NeuralModel before = mol.model()) {
        Adaptation adaptation =
            Scopes.scoped(() -> mol.adapt(shifted.read(IntStream.range(0, 15).toArray())));
        assertThat(adaptation.lossAfter()).isLessThan(adaptation.lossBefore());
        try (NeuralModel adapted = mol.model();
            Guard stale = Guard.of(before).detect(new Energy()).fit(validation);
            Guard guard = Guard.of(adapted).detect(new Energy()).fit(validation)) {
          assertThat(accuracy(guard, validation))
              .isGreaterThan(0.7)
              .isGreaterThan(accuracy(stale, validation) + 0.1);
        }
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
