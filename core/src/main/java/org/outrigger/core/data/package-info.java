/**
 * Data sets: streams of batches, of images, tables or arrays, with labels, ids and times where the
 * source has them; shuffled, split and prefetched with seeds and bounded memory.
 *
 * <p>{@link org.outrigger.core.data.DataFiles} opens any path. A {@link
 * org.outrigger.core.data.Dataset} can be walked; an {@link org.outrigger.core.data.IndexedDataset}
 * can also be subset, shuffled and split, and a {@link org.outrigger.core.data.Loader} reads it for
 * training; a {@link org.outrigger.core.data.ClassHoldOut} says which classes are known, {@link
 * org.outrigger.core.data.ClassRows} draws as many rows of each, and a {@link
 * org.outrigger.core.data.Shift} changes the inputs of any data set alike. Sources: {@link
 * org.outrigger.core.data.TensorDataset} (memory), {@link org.outrigger.core.data.ImageFolder},
 * {@link org.outrigger.core.data.TableDataset} (CSV, Parquet, JSON Lines), {@link
 * org.outrigger.core.data.NpyData} and {@link org.outrigger.core.data.Idx}.
 */
@NullMarked
package org.outrigger.core.data;

import org.jspecify.annotations.NullMarked;
