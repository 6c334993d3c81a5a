@NullMarked
package org.outrigger.cli;

import org.jspecify.annotations.NullMarked;
