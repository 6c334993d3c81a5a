/** Claims about out-of-distribution detection. */
@NullMarked
package org.outrigger.claims.detect;

import org.jspecify.annotations.NullMarked;
