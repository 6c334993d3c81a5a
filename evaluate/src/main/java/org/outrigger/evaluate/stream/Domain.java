package org.outrigger.evaluate.stream;

import java.util.List;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.data.Shift;

/**
 * One distribution of a stream.
 *
 * @param name what it is called in reports; no other domain of the stream has it
 * @param data its rows; borrowed, so they must stay open as long as the stream is read
 */
public record Domain(String name, IndexedDataset data) {
  /** The same rows under each of these shifts. */
  public static List<Domain> of(IndexedDataset data, List<Shift> shifts) {
    return shifts.stream().map(shift -> new Domain(shift.name(), shift.of(data))).toList();
  }
}
