package org.outrigger.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.outrigger.core.io.Json;
import org.outrigger.core.io.Npz;
import org.outrigger.core.io.Safetensors;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;
import org.outrigger.core.torch.Torch;

class DetectCompareCommandTest {
  private static final int N = 60;

  @TempDir Path folder;

  @Test
  void detectorsAreComparedOnAModelAndDataWithAReport() throws IOException {
    Path report = folder.resolve("r.html");
    Shell.Result result =
        Shell.run(
                "detect",
                "compare",
                "--model",
                Samples.CLOTHES_MODEL,
                "--id",
                Samples.CLOTHES,
                "--ood",
                "mnist",
                "mnist:train",
                "--limit",
                80,
                "--detectors",
                "energy,knn:k=5,odin,mahalanobis",
                "--report",
                report)
            .worked();
    assertThat(result.out())
        .contains("AUROC MNIST test", "mean AUROC", "energy", "knn", "odin", "mahalanobis");
    assertThat(Files.readString(report)).contains("<html", "mahalanobis", "</html>");
  }

  @Test
  void detectorsThatCannotBeUsedAreLeftOutWithTheReason() {
    Shell.Result result =
        Shell.run(
                "detect",
                "compare",
                "--model",
                Samples.FLOWER_MODEL,
                "--id",
                Samples.FLOWERS,
                "--label",
                "label",
                "--ood",
                Samples.FLOWERS,
                "--json")
            .worked();
    Map<String, Object> json = Json.object("comparison", result.out());
    assertThat((List<?>) json.get("detectors")).hasSizeGreaterThan(15);
    assertThat(json.get("left")).asList().allSatisfy(left -> assertThat(left).isNotNull());
  }

  @Test
  void cachedFeaturesAreComparedWithoutAModel() {
    Path train = write("train.npz", 0, 1, true, false);
    Path test = write("test.npz", 0, 2, false, false);
    Path far = write("far.safetensors", 8, 3, false, false);
    Shell.Result result =
        Shell.run(
                "detect",
                "compare",
                "--fit-features",
                train,
                "--id-features",
                test,
                "--ood-features",
                far,
                "--detectors",
                "mahalanobis,knn:k=3,energy,odin",
                "--json")
            .worked();
    Map<String, Object> json = Json.object("comparison", result.out());
    @SuppressWarnings("unchecked")
    List<Map<String, Object>> rows = (List<Map<String, Object>>) json.get("detectors");
    assertThat(rows)
        .extracting(row -> row.get("detector"))
        .contains("mahalanobis", "knn", "energy");
    assertThat(rows)
        .filteredOn(row -> "mahalanobis".equals(row.get("detector")))
        .allSatisfy(row -> assertThat((Double) row.get("meanAuroc")).isGreaterThan(0.99));
    assertThat(json.get("left").toString()).contains("odin", "the model itself");
  }

  @Test
  void knownFeaturesAreSplitWhereThereAreNoOthersToFitOn() {
    Path test = write("test.npz", 0, 2, true, true);
    Path far = write("far.npz", 8, 3, false, true);
    assertThat(
            Shell.run(
                    "detect",
                    "compare",
                    "--id-features",
                    test,
                    "--ood-features",
                    far,
                    "--detectors",
                    "mahalanobis,msp")
                .worked()
                .out())
        .contains("mahalanobis", "msp", "AUROC far.npz");
  }

  @Test
  void filesThatDoNotFitAreRefused() {
    Path test = write("test.npz", 0, 2, false, false);
    Path fine = write("fine.npz", 0, 2, true, true);
    Shell.run("detect", "compare", "--id-features", test, "--ood-features", fine)
        .refused("test.npz", "needs 'logits'");
    Shell.run("detect", "compare", "--id-features", fine, "--ood-features", folder.resolve("no"))
        .refused("There is no file");
    Shell.run("detect", "compare", "--id-features", fine).refused("--ood-features");
    Shell.run("detect", "compare", "--id-features", fine, "--ood", "mnist", "--ood-features", fine)
        .refused("not both");
    Shell.run("detect", "compare").refused("--model, --id and --ood");
    Shell.run(
            "detect",
            "compare",
            "--id-features",
            fine,
            "--ood-features",
            fine,
            "--detectors",
            "energi")
        .refused("Did you mean energy");
    Shell.run(
            "detect",
            "compare",
            "--id-features",
            fine,
            "--ood-features",
            fine,
            "--detectors",
            "odin")
        .refused("No detector could be used");
  }

  /** Features of two classes around 0 and 3, shifted; the head separates them. */
  private Path write(String name, double shift, long seed, boolean head, boolean logits) {
    Path file = folder.resolve(name);
    Torch.start();
    Scopes.run(
        () -> {
          try (Rng rng = Rng.named(seed, "features")) {
            int[] labels = new int[N];
            for (int i = 0; i < N; i++) {
              labels[i] = i % 2;
            }
            Tensor label = Tensors.labels(labels);
            Tensor centres =
                label.to(torch.ScalarType.Float).mul(Tensors.number(3)).add(Tensors.number(shift));
            Tensor features = rng.normal(torch.ScalarType.Float, N, 4).add(centres.unsqueeze(1));
            Tensor weight = Tensors.of(new float[] {-1, -1, -1, -1, 1, 1, 1, 1}, 2, 4);
            Tensor bias = Tensors.of(new float[] {6, -6}, 2);
            Map<String, Tensor> tensors = new LinkedHashMap<>();
            tensors.put("features", features);
            tensors.put("labels", label);
            if (head) {
              tensors.put("weight", weight);
              tensors.put("bias", bias);
            }
            if (logits) {
              tensors.put("logits", torch.addmm(bias, features, weight.t()));
            }
            if (name.endsWith(".npz")) {
              Npz.write(file, tensors);
            } else {
              Safetensors.write(file, tensors, Map.of());
            }
          }
        });
    return file;
  }
}
