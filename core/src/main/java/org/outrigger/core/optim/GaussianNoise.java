package org.outrigger.core.optim;

import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;

/**
 * Adds normal noise to each value; for inputs of any shape.
 *
 * @param std its standard deviation, 0 or more
 */
public record GaussianNoise(double std) implements Augmentation {
  public GaussianNoise {
    HyperParameter.notNegative("std", std);
  }

  @Override
  public Tensor apply(Tensor inputs, Rng rng) {
    return Scopes.tensor(
        () ->
            inputs.add(rng.normal(inputs.scalar_type().intern(), inputs.shape()), new Scalar(std)));
  }
}
