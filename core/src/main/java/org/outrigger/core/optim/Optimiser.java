package org.outrigger.core.optim;

import java.util.Map;
import org.bytedeco.pytorch.Tensor;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.io.Stateful;

/**
 * Moves parameters along their gradients. A parameter without a gradient is skipped: neither moved
 * nor decayed, and its state stays as it is.
 *
 * <p>The saved state holds settings, steps and running averages, not the parameters themselves.
 */
public interface Optimiser extends Stateful, AutoCloseable {
  /** One step with the gradients that the backward pass left in the parameters. */
  void step();

  /**
   * One step with given gradients.
   *
   * @param gradients by parameter name, each of its parameter's shape; parameters without an entry
   *     are skipped
   */
  void step(Map<String, Tensor> gradients);

  /** Forgets the gradients that the last backward pass left; do so before the next. */
  void clearGradients();

  /** The base learning rate. */
  double learningRate();

  /** A factor on every group's learning rate, for schedules; 1 at first. */
  double pace();

  /**
   * Sets the factor on every group's learning rate.
   *
   * @param factor 0 or more
   */
  void pace(double factor);

  /** What is trained, by name, in order; borrowed. */
  Map<String, Tensor> parameters();

  /** Trains these parameters too. A tensor that is known already under another name is left out. */
  void add(ParameterGroup group);

  /** No longer trains this parameter, and drops its state. */
  void remove(String name);

  /** Drops the state of one parameter: its next step is like its first. */
  void reset(String name);

  /** Drops the state of all parameters. */
  void reset();

  /**
   * Multiplies the gradient of a parameter by a mask before each step. Weight decay is not masked:
   * put the parameter in a group without decay if masked entries must not move.
   *
   * @param mask of the parameter's shape, any numeric type; null for none
   */
  void mask(String name, @Nullable Tensor mask);

  @Override
  void close();
}
