package org.outrigger.serve.protocol;

/**
 * An input as numbers.
 *
 * @param name as the client calls it
 * @param datatype as it was sent
 * @param shape of which the first is the number of rows
 * @param values in row-major order
 */
@SuppressWarnings("ArrayRecordComponent")
public record InputTensor(String name, Datatype datatype, long[] shape, float[] values) {
  /** The number of elements, or a refusal if no body could hold them. */
  static long count(long[] shape) {
    long count = 1;
    for (long size : shape) {
      if (size != 0 && count > Integer.MAX_VALUE / size) {
        throw Refusal.bad("The shape asks for more values than a request can hold.");
      }
      count *= size;
    }
    return count;
  }
}
