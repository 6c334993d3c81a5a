/**
 * One page at {@code /} that shows what the guards of a server do: {@link
 * org.outrigger.serve.dashboard.Dashboard} is the part of the server, {@link
 * org.outrigger.serve.dashboard.Telemetry} counts traffic in rings of time buckets, {@link
 * org.outrigger.serve.dashboard.Snapshot} puts it into JSON, {@link
 * org.outrigger.serve.dashboard.LiveStream} sends that to whoever looks.
 */
@NullMarked
package org.outrigger.serve.dashboard;

import org.jspecify.annotations.NullMarked;
