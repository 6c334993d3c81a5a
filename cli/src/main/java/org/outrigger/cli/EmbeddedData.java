package org.outrigger.cli;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.torch.Tensors;
import org.outrigger.datasets.DatasetCatalogue;
import org.outrigger.datasets.DatasetEntry;

/** Embedded data sets wherever a path is asked for: {@code NAME} or {@code NAME:PART}. */
final class EmbeddedData {
  private EmbeddedData() {}

  /** Whether that is no path but the name of an embedded data set. */
  static boolean names(Path data) {
    String name = data.toString().split(":", 2)[0];
    return !Files.exists(data)
        && DatasetCatalogue.list().stream().anyMatch(e -> e.embedded() && e.name().equals(name));
  }

  /**
   * Opens an embedded data set.
   *
   * @param name perhaps with a part after a colon
   * @param usual the part that is meant where none is named, if there is such a part
   * @param classNames the classes in the model's order, or empty to keep the data's own
   */
  static IndexedDataset open(String name, String usual, List<String> classNames) {
    String[] words = name.split(":", 2);
    DatasetEntry entry = DatasetCatalogue.entry(words[0]);
    String part =
        words.length > 1 ? words[1] : entry.parts().contains(usual) ? usual : entry.parts().get(0);
    IndexedDataset data = DatasetCatalogue.open(words[0], part, null);
    List<String> own = folderNames(data.classNames());
    List<String> wanted = folderNames(classNames);
    if (wanted.isEmpty() || wanted.equals(own) || !(data instanceof TensorDataset rows)) {
      return data;
    }
    if (wanted.size() < 2) {
      throw new OutriggerException("A model has at least two classes, not only " + wanted + ".");
    }
    int[] labels =
        Arrays.stream(data.labels()).map(l -> l < 0 ? -1 : wanted.indexOf(own.get(l))).toArray();
    return TensorDataset.builder(rows.inputs())
        .labels(Tensors.labels(labels))
        .classNames(classNames)
        .scaleBytes(true)
        .name(data.name())
        .build();
  }

  /** Class names as names of folders: what no file system takes becomes a dash. */
  static List<String> folderNames(List<String> classNames) {
    return classNames.stream().map(name -> name.replaceAll("[/\\\\:*?\"<>|]", "-")).toList();
  }
}
