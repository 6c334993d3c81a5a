package org.outrigger.core.model;

import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import org.bytedeco.pytorch.Graph;
import org.bytedeco.pytorch.GraphExecutor;
import org.bytedeco.pytorch.GraphOptimizerEnabledGuard;
import org.bytedeco.pytorch.IValue;
import org.bytedeco.pytorch.IValueVector;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.torch.Scopes;

/** A TorchScript graph that is ready to run, any number of times and from any thread. */
final class ScriptProgram implements AutoCloseable {
  private final GraphExecutor executor;

  ScriptProgram(Graph graph, String name) {
    executor =
        Scopes.scoped(
            () -> {
              GraphExecutor made = new GraphExecutor(graph, name);
              made.retainReference();
              return made;
            });
  }

  /**
   * Runs it; the outputs belong to the enclosing scope, which must exist.
   *
   * @param self the module
   * @param more values of lifted parameters, in order
   */
  List<Tensor> run(IValue self, Tensor inputs, Collection<Tensor> more) {
    // Each operation runs as it is written: the optimiser would compile the graph anew for batches
    // of other sizes, and what it makes cannot always be differentiated twice.
    try (GraphOptimizerEnabledGuard plain = new GraphOptimizerEnabledGuard(false)) {
      IValueVector stack = new IValueVector(2L + more.size());
      stack.put(0, self);
      stack.put(1, new IValue(inputs));
      long next = 2;
      for (Tensor tensor : more) {
        stack.put(next++, new IValue(tensor));
      }
      executor.run(stack);
      List<Tensor> outputs = new ArrayList<>();
      for (long i = 0; i < stack.size(); i++) {
        outputs.add(new Tensor(stack.get(i).toTensor()));
      }
      return outputs;
    }
  }

  @Override
  public void close() {
    executor.releaseReference();
  }
}
