package org.outrigger.core.optim;

import java.util.ArrayDeque;
import java.util.Deque;
import java.util.Iterator;
import java.util.function.Function;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.torch.Gradients;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

/**
 * Limited-memory BFGS: minimises a smooth function of many float64 parameters to high accuracy, for
 * fits of a whole data set at once (networks are trained by an {@link Optimiser}). Each step goes
 * along the inverse curvature that the last steps showed and ends where the strong Wolfe conditions
 * hold ({@link WolfeSearch}). Liu and Nocedal, Mathematical Programming 1989; Nocedal and Wright,
 * Numerical Optimization, algorithm 7.5. The same start gives the same result.
 *
 * @param history how many steps it remembers, at least 1
 * @param maxIterations the most steps, at least 1
 * @param tolerance it has converged when no entry of the gradient is larger, above 0
 */
public record Lbfgs(int history, int maxIterations, double tolerance) {
  public Lbfgs {
    HyperParameter.atLeast("history", history, 1);
    HyperParameter.atLeast("maxIterations", maxIterations, 1);
    HyperParameter.positive("tolerance", tolerance);
  }

  /** 20 remembered steps, at most 1000 steps, a gradient of at most 1e-8. */
  public static Lbfgs defaults() {
    return new Lbfgs(20, 1000, 1e-8);
  }

  /** What is minimised. */
  @FunctionalInterface
  public interface Problem {
    /**
     * The value at {@code x}; infinite or NaN where the function is not defined, which the search
     * then avoids.
     *
     * @param x not to be changed or kept
     * @param gradient filled with the derivative in each entry of {@code x}
     */
    double at(double[] x, double[] gradient);
  }

  /**
   * The point that was reached.
   *
   * @param value of the function there
   * @param gradientNorm the largest absolute entry of the gradient there
   * @param iterations steps that were taken
   * @param converged whether the gradient is within the tolerance. If not, the steps were used up
   *     or rounding leaves no better point; the point is the best that was seen
   */
  @SuppressWarnings("ArrayRecordComponent")
  public record Result(
      double[] x, double value, double gradientNorm, int iterations, boolean converged) {}

  /** A step between two points and the change of the gradient along it. */
  @SuppressWarnings("ArrayRecordComponent")
  private record Step(double[] x, double[] gradient, double product) {}

  /**
   * Minimises a differentiable function of one tensor; gradients come from autograd.
   *
   * @param start float64 of any shape, where the search begins; not changed
   * @param loss a scalar made of a tensor of that shape, with gradient recording on
   */
  public Result minimise(Tensor start, Function<Tensor, Tensor> loss) {
    long[] shape = start.shape();
    return minimise(
        Tensors.doubles(start),
        (x, gradient) ->
            Scopes.scoped(
                () ->
                    Scopes.grad(
                        true,
                        () -> {
                          Tensor at = Tensors.of(x, shape).requires_grad_(true);
                          Tensor value = loss.apply(at);
                          double[] g = Tensors.doubles(Gradients.of(value, at));
                          System.arraycopy(g, 0, gradient, 0, g.length);
                          return value.item_double();
                        })));
  }

  /**
   * Minimises a function that brings its own gradient.
   *
   * @param start where the search begins; not changed
   * @throws OutriggerException if the value or the gradient at the start is not finite
   */
  public Result minimise(double[] start, Problem problem) {
    double[] x = start.clone();
    double[] gradient = new double[x.length];
    double value = problem.at(x, gradient);
    double norm = largest(gradient);
    if (!Double.isFinite(value) || !Double.isFinite(norm)) {
      throw new OutriggerException(
          "The fit cannot start: its loss is "
              + value
              + " there and its gradient "
              + norm
              + ". Look for extreme values in the data.");
    }
    Deque<Step> steps = new ArrayDeque<>();
    int iteration = 0;
    double restart = Double.POSITIVE_INFINITY;
    while (norm > tolerance && iteration < maxIterations) {
      double[] direction = direction(gradient, steps);
      double first = steps.isEmpty() ? Math.min(1, 1 / norm) : 1;
      WolfeSearch.Point next =
          new WolfeSearch(problem, x, direction).from(value, gradient).search(first);
      if (next == null) {
        if (steps.isEmpty() || norm > restart / 2) {
          break;
        }
        // The remembered curvature no longer fits: begin again with the gradient, but not forever
        // where rounding leaves nothing to gain.
        restart = norm;
        steps.clear();
        continue;
      }
      remember(steps, difference(next.x(), x), difference(next.gradient(), gradient));
      x = next.x();
      gradient = next.gradient();
      value = next.value();
      norm = largest(gradient);
      iteration++;
    }
    return new Result(x, value, norm, iteration, norm <= tolerance);
  }

  private void remember(Deque<Step> steps, double[] dx, double[] dg) {
    double product = dot(dx, dg);
    // Only a step along which the slope rises keeps the approximation positive definite.
    if (product > 1e-16 * Math.sqrt(dot(dx, dx) * dot(dg, dg))) {
      steps.addLast(new Step(dx, dg, product));
      if (steps.size() > history) {
        steps.removeFirst();
      }
    }
  }

  /** Minus the approximate inverse curvature times the gradient, by the two-loop recursion. */
  private static double[] direction(double[] gradient, Deque<Step> steps) {
    double[] d = gradient.clone();
    double[] pulls = new double[steps.size()];
    int i = steps.size();
    for (Iterator<Step> back = steps.descendingIterator(); back.hasNext(); ) {
      Step step = back.next();
      pulls[--i] = dot(step.x, d) / step.product;
      add(d, -pulls[i], step.gradient);
    }
    Step last = steps.peekLast();
    double scale = last == null ? 1 : last.product / dot(last.gradient, last.gradient);
    for (int j = 0; j < d.length; j++) {
      d[j] *= scale;
    }
    for (Step step : steps) {
      add(d, pulls[i++] - dot(step.gradient, d) / step.product, step.x);
    }
    for (int j = 0; j < d.length; j++) {
      d[j] = -d[j];
    }
    return d;
  }

  static double dot(double[] a, double[] b) {
    double sum = 0;
    for (int i = 0; i < a.length; i++) {
      sum += a[i] * b[i];
    }
    return sum;
  }

  static void add(double[] to, double factor, double[] what) {
    for (int i = 0; i < to.length; i++) {
      to[i] += factor * what[i];
    }
  }

  private static double[] difference(double[] a, double[] b) {
    double[] d = a.clone();
    add(d, -1, b);
    return d;
  }

  /** The largest absolute entry; NaN if any is. */
  private static double largest(double[] values) {
    double most = 0;
    for (double value : values) {
      most = Math.max(most, Math.abs(value));
    }
    return most;
  }
}
