package org.outrigger.stream.liquid;

import org.bytedeco.pytorch.Tensor;
import org.jspecify.annotations.Nullable;

/**
 * Forecasts the load of links from what was seen so far. It is fitted on quiet series once, and
 * then follows others step by step; what it has seen of those is its state.
 */
public interface LinkForecaster extends AutoCloseable {
  /**
   * Fits on series of one length and starts anew.
   *
   * @param loads [S, T], finite; each row is a link
   * @param elapsed the time that each step took, [T], in steps of regular sampling; null for ones
   * @throws org.outrigger.core.OutriggerException if the series are too short or hold NaN
   */
  void fit(Tensor loads, @Nullable Tensor elapsed);

  /** Begins to follow other links: forgets what was seen of the last ones, at time 0. */
  void begin();

  /**
   * Sees further steps and forecasts after each.
   *
   * @param loads [S, T], finite; always the same links since {@link #begin}
   * @param elapsed the time that each step took, [T], above 0; null for ones
   * @return float64 [S, T]: entry t is the load expected {@code horizon} steps after step t; owned
   *     by the enclosing scope or the caller
   */
  Tensor follow(Tensor loads, @Nullable Tensor elapsed);

  /** How many steps ahead it looks. */
  int horizon();

  @Override
  void close();
}
