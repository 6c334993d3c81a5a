@NullMarked
package org.outrigger.calibrate;

import org.jspecify.annotations.NullMarked;
