/**
 * Memories that correct a served model with the labels of recent, similar events. {@link
 * org.outrigger.stream.memory.ReLoop2} is the method; it keeps what it saw in a {@link
 * org.outrigger.stream.memory.SketchMemory} of counts or in a {@link
 * org.outrigger.stream.memory.SampleMemory} of the events themselves. A {@link
 * org.outrigger.stream.memory.Scorer} is the served model, {@link
 * org.outrigger.stream.memory.AttributionWindow} holds events until their label is sure, {@link
 * org.outrigger.stream.memory.EventReplay} replays a log.
 */
@NullMarked
package org.outrigger.stream.memory;

import org.jspecify.annotations.NullMarked;
