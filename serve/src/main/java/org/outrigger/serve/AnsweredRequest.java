package org.outrigger.serve;

import java.time.Instant;

/**
 * A request for inference as its client saw it.
 *
 * @param at when it was answered
 * @param guard the name in its path; there need not be a guard of that name
 * @param status of the answer
 * @param nanos from the request's first line to the end of the answer
 */
public record AnsweredRequest(Instant at, String guard, int status, long nanos) {}
