@NullMarked
package org.outrigger.claims;

import org.jspecify.annotations.NullMarked;
