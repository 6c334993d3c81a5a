/**
 * Adaptation in service: each stream that clients name follows an adapter of its own, on a safety
 * net, and goes on where it was after a restart. Off by default.
 */
@NullMarked
package org.outrigger.serve.adaptation;

import org.jspecify.annotations.NullMarked;
