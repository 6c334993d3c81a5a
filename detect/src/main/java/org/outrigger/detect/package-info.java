@NullMarked
package org.outrigger.detect;

import org.jspecify.annotations.NullMarked;
