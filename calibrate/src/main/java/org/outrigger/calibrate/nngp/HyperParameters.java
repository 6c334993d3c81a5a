package org.outrigger.calibrate.nngp;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.calibrate.nngp.ScaleMixture.Process;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

/**
 * The hyper-parameters of a process over functions of a wide network.
 *
 * @param wStd s_w, standard deviation of the weights, above 0
 * @param bStd s_b, of the biases, 0 or more
 * @param lastWStd s_last, of the last layer's weights, above 0
 * @param eps variance of the noise on standardised targets, above 0
 * @param alpha a, shape of the inverse gamma prior, above 0
 * @param beta b, its scale, above 0
 * @param burrC c of the Burr XII prior, above 0
 * @param burrK k of it, above 0
 */
public record HyperParameters(
    double wStd,
    double bStd,
    double lastWStd,
    double eps,
    double alpha,
    double beta,
    double burrC,
    double burrK) {
  /** The prior's shape a stays within these bounds while it is fitted. */
  public static final double LOWEST_ALPHA = Math.exp(-4);

  public static final double HIGHEST_ALPHA = Math.exp(3);

  /** Fitted noise does not fall below this. */
  private static final double LEAST_NOISE = 1e-8;

  /** Where a hyper-parameter that starts at zero starts, as it could not leave it. */
  private static final double START = 1e-8;

  public HyperParameters {
    HyperParameter.positive("wStd", wStd);
    HyperParameter.notNegative("bStd", bStd);
    HyperParameter.positive("lastWStd", lastWStd);
    HyperParameter.positive("eps", eps);
    HyperParameter.positive("alpha", alpha);
    HyperParameter.positive("beta", beta);
    HyperParameter.positive("burrC", burrC);
    HyperParameter.positive("burrK", burrK);
  }

  /** Degrees of freedom of the prior's Student-t, 2a. */
  public double degreesOfFreedom() {
    return 2 * alpha;
  }

  /** By name, in order. */
  public Map<String, Double> values() {
    Map<String, Double> values = new LinkedHashMap<>();
    values.put("wStd", wStd);
    values.put("bStd", bStd);
    values.put("lastWStd", lastWStd);
    values.put("eps", eps);
    values.put("alpha", alpha);
    values.put("beta", beta);
    values.put("burrC", burrC);
    values.put("burrK", burrK);
    return values;
  }

  static HyperParameters of(Map<String, Double> values) {
    return new HyperParameters(
        get(values, "wStd"),
        get(values, "bStd"),
        get(values, "lastWStd"),
        get(values, "eps"),
        get(values, "alpha"),
        get(values, "beta"),
        get(values, "burrC"),
        get(values, "burrK"));
  }

  private static double get(Map<String, Double> values, String name) {
    Double value = values.get(name);
    if (value == null) {
      throw new IllegalArgumentException("no hyper-parameter " + name);
    }
    return value;
  }

  NngpKernel.Scales scales() {
    return NngpKernel.Scales.of(wStd, bStd, lastWStd);
  }

  /** The names of those that a process fits. Of s_last and b one is redundant: s_last stays. */
  static List<String> free(Process process) {
    List<String> names = new ArrayList<>(List.of("wStd", "bStd", "eps"));
    switch (process) {
      case GAUSSIAN -> names.add("lastWStd");
      case STUDENT_T -> names.addAll(List.of("alpha", "beta"));
      case BURR -> names.addAll(List.of("lastWStd", "burrC", "burrK"));
    }
    return names;
  }

  /** Unbounded parameters that {@link #natural} turns into these, in the order of the names. */
  double[] unbounded(List<String> names) {
    Map<String, Double> values = values();
    return names.stream()
        .mapToDouble(
            name -> {
              double value = get(values, name);
              if (name.equals("alpha")) {
                double inside =
                    Math.min(Math.max(value, 1.001 * LOWEST_ALPHA), 0.999 * HIGHEST_ALPHA);
                double raised = Math.exp(inside - LOWEST_ALPHA);
                return Math.log(raised - 1) - Math.log1p(-raised * Math.exp(-width()));
              }
              return inverseSoftplus(Math.max(value - least(name), START));
            })
        .toArray();
  }

  private static double least(String name) {
    return name.equals("eps") ? LEAST_NOISE : 0;
  }

  static double inverseSoftplus(double value) {
    return value > 30 ? value : Math.log(Math.expm1(value));
  }

  private static double width() {
    return HIGHEST_ALPHA - LOWEST_ALPHA;
  }

  /**
   * One of them from its unbounded parameter: softplus; for a, softplus that levels off at both of
   * its bounds.
   */
  static Tensor natural(String name, Tensor unbounded) {
    return Scopes.tensor(
        () -> {
          Tensor up = softplus(unbounded);
          return name.equals("alpha")
              ? up.sub(softplus(unbounded.sub(new Scalar(width())))).add(new Scalar(LOWEST_ALPHA))
              : up.add(new Scalar(least(name)));
        });
  }

  /** Without the threshold of libtorch's own, whose gradient would jump. */
  static Tensor softplus(Tensor x) {
    return Scopes.tensor(() -> torch.softplus(x, new Scalar(1.0), new Scalar(40.0)));
  }

  /** These with those of the names replaced. */
  HyperParameters with(List<String> names, double[] unbounded) {
    Map<String, Double> values = values();
    for (int i = 0; i < unbounded.length; i++) {
      String name = names.get(i);
      double u = unbounded[i];
      values.put(name, Scopes.scoped(() -> natural(name, Tensors.scalar(u)).item_double()));
    }
    return of(values);
  }
}
