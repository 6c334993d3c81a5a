package org.outrigger.serve.dashboard;

import org.jspecify.annotations.Nullable;
import org.outrigger.guard.Verdict;

/**
 * A row that a guard did not know.
 *
 * @param key a number of its own, by which the page asks for the input
 * @param at when it was judged, in milliseconds
 * @param id of its request, cut to a moderate length
 * @param row of the request
 * @param stream whose row it is, cut likewise
 * @param version of the guard
 * @param verdict the guard's
 * @param input itself; null where inputs are not kept
 */
record UnknownInput(
    long key,
    long at,
    String id,
    int row,
    String stream,
    String version,
    Verdict verdict,
    @Nullable KeptInput input) {}
