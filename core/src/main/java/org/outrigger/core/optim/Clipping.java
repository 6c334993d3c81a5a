package org.outrigger.core.optim;

import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.AutoGradMode;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.ScalarOptional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.torch.Torch;

/** Limits on gradients, between the backward pass and the optimiser's step. */
public final class Clipping {
  private Clipping() {}

  /**
   * Scales all gradients by one factor so that their joint Euclidean norm is at most {@code limit},
   * after PyTorch's {@code clip_grad_norm_}.
   *
   * @param parameters those without a gradient are skipped
   * @param limit above 0
   * @return the norm before clipping; 0 if there are no gradients
   */
  public static double byNorm(Collection<Tensor> parameters, double limit) {
    HyperParameter.positive("limit", limit);
    Torch.start();
    try (PointerScope scope = new PointerScope();
        AutoGradMode off = new AutoGradMode(false)) {
      List<Tensor> gradients = gradients(parameters);
      if (gradients.isEmpty()) {
        return 0;
      }
      Tensor[] norms = gradients.stream().map(Tensor::norm).toArray(Tensor[]::new);
      double norm = torch.stack(new TensorVector(norms), 0).norm().item_double();
      double factor = limit / (norm + 1e-6);
      if (factor < 1 || Double.isNaN(factor)) {
        Scalar scale = new Scalar(factor);
        gradients.forEach(g -> g.mul_(scale));
      }
      return norm;
    }
  }

  /**
   * Clamps each entry of each gradient to [-limit, limit].
   *
   * @param limit above 0
   */
  public static void byValue(Collection<Tensor> parameters, double limit) {
    HyperParameter.positive("limit", limit);
    Torch.start();
    try (PointerScope scope = new PointerScope();
        AutoGradMode off = new AutoGradMode(false)) {
      ScalarOptional low = new ScalarOptional(new Scalar(-limit));
      ScalarOptional high = new ScalarOptional(new Scalar(limit));
      gradients(parameters).forEach(g -> g.clamp_(low, high));
    }
  }

  private static List<Tensor> gradients(Collection<Tensor> parameters) {
    List<Tensor> gradients = new ArrayList<>();
    for (Tensor parameter : parameters) {
      Tensor gradient = parameter.grad();
      if (gradient.defined()) {
        gradients.add(gradient);
      }
    }
    return gradients;
  }
}
