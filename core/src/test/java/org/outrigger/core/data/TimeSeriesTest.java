package org.outrigger.core.data;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.outrigger.core.OutriggerException;

class TimeSeriesTest {
  @TempDir private Path folder;

  private Path csv(String text) throws IOException {
    return Files.writeString(folder.resolve("t.csv"), text);
  }

  private static List<TimeSeries> read(Path file, String time, String id, String... values) {
    return TimeSeries.read(
        file, new TimeSeries.Columns(time, id, List.of(values)), DataOptions.defaults());
  }

  @Test
  void aLongTableIsSortedAndToldApart() throws IOException {
    Path file =
        csv(
            """
            meter,hour,load
            b,2024-01-01 01:00:00,4
            a,2024-01-01 02:00:00,3
            a,2024-01-01 00:00:00,1
            b,2024-01-01 00:00:00,
            a,2024-01-01 01:00:00,2
            """);
    List<TimeSeries> all = read(file, "hour", "meter");
    assertThat(all).extracting(TimeSeries::name).containsExactly("a/load", "b/load");
    assertThat(all.get(0).values()).containsExactly(1, 2, 3);
    assertThat(all.get(1).values()).containsExactly(Float.NaN, 4);
  }

  @Test
  void aWideTableHasASeriesAColumn() throws IOException {
    Path file = csv("t,x,word,y\n1,1,a,5\n2,2,b,6\n");
    assertThat(read(file, "t", null)).extracting(TimeSeries::name).containsExactly("x", "y");
    assertThat(read(file, null, null, "y").get(0).values()).containsExactly(5, 6);
  }

  @Test
  void tablesThatCannotWorkAreRefused() throws IOException {
    Path file = csv("t,x,word\n1,1,a\n1,2,b\n");
    assertThatThrownBy(() -> read(file, "t", null))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("two rows of the time 1");
    assertThatThrownBy(() -> read(file, null, null, "word"))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("other things than numbers");
    assertThatThrownBy(() -> read(file, "tt", null))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("Did you mean 't'");
    assertThatThrownBy(() -> read(folder.resolve("none.csv"), null, null))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("There is no file");
    assertThatThrownBy(() -> read(csv("x\n\n"), null, null)).isInstanceOf(OutriggerException.class);
  }
}
