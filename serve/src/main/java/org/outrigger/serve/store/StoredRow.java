package org.outrigger.serve.store;

import java.time.Instant;
import java.util.LinkedHashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * A row that a guard judged, as it is stored.
 *
 * @param seq its number in the store
 * @param guard the served name
 * @param version of the guard
 * @param shadow whether no client saw the verdict
 * @param id of the request
 * @param row of the request, from 0
 * @param stream whose row it is; {@code ""} if the client did not say
 * @param at when it was judged
 * @param predicted the predicted class
 * @param className its name
 * @param probability of it
 * @param score how unfamiliar the row is
 * @param unknown whether that was above the threshold
 * @param detector that gave the score
 * @param nanos from when the request was accepted until it was judged
 * @param label what it really was; null while nobody has said
 */
public record StoredRow(
    long seq,
    String guard,
    String version,
    boolean shadow,
    String id,
    int row,
    String stream,
    Instant at,
    int predicted,
    String className,
    double probability,
    double score,
    boolean unknown,
    String detector,
    long nanos,
    @Nullable Integer label) {

  /** As JSON types. */
  public Map<String, Object> json() {
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("seq", seq);
    json.put("guard", guard);
    json.put("version", version);
    json.put("shadow", shadow);
    json.put("id", id);
    json.put("row", row);
    json.put("stream", stream);
    json.put("at", at.toString());
    json.put("predicted", predicted);
    json.put("className", className);
    json.put("probability", probability);
    json.put("score", score);
    json.put("unknown", unknown);
    json.put("detector", detector);
    json.put("latencyMs", nanos / 1e6);
    json.put("label", label);
    return json;
  }
}
