package org.outrigger.client;

import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * What a server says about a guard.
 *
 * @param name of the guard
 * @param version that answers
 * @param input the name of its input
 * @param inputShape of one row; −1 where a size is free
 * @param classNames by class index; empty if the server names none
 * @param threshold the score above which an input is unknown; NaN if the server does not say
 * @param promise what the label sets promise, in one sentence; null if there are none
 * @param maxRows the most rows of one request
 * @param maxRequestBytes the largest body of one request
 */
public record ModelMetadata(
    String name,
    String version,
    String input,
    List<Long> inputShape,
    List<String> classNames,
    double threshold,
    @Nullable String promise,
    int maxRows,
    int maxRequestBytes) {
  public ModelMetadata {
    inputShape = List.copyOf(inputShape);
    classNames = List.copyOf(classNames);
  }

  /** Values of one row; 0 if a size is free. */
  public int rowLength() {
    long length = 1;
    for (long size : inputShape) {
      if (size < 1) {
        return 0;
      }
      length = Math.multiplyExact(length, size);
    }
    return Math.toIntExact(length);
  }
}
