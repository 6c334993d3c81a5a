/**
 * What a server remembers. {@link org.outrigger.serve.store.EventStore} keeps all verdicts, the
 * labels that come later and what happened to the guards, in DuckDB or PostgreSQL; {@link
 * org.outrigger.serve.store.LiveQuality} says how well a guard does; {@link
 * org.outrigger.serve.store.StoredEvents} reads a store without a server.
 */
@NullMarked
package org.outrigger.serve.store;

import org.jspecify.annotations.NullMarked;
