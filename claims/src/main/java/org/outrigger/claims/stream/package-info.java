/** Claims about streams. */
@NullMarked
package org.outrigger.claims.stream;

import org.jspecify.annotations.NullMarked;
