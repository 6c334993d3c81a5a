@NullMarked
package org.outrigger.guard;

import org.jspecify.annotations.NullMarked;
