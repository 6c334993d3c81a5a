/** Claims about the choice of models and data. */
@NullMarked
package org.outrigger.claims.select;

import org.jspecify.annotations.NullMarked;
