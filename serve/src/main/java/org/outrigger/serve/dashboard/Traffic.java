package org.outrigger.serve.dashboard;

import java.util.SortedMap;
import java.util.TreeMap;

/** What came in a stretch of time, and what became of it. */
final class Traffic implements Mergeable<Traffic> {
  private final Latencies latencies = new Latencies();
  private final SortedMap<Integer, Long> statuses = new TreeMap<>();
  private long requests;
  private long rows;
  private long unknown;
  private double scores;
  private int queue;

  void request(int status, long nanos) {
    statuses.merge(status, 1L, Long::sum);
    if (status == 200) {
      latencies.count(nanos);
    }
  }

  /** Requests that were judged together. */
  void judged(int judgedRequests, int judgedRows, long unknownRows, double scoreSum, int waiting) {
    requests += judgedRequests;
    rows += judgedRows;
    unknown += unknownRows;
    scores += scoreSum;
    queue = Math.max(queue, waiting);
  }

  /** Requests that were judged. */
  long requests() {
    return requests;
  }

  /** Rows that were judged. */
  long rows() {
    return rows;
  }

  /** The share of rows that were unknown; NaN without rows. */
  double unknownRate() {
    return rows == 0 ? Double.NaN : (double) unknown / rows;
  }

  /** The mean score; NaN without rows. */
  double meanScore() {
    return rows == 0 ? Double.NaN : scores / rows;
  }

  /** The most rows that waited. */
  int queue() {
    return queue;
  }

  /** Latencies of what was answered well. */
  Latencies latencies() {
    return latencies;
  }

  /** Answers to clients by status. */
  SortedMap<Integer, Long> statuses() {
    return statuses;
  }

  @Override
  public void add(Traffic other) {
    latencies.add(other.latencies);
    other.statuses.forEach((status, count) -> statuses.merge(status, count, Long::sum));
    requests += other.requests;
    rows += other.rows;
    unknown += other.unknown;
    scores += other.scores;
    queue = Math.max(queue, other.queue);
  }

  @Override
  public void clear() {
    latencies.clear();
    statuses.clear();
    requests = 0;
    rows = 0;
    unknown = 0;
    scores = 0;
    queue = 0;
  }
}
