package org.outrigger.client;

/**
 * The true class of a row that was judged earlier.
 *
 * @param id of the request
 * @param row its number in that request
 * @param label the true class index
 */
public record RowLabel(String id, int row, int label) {
  public RowLabel {
    if (row < 0 || label < 0) {
      throw new IllegalArgumentException(
          "A row and a label are 0 or larger: " + row + ", " + label + ".");
    }
  }
}
