/**
 * Files: safetensors, the saved state of a method, bundles with checksums, and writing so that no
 * half-written file is left behind.
 */
@NullMarked
package org.outrigger.core.io;

import org.jspecify.annotations.NullMarked;
