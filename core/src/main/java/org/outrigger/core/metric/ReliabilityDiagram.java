package org.outrigger.core.metric;

/**
 * The data of a reliability diagram: accuracy against confidence, bin by bin.
 *
 * @param edges [B + 1] from 0 to 1
 * @param counts [B] rows in each bin
 * @param accuracy [B], NaN where a bin is empty
 * @param confidence [B] mean confidence, NaN where a bin is empty
 */
@SuppressWarnings("ArrayRecordComponent")
public record ReliabilityDiagram(
    double[] edges, long[] counts, double[] accuracy, double[] confidence) {}
