package org.outrigger.claims.golden;

import java.util.LinkedHashMap;
import java.util.Map;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.nn.BatchNorm2d;

/** The batch normalisation of golden cases about a single layer, in float64. */
final class GoldenNorms {
  private static final double EPS = 1e-5;

  private GoldenNorms() {}

  /**
   * A layer with {@code bn.weight} and {@code bn.bias}, if the case has them, and these statistics.
   *
   * @param mean the name of the input that holds the running mean
   * @param variance the name of the input that holds the running variance
   */
  static BatchNorm2d of(GoldenCase golden, String mean, String variance, double momentum) {
    boolean affine = golden.hasInput("bn.weight");
    double eps = golden.params().path("eps").asDouble(EPS);
    Tensor statistics = golden.input(mean);
    BatchNorm2d norm = new BatchNorm2d((int) statistics.size(0), momentum, eps, affine, true);
    norm.to(ScalarType.Double);
    Map<String, Tensor> state = new LinkedHashMap<>();
    state.put("running_mean", statistics);
    state.put("running_var", golden.input(variance));
    if (affine) {
      state.put("weight", golden.input("bn.weight"));
      state.put("bias", golden.input("bn.bias"));
    }
    norm.loadStateDict(state, true);
    norm.eval();
    return norm;
  }
}
