/**
 * A client of guards behind HTTP. {@link org.outrigger.client.GuardClient} asks and gets {@link
 * org.outrigger.client.Verdict}s; it speaks the Open Inference Protocol, version 2. Nothing here
 * loads native code.
 */
@NullMarked
package org.outrigger.client;

import org.jspecify.annotations.NullMarked;
