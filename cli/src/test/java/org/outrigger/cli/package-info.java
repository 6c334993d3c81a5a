/** Runs every command in this JVM on small data, with its output captured. */
@NullMarked
package org.outrigger.cli;

import org.jspecify.annotations.NullMarked;
