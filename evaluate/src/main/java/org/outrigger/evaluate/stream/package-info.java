/**
 * Streams of test data as test-time adaptation meets them: {@link
 * org.outrigger.evaluate.stream.DirichletOrder} makes neighbours share a class.
 */
@NullMarked
package org.outrigger.evaluate.stream;

import org.jspecify.annotations.NullMarked;
