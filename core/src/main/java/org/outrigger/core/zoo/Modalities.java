package org.outrigger.core.zoo;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.outrigger.core.OutriggerException;

/**
 * How an input is divided into modalities: along one dimension of it, or, where they are packed as
 * one row of columns, one after the other.
 *
 * @param dimension of an input row that is divided, from 0
 * @param parts two or three
 */
record Modalities(int dimension, List<Part> parts) {
  /**
   * One modality.
   *
   * @param name for reports and for the paths of its layers
   * @param shape of one row of it: [C, H, W] or [D]
   * @param from where it starts in the divided dimension
   * @param length how much of the divided dimension it has
   */
  @SuppressWarnings("ArrayRecordComponent")
  record Part(String name, long[] shape, long from, long length) {}

  /**
   * Reads a description such as {@code vision:1x14x14+audio:40}.
   *
   * @param text shapes joined by {@code +}, each perhaps after a name; empty for two halves, of the
   *     columns of a row or of the height of an image
   * @param input the shape of one input row
   */
  static Modalities parse(String text, long[] input) {
    List<String> names = new ArrayList<>();
    List<long[]> shapes = new ArrayList<>();
    if (text.isBlank()) {
      int halved = input.length == 3 ? 1 : 0;
      for (long length : new long[] {input[halved] / 2, input[halved] - input[halved] / 2}) {
        long[] shape = input.clone();
        shape[halved] = length;
        names.add("part" + (names.size() + 1));
        shapes.add(shape);
      }
    } else {
      for (String item : text.strip().split("\\+", -1)) {
        int colon = item.indexOf(':');
        names.add(colon < 0 ? "part" + (names.size() + 1) : item.substring(0, colon).strip());
        shapes.add(shape(text, item.substring(colon + 1).strip()));
      }
    }
    check(text, names, shapes);
    int dimension = dimension(input, shapes);
    if (dimension < 0) {
      throw new OutriggerException(
          "The modalities "
              + shapes.stream().map(Arrays::toString).toList()
              + " do not make up an input of shape "
              + Arrays.toString(input)
              + ": their sizes must add up to it in one dimension and equal it in the others, or,"
              + " for rows [D], their values must add up to D.");
    }
    List<Part> parts = new ArrayList<>();
    long from = 0;
    for (int i = 0; i < shapes.size(); i++) {
      long[] shape = shapes.get(i);
      long length = input.length == 1 ? size(shape) : shape[dimension];
      parts.add(new Part(names.get(i), shape, from, length));
      from += length;
    }
    return new Modalities(dimension, parts);
  }

  /** Of modalities that are packed as one row, one after the other. */
  static Modalities packed(String text) {
    long columns = 0;
    for (String item : text.split("\\+", -1)) {
      columns += size(shape(text, item.substring(item.indexOf(':') + 1).strip()));
    }
    return parse(text, new long[] {columns});
  }

  private static long[] shape(String text, String sizes) {
    if (!sizes.matches("\\d{1,9}(x\\d{1,9}){0,2}")) {
      throw new OutriggerException(
          "Setting parts of multimodal cannot be '"
              + text
              + "': write the shapes of two or three modalities, such as vision:1x14x14+audio:40.");
    }
    return Arrays.stream(sizes.split("x", -1)).mapToLong(Long::parseLong).toArray();
  }

  private static void check(String text, List<String> names, List<long[]> shapes) {
    boolean named = names.stream().allMatch(name -> name.matches("[A-Za-z][A-Za-z0-9_-]*"));
    if (!named || names.stream().distinct().count() < names.size()) {
      throw new OutriggerException(
          "The modalities "
              + names
              + " need names that differ, of letters, digits, '-' and '_', the first a letter.");
    }
    boolean empty = shapes.stream().anyMatch(shape -> size(shape) < 1);
    if (shapes.size() < 2 || shapes.size() > 3 || empty) {
      throw new OutriggerException(
          "Setting parts of multimodal cannot be '"
              + text
              + "': it divides inputs into two or three modalities that are not empty.");
    }
  }

  private static long size(long[] shape) {
    return Arrays.stream(shape).reduce(1, Math::multiplyExact);
  }

  /** The dimension in which the parts lie one after the other; -1 if there is none. */
  private static int dimension(long[] input, List<long[]> shapes) {
    if (input.length == 1) {
      return shapes.stream().mapToLong(Modalities::size).sum() == input[0] ? 0 : -1;
    }
    for (int divided = 0; divided < input.length; divided++) {
      long sum = 0;
      boolean fits = true;
      for (long[] shape : shapes) {
        fits &= shape.length == input.length;
        for (int d = 0; fits && d < input.length; d++) {
          fits = d == divided || shape[d] == input[d];
        }
        sum += fits ? shape[divided] : 0;
      }
      if (fits && sum == input[divided]) {
        return divided;
      }
    }
    return -1;
  }

  /** The encoders of a text such as {@code mlp:hidden=64x32+resnet8}: one for all, or one each. */
  static List<Encoder> encoders(String text, int modalities) {
    List<Encoder> encoders = new ArrayList<>();
    for (String item : text.strip().split("\\+", -1)) {
      String[] words = item.strip().split(":", -1);
      Map<String, String> settings = new LinkedHashMap<>();
      for (int i = 1; i < words.length; i++) {
        String[] pair = words[i].split("=", 2);
        if (pair.length < 2) {
          throw new OutriggerException(
              "'" + item + "' is not an encoder with settings: write NAME:KEY=VALUE:KEY=VALUE.");
        }
        settings.put(pair[0].strip(), pair[1].strip());
      }
      encoders.add(new Encoder(words[0], settings));
    }
    if (encoders.size() != 1 && encoders.size() != modalities) {
      throw new OutriggerException(
          "There are "
              + encoders.size()
              + " encoders for "
              + modalities
              + " modalities: name one for all, or one for each, joined by '+'.");
    }
    while (encoders.size() < modalities) {
      encoders.add(encoders.get(0));
    }
    return encoders;
  }

  /**
   * An architecture without its head.
   *
   * @param name in the zoo, or {@code none} for values that are features already
   */
  record Encoder(String name, Map<String, String> settings) {}
}
