package org.outrigger.core.nn;

/**
 * A layer that normalises. It may have a scale {@code weight}, a shift {@code bias} and running
 * statistics {@code running_mean} and {@code running_var} under these names; methods that adapt
 * normalisation layers find it by this type.
 */
public interface Normalisation {}
