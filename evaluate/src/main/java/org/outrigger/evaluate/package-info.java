@NullMarked
package org.outrigger.evaluate;

import org.jspecify.annotations.NullMarked;
