package org.outrigger.cli;

import ch.qos.logback.classic.Level;
import ch.qos.logback.classic.Logger;
import ch.qos.logback.classic.LoggerContext;
import ch.qos.logback.classic.encoder.JsonEncoder;
import ch.qos.logback.classic.spi.ILoggingEvent;
import ch.qos.logback.core.Appender;
import ch.qos.logback.core.ConsoleAppender;
import org.slf4j.LoggerFactory;
import picocli.CommandLine.Option;

/** How a server logs. */
final class LogOptions {
  private enum Format {
    TEXT,
    JSON
  }

  @Option(
      names = "--log-format",
      paramLabel = "FORMAT",
      defaultValue = "text",
      description =
          "text, or json: a JSON object a line with the request's id and trace, and a line for"
              + " each request. ${DEFAULT-VALUE} by default.")
  private Format format = Format.TEXT;

  @Option(names = "--access-log", description = "Logs a line for each request as text too.")
  private boolean access;

  /** Sets the log up. */
  void apply() {
    if (!(LoggerFactory.getILoggerFactory() instanceof LoggerContext context)) {
      return;
    }
    if (access || format == Format.JSON) {
      context.getLogger("org.outrigger.access").setLevel(Level.INFO);
    }
    if (format == Format.JSON) {
      context.getLogger("org.outrigger").setLevel(Level.INFO);
      Appender<ILoggingEvent> appender =
          context.getLogger(Logger.ROOT_LOGGER_NAME).getAppender("err");
      if (appender instanceof ConsoleAppender<ILoggingEvent> console) {
        JsonEncoder encoder = new JsonEncoder();
        encoder.setContext(context);
        encoder.setWithSequenceNumber(false);
        encoder.setWithNanoseconds(false);
        encoder.setWithContext(false);
        encoder.setWithMessage(false);
        encoder.setWithArguments(false);
        encoder.setWithFormattedMessage(true);
        encoder.start();
        console.setEncoder(encoder);
      }
    }
  }
}
