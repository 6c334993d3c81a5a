package org.outrigger.cli;

/** What the process's exit code means; documented in {@code outrigger --help}. */
final class ExitCode {
  /** Done. */
  static final int OK = 0;

  /** The command ran, and the answer is no: a claim or a golden case does not hold. */
  static final int NO = 1;

  /** The input or an option cannot work; one line says what to do. */
  static final int USER = 2;

  /** A bug of Outrigger's; a stack trace follows. */
  static final int BUG = 3;

  private ExitCode() {}
}
