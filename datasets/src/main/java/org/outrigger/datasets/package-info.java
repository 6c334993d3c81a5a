@NullMarked
package org.outrigger.datasets;

import org.jspecify.annotations.NullMarked;
