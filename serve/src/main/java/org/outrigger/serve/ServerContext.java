package org.outrigger.serve;

import io.micrometer.core.instrument.MeterRegistry;
import java.util.List;
import java.util.function.BiConsumer;
import java.util.function.Consumer;

/**
 * The server as its {@linkplain ServerPart parts} see it.
 *
 * @param guards what is served
 * @param registry for metrics of their own
 * @param settings of the server
 * @param publish tells all parts, and the log, of an event; may be called on any thread
 * @param labelled tells all parts what rows of a guard, by its served name, really were; may be
 *     called on any thread
 * @param parts all parts of the server
 */
public record ServerContext(
    Guards guards,
    MeterRegistry registry,
    ServerSettings settings,
    Consumer<ServerEvent> publish,
    BiConsumer<String, List<LabelledRow>> labelled,
    List<ServerPart> parts) {}
