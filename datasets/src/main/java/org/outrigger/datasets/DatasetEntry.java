package org.outrigger.datasets;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * What is known of a data set before it is loaded.
 *
 * @param name what it is opened by, such as {@code cifar-10}
 * @param title what it is called
 * @param classes the number of classes; 0 if it depends on the files, or if the target is a number
 * @param shape of one input, [C, H, W] or [D]; 0 where it depends on the files
 * @param size rows, in words
 * @param parts what can be opened, such as {@code train} and {@code test}
 * @param licence as its authors give it
 * @param embedded whether it is in this module, so that no folder is needed
 * @param where what to put into the folder; empty if embedded
 * @param md5 the official MD5 of its files or archives by name, where one is published
 */
public record DatasetEntry(
    String name,
    String title,
    int classes,
    List<Integer> shape,
    String size,
    List<String> parts,
    String licence,
    boolean embedded,
    String where,
    Map<String, String> md5) {
  public DatasetEntry {
    shape = List.copyOf(shape);
    parts = List.copyOf(parts);
    md5 = Map.copyOf(md5);
  }

  /**
   * Compares those files of the folder whose official checksum is known.
   *
   * @return one sentence for each file that differs; empty if none does
   */
  public List<String> verify(Path folder) {
    List<String> problems = new ArrayList<>();
    md5.keySet().stream()
        .sorted()
        .forEach(
            file -> {
              Path path = folder.resolve(file);
              if (Files.isRegularFile(path)) {
                String found = PublicFiles.md5(path);
                if (!found.equals(md5.get(file))) {
                  problems.add(
                      path
                          + " is damaged or another version: its MD5 is "
                          + found
                          + ", the official one is "
                          + md5.get(file)
                          + ".");
                }
              }
            });
    return problems;
  }
}
