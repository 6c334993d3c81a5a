package org.outrigger.serve.dashboard;

/**
 * How a guard's scores and classes were spread on the data that it was fitted with.
 *
 * @param sortedScores of held-out known rows, ascending, at least one
 * @param classes rows by predicted class; empty if that is not known
 */
@SuppressWarnings("ArrayRecordComponent")
record Reference(double[] sortedScores, long[] classes) {}
