package org.outrigger.core.torch;

import java.util.Iterator;
import java.util.function.Supplier;
import org.bytedeco.javacpp.Pointer;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.AutoGradMode;
import org.bytedeco.pytorch.Tensor;
import org.jspecify.annotations.Nullable;

/**
 * Native memory, freed by scope. Inside {@link PointerScope} every new pointer belongs to the
 * innermost scope and is released when that closes; these helpers let chosen results outlive it.
 *
 * <p>Closing a Java handle never invalidates another handle of the same tensor: libtorch counts
 * references. A result without an enclosing scope belongs to the caller, who closes it.
 */
public final class Scopes {
  private Scopes() {}

  /**
   * Runs {@code work} in its own scope and returns a handle of its result that belongs to the
   * enclosing scope, or to the caller if there is none. Everything else made inside is released.
   */
  public static Tensor tensor(Supplier<Tensor> work) {
    Torch.start();
    try (PointerScope scope = new PointerScope()) {
      return keep(new Tensor(work.get()));
    }
  }

  /** Runs {@code work} in its own scope; what is to survive it goes through {@link #keep}. */
  public static <T> T scoped(Supplier<T> work) {
    Torch.start();
    try (PointerScope scope = new PointerScope()) {
      return work.get();
    }
  }

  /** Runs {@code work} in its own scope. */
  public static void run(Runnable work) {
    Torch.start();
    try (PointerScope scope = new PointerScope()) {
      work.run();
    }
  }

  /**
   * Lets a pointer that was made in the innermost scope outlive it: it moves to the next scope out,
   * or to the caller when there is none.
   *
   * @param pointer one that the innermost scope owns (not an argument that came from outside)
   */
  public static <P extends Pointer> P keep(P pointer) {
    Iterator<PointerScope> scopes = PointerScope.getScopeIterator();
    if (scopes != null && scopes.hasNext()) {
      scopes.next();
      if (scopes.hasNext()) {
        scopes.next().attach(pointer);
        return pointer;
      }
    }
    pointer.retainReference();
    return pointer;
  }

  /**
   * A new handle of {@code tensor} that no scope owns: for fields that live as long as their
   * object, which closes it.
   */
  public static Tensor own(Tensor tensor) {
    // A detached scope stack is not offered by JavaCPP; one extra reference has the same effect.
    Tensor handle = new Tensor(tensor);
    handle.retainReference();
    return handle;
  }

  /** Releases a handle that {@link #own} made; null is ignored. */
  public static void release(@Nullable Tensor tensor) {
    if (tensor != null && !tensor.isNull()) {
      tensor.releaseReference();
    }
  }

  /** Runs {@code work} without recording gradients, in its own scope, like {@link #tensor}. */
  public static Tensor noGrad(Supplier<Tensor> work) {
    Torch.start();
    try (PointerScope scope = new PointerScope();
        AutoGradMode off = new AutoGradMode(false)) {
      return keep(new Tensor(work.get()));
    }
  }

  /** Runs {@code work} with gradient recording switched on or off, without a scope of its own. */
  public static <T> T grad(boolean enabled, Supplier<T> work) {
    Torch.start();
    try (AutoGradMode mode = new AutoGradMode(enabled)) {
      return work.get();
    }
  }
}
