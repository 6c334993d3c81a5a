package org.outrigger.stream;

/**
 * How the mix of classes has changed.
 *
 * @param weights q(c) / p(c) of every class, 0 or more
 * @param prior q, the mix of the target; sums to one
 * @param regularised whether the plain estimate could not be had, so that weights lean towards 1
 */
public record LabelShift(double[] weights, double[] prior, boolean regularised) {}
