/**
 * Image corruptions with five severities. {@link org.outrigger.evaluate.corruption.Corruption}
 * lists them, holds their tables of strengths for each {@link
 * org.outrigger.evaluate.corruption.Scale}, and applies them to tensors; {@link
 * org.outrigger.evaluate.corruption.CorruptedDataset} applies them to a data set as it is read. The
 * mathematics is one file a family, pure functions of an {@link
 * org.outrigger.evaluate.corruption.Image} and of random draws that are passed in: {@link
 * org.outrigger.evaluate.corruption.Noise}, {@link org.outrigger.evaluate.corruption.Blur}, {@link
 * org.outrigger.evaluate.corruption.Weather}, {@link org.outrigger.evaluate.corruption.Spatter},
 * {@link org.outrigger.evaluate.corruption.Digital}, {@link
 * org.outrigger.evaluate.corruption.Geometry} and {@link
 * org.outrigger.evaluate.corruption.Strokes}.
 */
@NullMarked
package org.outrigger.evaluate.corruption;

import org.jspecify.annotations.NullMarked;
