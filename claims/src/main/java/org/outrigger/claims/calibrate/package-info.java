/** Claims about calibration. */
@NullMarked
package org.outrigger.claims.calibrate;

import org.jspecify.annotations.NullMarked;
