/** Claims about the choice of models. */
@NullMarked
package org.outrigger.claims.select;

import org.jspecify.annotations.NullMarked;
