/**
 * Nearest neighbours in a bank of rows: {@link org.outrigger.core.neighbour.NearestNeighbours} is
 * exact, by blocks; {@link org.outrigger.core.neighbour.GraphIndex} is approximate, for banks too
 * large to compare with row by row.
 */
@NullMarked
package org.outrigger.core.neighbour;

import org.jspecify.annotations.NullMarked;
