/** The claims of the adaptation room. */
@NullMarked
package org.outrigger.claims.adapt;

import org.jspecify.annotations.NullMarked;
