package org.outrigger.cli;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Stream;
import org.outrigger.core.OutriggerException;

/** The files that 'outrigger rank' reads: models, and a table of accuracies. */
final class RankFiles {
  private static final String ENDINGS = ".*\\.(pt|pth|ts|torchscript|ckpt|bin|safetensors|onnx)";

  private RankFiles() {}

  /** Files by the names of candidates: without folder and ending where that leaves no two alike. */
  static Map<String, Path> find(List<Path> paths) {
    List<Path> files = new ArrayList<>();
    for (Path path : paths) {
      if (Files.isDirectory(path)) {
        files.addAll(inFolder(path));
      } else {
        files.add(path);
      }
    }
    Map<String, Path> named = new LinkedHashMap<>();
    for (Path file : files.stream().distinct().toList()) {
      String name = fileName(file);
      String stem = stem(name);
      boolean alone = files.stream().filter(f -> stem(fileName(f)).equals(stem)).count() == 1;
      boolean unique = files.stream().filter(f -> fileName(f).equals(name)).count() == 1;
      named.put(alone ? stem : unique ? name : file.toString(), file);
    }
    return named;
  }

  private static List<Path> inFolder(Path folder) {
    try (Stream<Path> list = Files.list(folder)) {
      List<Path> files =
          list.filter(Files::isRegularFile)
              .filter(file -> fileName(file).toLowerCase(Locale.ROOT).matches(ENDINGS))
              .filter(file -> !fileName(file).startsWith("."))
              .sorted()
              .toList();
      if (files.isEmpty()) {
        throw new OutriggerException(
            "There is no model file in "
                + folder
                + ": put .pt, .onnx or .safetensors files there, or name files with --models.");
      }
      return files;
    } catch (IOException e) {
      throw new OutriggerException(folder + " cannot be listed: " + e.getMessage(), e);
    }
  }

  private static String fileName(Path file) {
    return String.valueOf(file.getFileName());
  }

  private static String stem(String fileName) {
    int dot = fileName.lastIndexOf('.');
    return dot > 0 ? fileName.substring(0, dot) : fileName;
  }

  /**
   * Reads accuracies by candidate.
   *
   * @param file two columns, a model (its name, its file's name or NAME@LAYER) and a number above 0
   * @param candidates the models that are ranked
   */
  static Map<String, Double> accuracies(Path file, Map<String, Path> candidates) {
    List<String> lines;
    try {
      lines = Files.readAllLines(file, StandardCharsets.UTF_8);
    } catch (IOException e) {
      throw new OutriggerException(file + " cannot be read: check the path of --accuracies.", e);
    }
    Map<String, Double> read = new LinkedHashMap<>();
    for (int i = 0; i < lines.size(); i++) {
      String line = lines.get(i).strip();
      int comma = line.lastIndexOf(',');
      String number = comma < 0 ? "" : unquoted(line.substring(comma + 1));
      if (line.isEmpty() || (i == 0 && !number.matches("[-+]?\\d*\\.?\\d+([eE][-+]?\\d+)?"))) {
        continue; // the header
      }
      double accuracy;
      try {
        accuracy = Double.parseDouble(number);
      } catch (NumberFormatException e) {
        accuracy = Double.NaN;
      }
      if (!(accuracy > 0) || Double.isInfinite(accuracy)) {
        throw new OutriggerException(
            file
                + ", line "
                + (i + 1)
                + ": '"
                + line
                + "' does not end in an accuracy above 0. Write MODEL,ACCURACY.");
      }
      read.put(candidate(unquoted(line.substring(0, comma)), candidates), accuracy);
    }
    if (read.isEmpty()) {
      throw new OutriggerException(file + " holds no accuracy: write lines of MODEL,ACCURACY.");
    }
    return read;
  }

  private static String unquoted(String cell) {
    return cell.strip().replaceAll("^\"|\"$", "").strip();
  }

  private static String candidate(String written, Map<String, Path> candidates) {
    return candidates.entrySet().stream()
        .filter(each -> each.getKey().equals(written) || fileName(each.getValue()).equals(written))
        .map(Map.Entry::getKey)
        .findFirst()
        .orElse(written);
  }
}
