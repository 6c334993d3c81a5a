package org.outrigger.core.metric;

/**
 * A figure with its confidence interval.
 *
 * @param low lower end
 * @param estimate the figure on all data
 * @param high upper end
 * @param level the confidence, such as 0.95
 */
public record Interval(double low, double estimate, double high, double level) {}
