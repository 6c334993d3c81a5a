package org.outrigger.serve;

import org.bytedeco.pytorch.Tensor;
import org.outrigger.guard.Guard;

/** Answers requests of streams that follow an adapter of their own, in a guard's stead. */
public interface StreamAnswers extends AutoCloseable {
  /**
   * Whether it answers for a stream.
   *
   * @param stream {@code ""} if the client named none
   */
  boolean follows(String stream);

  /**
   * Judges the next rows of a stream; called on the guard's own thread, in a scope, one request at
   * a time and in the order in which a stream's requests came.
   */
  Guard.Answer answer(String stream, Tensor inputs, boolean watch);

  /** The guard answers no more and is about to be closed. */
  @Override
  void close();
}
