package org.outrigger.serve;

import java.time.Instant;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.outrigger.guard.Verdict;

/**
 * What a guard answered in one forward pass.
 *
 * @param guard the served name
 * @param version of it
 * @param shadow whether this guard only watches, so that no client saw the verdicts
 * @param at when it was judged
 * @param requests in the order they came
 */
public record JudgedBatch(
    String guard, String version, boolean shadow, Instant at, List<Request> requests) {
  public JudgedBatch {
    requests = List.copyOf(requests);
  }

  /**
   * One request's rows.
   *
   * @param id of the request: the client's, or one that the server made up; labels name it later
   * @param stream whose rows they are, as the client said; {@code ""} if it did not
   * @param inputs [rows * values of a row] in row-major order; not to be changed
   * @param verdicts one a row
   * @param nanos from when the request was accepted until it was judged
   * @param trace that the request belongs to; what it causes later may go on with it
   * @param watched what a monitor watches, [rows * watched values]; null unless it was asked for
   */
  @SuppressWarnings("ArrayRecordComponent")
  public record Request(
      String id,
      String stream,
      float[] inputs,
      List<Verdict> verdicts,
      long nanos,
      @Nullable Trace trace,
      float @Nullable [] watched) {
    /** Of a request that belongs to no trace. */
    public Request(String id, String stream, float[] inputs, List<Verdict> verdicts, long nanos) {
      this(id, stream, inputs, verdicts, nanos, null, null);
    }

    /** How many rows it has. */
    public int rows() {
      return verdicts.size();
    }
  }

  /** How many rows all requests have. */
  public int rows() {
    return requests.stream().mapToInt(Request::rows).sum();
  }
}
