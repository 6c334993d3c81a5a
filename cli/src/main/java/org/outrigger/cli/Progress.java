package org.outrigger.cli;

import me.tongfei.progressbar.ProgressBar;
import me.tongfei.progressbar.ProgressBarBuilder;
import me.tongfei.progressbar.ProgressBarStyle;
import org.jspecify.annotations.Nullable;

/** A progress bar with the time left, on standard error; silent when that is no terminal. */
final class Progress implements AutoCloseable {
  private final @Nullable ProgressBar bar;

  /**
   * @param total steps; -1 if unknown
   */
  Progress(String task, long total) {
    bar =
        System.getenv("OUTRIGGER_TERMINAL") == null
            ? null
            : new ProgressBarBuilder()
                .setTaskName(task)
                .setInitialMax(total)
                .setStyle(ProgressBarStyle.UNICODE_BLOCK)
                .setUpdateIntervalMillis(250)
                .continuousUpdate()
                .clearDisplayOnFinish()
                .build();
  }

  void to(long done) {
    if (bar != null) {
      bar.stepTo(done);
    }
  }

  void say(String message) {
    if (bar != null) {
      bar.setExtraMessage(" " + message);
    }
  }

  @Override
  public void close() {
    if (bar != null) {
      bar.close();
    }
  }
}
