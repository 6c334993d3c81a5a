/**
 * A guard behind HTTP. {@link org.outrigger.serve.GuardServer} speaks the Open Inference Protocol,
 * version 2; {@link org.outrigger.serve.ServedGuard} gathers requests into batches and gives way
 * when there are too many; {@link org.outrigger.serve.Tokens} says who may ask.
 */
@NullMarked
package org.outrigger.serve;

import org.jspecify.annotations.NullMarked;
