package org.outrigger.cli;

import java.time.DateTimeException;
import java.time.Instant;
import java.time.LocalDate;
import java.time.LocalDateTime;
import java.time.OffsetDateTime;
import java.time.ZoneOffset;
import org.outrigger.core.OutriggerException;

/** Times as people and programs write them: ISO 8601, dates, or numbers since 1970. */
final class TimeText {
  private TimeText() {}

  /**
   * Reads a time; without an offset it counts as UTC. Numbers are seconds, milliseconds,
   * microseconds or nanoseconds since 1970, by their size.
   *
   * @param row its name, for the message
   */
  static Instant parse(String text, String row) {
    String trimmed = text.strip();
    try {
      if (trimmed.matches("[-+]?\\d+(\\.\\d+)?([eE]\\+?\\d+)?")) {
        return number(Double.parseDouble(trimmed), trimmed);
      }
      String iso = trimmed.replace('/', '-').replaceFirst("^(\\S+) +", "$1T");
      iso = iso.replaceFirst("([+-]\\d\\d)$", iso.contains("T") ? "$1:00" : "$1");
      if (iso.matches("\\d{4}-\\d\\d-\\d\\d")) {
        return LocalDate.parse(iso).atStartOfDay().toInstant(ZoneOffset.UTC);
      }
      return iso.matches(".*T.*([zZ]|[+-]\\d\\d:?\\d\\d)$")
          ? OffsetDateTime.parse(iso.replaceFirst("([+-]\\d\\d)(\\d\\d)$", "$1:$2")).toInstant()
          : LocalDateTime.parse(iso).toInstant(ZoneOffset.UTC);
    } catch (DateTimeException | ArithmeticException e) {
      throw new OutriggerException(
          "Row "
              + row
              + " has the time '"
              + text
              + "': write 2026-01-31, 2026-01-31T12:00:00Z, 2026-01-31 12:00:00 (UTC), or a number of"
              + " seconds or milliseconds since 1970.",
          e);
    }
  }

  private static Instant number(double value, String text) {
    double size = Math.abs(value);
    if (size < 1e11) {
      long seconds = (long) Math.floor(value);
      return Instant.ofEpochSecond(seconds, Math.round((value - seconds) * 1e9));
    }
    if (!text.matches("[-+]?\\d+")) {
      return Instant.ofEpochMilli(Math.round(size < 1e14 ? value : value / 1e3));
    }
    long whole = Long.parseLong(text);
    if (size < 1e14) {
      return Instant.ofEpochMilli(whole);
    }
    long unit = size < 1e17 ? 1_000_000 : 1_000_000_000;
    return Instant.ofEpochSecond(
        Math.floorDiv(whole, unit), Math.floorMod(whole, unit) * (1_000_000_000 / unit));
  }
}
