/**
 * Data sets: streams of batches, of images, tables or arrays, with labels, ids and times where the
 * source has them; shuffled, split and prefetched with seeds and bounded memory.
 */
@NullMarked
package org.outrigger.core.data;

import org.jspecify.annotations.NullMarked;
