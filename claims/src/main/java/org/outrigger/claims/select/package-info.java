/** Claims about the choice of models and data, and about what size buys. */
@NullMarked
package org.outrigger.claims.select;

import org.jspecify.annotations.NullMarked;
