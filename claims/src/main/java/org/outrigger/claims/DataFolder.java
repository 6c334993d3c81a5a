package org.outrigger.claims;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import org.outrigger.datasets.DatasetCatalogue;
import org.outrigger.datasets.DatasetEntry;

/**
 * Public data that cannot come with the project: one folder, in it a folder for each data set,
 * called as in the catalogue. The system property {@value #PROPERTY} names it, or the environment
 * variable {@value #VARIABLE}.
 */
public final class DataFolder {
  public static final String PROPERTY = "outrigger.data";
  public static final String VARIABLE = "OUTRIGGER_DATA";

  private DataFolder() {}

  /**
   * The folder of a data set, if there is one.
   *
   * @param name as in the catalogue, such as {@code cifar-10}
   */
  public static Optional<Path> of(String name) {
    return Optional.ofNullable(root())
        .map(root -> Path.of(root).resolve(name))
        .filter(Files::isDirectory);
  }

  private static @Nullable String root() {
    String property = System.getProperty(PROPERTY);
    return property != null ? property : System.getenv(VARIABLE);
  }

  /** Says what to put where; empty if the data set's folder is there. */
  public static String missing(String name) {
    if (of(name).isPresent()) {
      return "";
    }
    DatasetEntry entry = DatasetCatalogue.entry(name);
    String root = root();
    return entry.title()
        + " is not embedded: put it into "
        + (root == null ? "a folder DIR/" + name : Path.of(root).resolve(name))
        + " ("
        + entry.where()
        + ")"
        + (root == null ? " and set " + VARIABLE + "=DIR or -D" + PROPERTY + "=DIR." : ".");
  }
}
