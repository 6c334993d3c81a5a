package org.outrigger.core.torch;

import java.util.SplittableRandom;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Generator;
import org.bytedeco.pytorch.GeneratorOptional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;

/**
 * A seeded source of random numbers that is independent of every other: data order, initialisation
 * and a method's own noise each hold one. Draws are made on the CPU. The {@linkplain #state()
 * state} can be saved so that a resumed run continues with the same numbers.
 *
 * <p>Not safe for concurrent use.
 */
public final class Rng implements AutoCloseable {
  private final Generator generator;
  private final GeneratorOptional optional;
  private final long seed;

  public Rng(long seed) {
    Torch.start();
    this.seed = seed;
    try (PointerScope scope = new PointerScope()) {
      generator = torch.make_generator_cpu();
      generator.set_current_seed(seed);
      optional = new GeneratorOptional(generator);
      generator.retainReference();
      optional.retainReference();
    }
  }

  /** The seed it was made with. */
  public long seed() {
    return seed;
  }

  /** A generator of its own for the purpose {@code name}: same seed and name, same numbers. */
  public static Rng named(long seed, String name) {
    return new Rng(derive(seed, name));
  }

  /** A seed for the purpose {@code name}, well mixed, so that purposes do not share streams. */
  public static long derive(long seed, String name) {
    long hash = 0xcbf29ce484222325L;
    for (int i = 0; i < name.length(); i++) {
      hash = (hash ^ name.charAt(i)) * 0x100000001b3L;
    }
    return new SplittableRandom(seed ^ hash).nextLong();
  }

  /** libtorch's own handle, for operations that take one. */
  public GeneratorOptional generator() {
    return optional;
  }

  /** Standard normal float32 values of that shape. */
  public Tensor normal(long... shape) {
    return torch.randn(shape, optional, new TensorOptions(ScalarType.Float));
  }

  /** Standard normal values of that shape and type. */
  public Tensor normal(ScalarType type, long... shape) {
    return torch.randn(shape, optional, new TensorOptions(type));
  }

  /** Uniform float32 values in [0, 1). */
  public Tensor uniform(long... shape) {
    return torch.rand(shape, optional, new TensorOptions(ScalarType.Float));
  }

  /** Uniform values in [0, 1) of that type. */
  public Tensor uniform(ScalarType type, long... shape) {
    return torch.rand(shape, optional, new TensorOptions(type));
  }

  /** A random order of 0 .. n-1, int64 [n]. */
  public Tensor permutation(long n) {
    return torch.randperm(n, optional, new TensorOptions(ScalarType.Long));
  }

  /** Fills {@code tensor} with uniform values in [low, high) and returns it. */
  public Tensor fillUniform(Tensor tensor, double low, double high) {
    return tensor.uniform_(low, high, optional);
  }

  /** Fills {@code tensor} with normal values and returns it. */
  public Tensor fillNormal(Tensor tensor, double mean, double std) {
    return tensor.normal_(mean, std, optional);
  }

  /** The state as a byte tensor that the caller owns. */
  public Tensor state() {
    return generator.get_state();
  }

  /** Continues from a state that {@link #state()} gave. */
  public void state(Tensor state) {
    Torch.run(
        "The saved state of the random generator cannot be used.",
        () -> generator.set_state(state));
  }

  @Override
  public void close() {
    optional.close();
    generator.close();
  }
}
