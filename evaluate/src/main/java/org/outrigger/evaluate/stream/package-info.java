/**
 * Streams of test data as test-time adaptation meets them. {@link
 * org.outrigger.evaluate.stream.StreamProtocol} says which {@linkplain
 * org.outrigger.evaluate.stream.Domain domains} come when, in what order of labels and where a
 * model starts anew; it makes a {@link org.outrigger.evaluate.stream.TestStream}, which is read as
 * it is {@linkplain org.outrigger.evaluate.stream.StreamWalk walked}. {@link
 * org.outrigger.evaluate.stream.StreamEvaluation} leads a {@link
 * org.outrigger.evaluate.stream.StreamPredictor} through it and reports by domain and round; {@link
 * org.outrigger.evaluate.stream.SlidingWindow} lets a method of batches predict single rows. {@link
 * org.outrigger.evaluate.stream.DirichletOrder} makes neighbours share a class, {@link
 * org.outrigger.evaluate.stream.LabelShift} changes how frequent classes are.
 */
@NullMarked
package org.outrigger.evaluate.stream;

import org.jspecify.annotations.NullMarked;
