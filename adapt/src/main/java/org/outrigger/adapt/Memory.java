package org.outrigger.adapt;

import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;
import org.bytedeco.pytorch.Tensor;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.torch.Scopes;

/**
 * What an adapter keeps beside weights, by name: running estimates, stored rows, counts. The base
 * class saves, restores and resets it, so a method that keeps everything here needs no code for
 * that.
 */
public final class Memory implements AutoCloseable {
  private final Map<String, Tensor> tensors = new LinkedHashMap<>();
  private final Map<String, Double> numbers = new LinkedHashMap<>();

  /** The tensor of that name, or null if there is none; borrowed until it is put anew. */
  public @Nullable Tensor find(String name) {
    return tensors.get(name);
  }

  /** The tensor of that name, which must be there; borrowed until it is put anew. */
  public Tensor tensor(String name) {
    return Objects.requireNonNull(tensors.get(name), name);
  }

  /** Keeps a handle of {@code tensor}, cut from its graph, in place of what had that name. */
  public void put(String name, Tensor tensor) {
    Tensor own = Scopes.scoped(() -> Scopes.own(tensor.detach()));
    Scopes.release(tensors.put(name, own));
  }

  /** The number of that name; {@code otherwise} if there is none. */
  public double number(String name, double otherwise) {
    return numbers.getOrDefault(name, otherwise);
  }

  /** Keeps a number. */
  public void put(String name, double number) {
    numbers.put(name, number);
  }

  /** Forgets what has that name. */
  public void remove(String name) {
    Scopes.release(tensors.remove(name));
    numbers.remove(name);
  }

  /** All tensors; borrowed. */
  public Map<String, Tensor> tensors() {
    return Collections.unmodifiableMap(tensors);
  }

  /** All numbers. */
  public Map<String, Double> numbers() {
    return Collections.unmodifiableMap(numbers);
  }

  /** Forgets everything. */
  public void clear() {
    tensors.values().forEach(Scopes::release);
    tensors.clear();
    numbers.clear();
  }

  /** Takes over copies of these in place of everything. */
  void replace(Map<String, Tensor> newTensors, Map<String, Double> newNumbers) {
    Map<String, Tensor> copies = new LinkedHashMap<>();
    Scopes.run(
        () -> newTensors.forEach((name, t) -> copies.put(name, Scopes.own(t.detach().clone()))));
    Map<String, Double> kept = new LinkedHashMap<>(newNumbers);
    clear();
    tensors.putAll(copies);
    numbers.putAll(kept);
  }

  @Override
  public void close() {
    clear();
  }
}
