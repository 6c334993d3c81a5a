/** Claims of the methods that choose models, data and sizes. */
@NullMarked
package org.outrigger.claims.select;

import org.jspecify.annotations.NullMarked;
