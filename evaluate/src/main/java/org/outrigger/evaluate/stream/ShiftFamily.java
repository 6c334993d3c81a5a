package org.outrigger.evaluate.stream;

import java.util.function.IntFunction;
import org.outrigger.core.data.Shift;
import org.outrigger.evaluate.corruption.CorruptedDataset;
import org.outrigger.evaluate.corruption.Corruption;

/** A shift that comes in severities 1 to 5. */
public interface ShiftFamily {
  /** What it is called in reports. */
  String name();

  /**
   * The shift of a severity.
   *
   * @param severity 1 to 5
   */
  Shift at(int severity);

  /** A family of one's own. */
  static ShiftFamily of(String name, IntFunction<Shift> at) {
    return new ShiftFamily() {
      @Override
      public String name() {
        return name;
      }

      @Override
      public Shift at(int severity) {
        return at.apply(severity);
      }
    };
  }

  /** A corruption of images. */
  static ShiftFamily of(Corruption corruption, Corruption.Settings settings) {
    return of(
        corruption.slug(),
        severity ->
            Shift.view(
                corruption.slug(),
                data -> CorruptedDataset.of(data, corruption, severity, settings)));
  }
}
