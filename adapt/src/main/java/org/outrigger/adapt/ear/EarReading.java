package org.outrigger.adapt.ear;

import java.util.List;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.data.Preprocessing;

/**
 * How the rows of an EAR's data are read, for whoever opens a saved one.
 *
 * @param preprocessing how images are prepared; null if nothing is known of it
 * @param columns the features of a table; empty if the data is none
 */
public record EarReading(@Nullable Preprocessing preprocessing, List<String> columns) {
  public EarReading {
    columns = List.copyOf(columns);
  }

  /** Nothing is known. */
  public static EarReading unknown() {
    return new EarReading(null, List.of());
  }
}
