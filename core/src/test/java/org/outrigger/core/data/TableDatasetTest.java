package org.outrigger.core.data;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Tensors;

class TableDatasetTest {
  @TempDir Path dir;

  private Path file(String name, String... lines) throws IOException {
    return Files.write(dir.resolve(name), List.of(lines));
  }

  private Path parquet(String name, String query) throws Exception {
    Path file = dir.resolve(name);
    try (Connection db = DriverManager.getConnection("jdbc:duckdb:");
        Statement statement = db.createStatement()) {
      statement.execute("COPY (" + query + ") TO '" + file + "' (FORMAT parquet)");
    }
    return file;
  }

  private static DataOptions labelled() {
    return DataOptions.defaults().label("label");
  }

  private record All(
      List<Float> values,
      List<Integer> labels,
      List<String> ids,
      List<String> times,
      List<Batches.Skipped> skipped) {}

  private static All all(Dataset data, int batchSize) {
    All all =
        new All(
            new ArrayList<>(),
            new ArrayList<>(),
            new ArrayList<>(),
            new ArrayList<>(),
            new ArrayList<>());
    try (Batches walk = data.batches(batchSize)) {
      while (walk.hasNext()) {
        try (Batch batch = walk.next()) {
          for (float value : Tensors.floats(batch.inputs())) {
            all.values.add(value);
          }
          if (batch.labels() != null) {
            for (int label : Tensors.ints(batch.labels())) {
              all.labels.add(label);
            }
          }
          all.ids.addAll(batch.ids());
          all.times.addAll(batch.times());
        }
      }
      all.skipped.addAll(walk.skipped());
    }
    return all;
  }

  @Test
  void csvWithTextLabelsIdsAndTimes() throws IOException {
    Path csv =
        file(
            "a.csv",
            "key,when,a,label,b,note",
            "r1,2024-01-01,1.5,dog,2,x",
            "r2,2024-01-02,3,cat,4,y",
            "r3,2024-01-03,5,dog,-6e-1,z");
    TableDataset data = TableDataset.open(csv, labelled().id("key").time("when"));
    assertThat(data.featureNames()).containsExactly("a", "b");
    assertThat(data.classNames()).containsExactly("cat", "dog");
    assertThat(data.inputShape()).containsExactly(2);
    assertThat(data.size()).isEqualTo(-1);
    All all = all(data, 2);
    assertThat(all.values).containsExactly(1.5f, 2f, 3f, 4f, 5f, -0.6f);
    assertThat(all.labels).containsExactly(1, 0, 1);
    assertThat(all.ids).containsExactly("r1", "r2", "r3");
    assertThat(all.times).containsExactly("2024-01-01", "2024-01-02", "2024-01-03");
    TableDataset ordered =
        TableDataset.open(csv, labelled().features("b").classNames(List.of("dog", "bird")));
    assertThat(all(ordered, 8).labels).containsExactly(0, -1, 0);
    assertThat(all(ordered, 8).values).containsExactly(2f, 4f, -0.6f);
    try (TensorDataset memory = data.toMemory()) {
      assertThat(memory.labels()).containsExactly(1, 0, 1);
    }
  }

  @Test
  void badRowsAreLeftOutAndNamed() throws IOException {
    Path csv =
        file(
            "bad.csv",
            "a,b,label",
            "1,2,0",
            "x,3,1",
            ",4,1",
            "5,nan,0",
            "6,7",
            "8,9,",
            "10,11,1",
            "1,2,3,4",
            "12,inf,0");
    TableDataset data = TableDataset.open(csv, labelled().features("a", "b"));
    All all = all(data, 2);
    assertThat(all.values).containsExactly(1f, 2f, 10f, 11f);
    assertThat(all.labels).containsExactly(0, 1);
    assertThat(all.skipped)
        .extracting(Batches.Skipped::id)
        .contains("1", "2", "3", "line 6", "line 9");
    assertThat(all.skipped.get(0).reason()).contains("'a'").contains("not a number");
    assertThat(all.skipped).hasSize(7);
    assertThatThrownBy(() -> all(data.strict(), 100))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("'1'")
        .hasMessageContaining("strict");
  }

  @Test
  void oneBadCellDoesNotCostTheColumn() throws IOException {
    List<String> lines = new ArrayList<>(List.of("a,b,name"));
    for (int i = 0; i < 3000; i++) {
      lines.add(i + "," + (i == 7 || i == 2999 ? "oops" : i) + ",n" + i);
    }
    Path csv = file("late.csv", lines.toArray(new String[0]));
    TableDataset data = TableDataset.open(csv);
    assertThat(data.featureNames()).containsExactly("a", "b");
    All all = all(data, 100);
    assertThat(all.skipped).extracting(Batches.Skipped::id).containsExactly("7", "2999");
    assertThat(all.ids).hasSize(2998);
    for (int i = 0; i < all.ids.size(); i++) {
      assertThat(all.values.get(2 * i)).isEqualTo(Float.parseFloat(all.ids.get(i)));
    }
  }

  @Test
  void headersAreFoundAndTsvIsRead() throws IOException {
    assertThat(all(TableDataset.open(file("n.csv", "1,2", "3,4")), 9).values)
        .containsExactly(1f, 2f, 3f, 4f);
    Path numbered = file("h.csv", "0,1", "3,4");
    assertThat(all(TableDataset.open(numbered, DataOptions.defaults().header(true)), 9).values)
        .containsExactly(3f, 4f);
    assertThat(all(TableDataset.open(file("t.tsv", "a\tb", "3\t4", "5\t6")), 9).values)
        .containsExactly(3f, 4f, 5f, 6f);
  }

  @Test
  void jsonLinesWithMissingValuesAndDamagedLines() throws IOException {
    Path json =
        file(
            "a.jsonl",
            "{\"a\": 1, \"b\": 2.5, \"label\": 1}",
            "{\"a\": null, \"b\": 3, \"label\": 0}",
            "{\"a\": 4, \"b\":",
            "{\"a\": 5, \"label\": 1}",
            "{\"a\": 6, \"b\": 7, \"label\": 0}");
    All all = all(TableDataset.open(json, labelled()), 4);
    assertThat(all.values).containsExactly(1f, 2.5f, 6f, 7f);
    assertThat(all.labels).containsExactly(1, 0);
    assertThat(all.skipped).hasSize(3);
    Path lists =
        file("l.jsonl", "{\"features\": [1, 2]}", "{\"features\": [3]}", "{\"features\": [5, 6]}");
    All listed = all(TableDataset.open(lists), 4);
    assertThat(listed.values).containsExactly(1f, 2f, 5f, 6f);
    assertThat(listed.skipped.get(0).reason()).contains("1 values instead of 2");
  }

  @Test
  void parquetIsStreamedInFileOrder() throws Exception {
    Path file =
        parquet(
            "big.parquet",
            "SELECT i AS id, (i % 7)::TINYINT AS label, i::DOUBLE AS a, (i / 2)::FLOAT AS b,"
                + " i % 3 = 0 AS flag FROM range(100000) t(i)");
    TableDataset data = TableDataset.open(file, labelled().id("id"));
    assertThat(data.size()).isEqualTo(100_000);
    assertThat(data.featureNames()).containsExactly("a", "b");
    int seen = 0;
    try (Batches walk = data.batches(999)) {
      while (walk.hasNext()) {
        try (Batch batch = walk.next()) {
          float[] values = Tensors.floats(batch.inputs());
          int[] labels = Tensors.ints(batch.labels());
          for (int i = 0; i < batch.size(); i++, seen++) {
            assertThat(values[2 * i]).isEqualTo(seen);
            assertThat(labels[i]).isEqualTo(seen % 7);
            assertThat(batch.ids().get(i)).isEqualTo(Integer.toString(seen));
          }
        }
      }
    }
    assertThat(seen).isEqualTo(100_000);
    assertThat(all(TableDataset.open(file, labelled().limit(5)), 3).labels)
        .containsExactly(0, 1, 2, 3, 4);
  }

  @Test
  void parquetListAndArrayColumns() throws Exception {
    Path list =
        parquet(
            "list.parquet",
            "SELECT [i::FLOAT, i + 0.5, NULL_OR] AS features, i AS id FROM (SELECT i,"
                + " CASE WHEN i = 3 THEN NULL ELSE 1 END AS NULL_OR FROM range(5) t(i))");
    All all = all(TableDataset.open(list), 10);
    assertThat(all.values.subList(0, 6)).containsExactly(0f, 0.5f, 1f, 1f, 1.5f, 1f);
    assertThat(all.skipped).extracting(Batches.Skipped::id).containsExactly("3");
    Path array = parquet("array.parquet", "SELECT [i, 2 * i]::DOUBLE[2] AS v FROM range(3) t(i)");
    assertThat(all(TableDataset.open(array, DataOptions.defaults().features("v")), 2).values)
        .containsExactly(0f, 0f, 1f, 2f, 2f, 4f);
  }

  @Test
  void namesWithQuotesAndWildcardsAreTakenLiterally() throws Exception {
    Path file = file("it's [1]*.csv", "a \"x\",b'); --", "1,2");
    file("it's 1z.csv", "c,d", "8,9");
    TableDataset data = TableDataset.open(file, DataOptions.defaults().features("b'); --"));
    assertThat(all(data, 1).values).containsExactly(2f);
    Path quoted = parquet("q.parquet", "SELECT 1 AS \"a\"\"; DROP\", 2 AS b");
    assertThat(all(TableDataset.open(quoted), 1).values).containsExactly(1f, 2f);
  }

  @Test
  void wrongColumnsAndFilesAreErrors() throws Exception {
    Path csv = file("c.csv", "height,width,label", "1,2,x");
    assertThatThrownBy(() -> TableDataset.open(csv, DataOptions.defaults().label("labl")))
        .hasMessageContaining("no column 'labl'")
        .hasMessageContaining("Did you mean 'label'")
        .hasMessageContaining("height, width");
    assertThatThrownBy(() -> TableDataset.open(csv, labelled().features("width", "heigth")))
        .hasMessageContaining("'height'");
    assertThatThrownBy(() -> TableDataset.open(csv, labelled().features("label")))
        .hasMessageContaining("cannot be a feature");
    assertThatThrownBy(() -> TableDataset.open(file("t.csv", "a,b", "x,y")))
        .hasMessageContaining("no numeric feature column");
    assertThatThrownBy(() -> TableDataset.open(dir.resolve("none.csv")))
        .hasMessageContaining("There is no file");
    assertThatThrownBy(() -> TableDataset.open(file("z.parquet", "not parquet")))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("z.parquet");
    assertThatThrownBy(() -> DataOptions.defaults().memory("lots", 1)).hasMessageContaining("1GB");
    assertThatThrownBy(() -> TableDataset.open(csv).batches(0)).hasMessageContaining("batchSize");
  }

  @Test
  void aParquetFileDamagedInTheMiddleIsAnErrorNotAShortWalk() throws Exception {
    Path file = parquet("d.parquet", "SELECT random() AS a, random() AS b FROM range(500000)");
    byte[] bytes = Files.readAllBytes(file);
    for (int i = bytes.length / 2; i < bytes.length / 2 + 2_000_000; i++) {
      bytes[i] = (byte) (i * 31);
    }
    Files.write(file, bytes);
    TableDataset data = TableDataset.open(file);
    assertThatThrownBy(() -> all(data, 1000))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("d.parquet");
  }
}
