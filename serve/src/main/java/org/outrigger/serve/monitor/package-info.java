/**
 * Watches what guards are asked and what they answer. {@link
 * org.outrigger.serve.monitor.DriftWatch} compares windows of traffic with the guard's reference
 * and says what changed; {@link org.outrigger.serve.monitor.Alerts} posts that to webhooks.
 */
@NullMarked
package org.outrigger.serve.monitor;

import org.jspecify.annotations.NullMarked;
