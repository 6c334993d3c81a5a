/**
 * The Open Inference Protocol, version 2, over REST, with the extension for binary tensors: {@link
 * org.outrigger.serve.protocol.InferRequest} is read defensively, {@link
 * org.outrigger.serve.protocol.InferResponse} is written.
 */
@NullMarked
package org.outrigger.serve.protocol;

import org.jspecify.annotations.NullMarked;
