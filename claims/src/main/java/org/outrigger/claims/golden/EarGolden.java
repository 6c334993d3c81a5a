package org.outrigger.claims.golden;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.bytedeco.pytorch.LongOptional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.adapt.ear.HyperdimensionalFusion;
import org.outrigger.adapt.ear.HyperdimensionalFusion.Pool;
import org.outrigger.adapt.ear.ZeroShotProxies;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.nn.Activation;
import org.outrigger.core.nn.Layer;
import org.outrigger.core.nn.Linear;
import org.outrigger.core.nn.Sequential;
import org.outrigger.core.torch.Rng;

/** Golden cases of EAR: fused descriptors of feature maps, and proxies of a network of ReLUs. */
public final class EarGolden implements GoldenSuite {
  @Override
  public String slug() {
    return "ear";
  }

  @Override
  public void check(GoldenCase golden) {
    if (golden.hasInput("cal_features0") && golden.hasInput("projection0")) {
      fusion(golden);
    } else if (golden.hasInput("x") && golden.hasInput("w0")) {
      proxies(golden);
    } else {
      throw new OutriggerException(
          golden.file() + " is a kind of case that this suite does not know.");
    }
  }

  private static void fusion(GoldenCase golden) {
    Pool pool = pool(golden);
    List<Tensor> means = new ArrayList<>();
    List<Tensor> known = new ArrayList<>();
    List<Tensor> queries = new ArrayList<>();
    List<Tensor> projections = new ArrayList<>();
    for (int l = 0; golden.hasInput("cal_features" + l); l++) {
      means.add(HyperdimensionalFusion.layerMean(golden.input("cal_features" + l)));
      known.add(HyperdimensionalFusion.pool(golden.input("cal_features" + l), pool));
      queries.add(HyperdimensionalFusion.pool(golden.input("query_features" + l), pool));
      projections.add(golden.input("projection" + l));
    }
    double[] layerMeans = means.stream().mapToDouble(Tensor::item_double).toArray();
    golden.expect("layer_means", layerMeans);
    Tensor bundles =
        HyperdimensionalFusion.bundle(
            HyperdimensionalFusion.describe(known, means, projections),
            golden.labels("labels"),
            (long) golden.param("classes"));
    golden.expect("class_bundles", bundles);
    Tensor query = HyperdimensionalFusion.describe(queries, means, projections);
    golden.expect("query_bundle", query);
    Tensor similarity = HyperdimensionalFusion.similarity(query, bundles);
    golden.expect("similarity", similarity);
    golden.expect("ood_score", HyperdimensionalFusion.score(similarity));
    golden.expect("nearest", similarity.argmax(new LongOptional(1), false));
  }

  private static Pool pool(GoldenCase golden) {
    String name = golden.params().path("pool").asString("").toLowerCase(Locale.ROOT);
    return switch (name) {
      case "max" -> Pool.MAX;
      case "avg", "average", "mean" -> Pool.AVERAGE;
      default -> throw new OutriggerException(golden.file() + " pools by '" + name + "'.");
    };
  }

  private static void proxies(GoldenCase golden) {
    Tensor x = golden.input("x");
    try (Layer network = network(golden)) {
      Tensor code = ZeroShotProxies.activationCode(network, x);
      Tensor kernel = ZeroShotProxies.hammingKernel(code);
      Tensor ntk = ZeroShotProxies.ntk(network, x);
      golden.expect("activation_code", code);
      golden.expect("linear_regions", ZeroShotProxies.linearRegions(code));
      golden.expect("hamming_kernel", kernel);
      golden.expect("naswot", ZeroShotProxies.naswot(kernel, golden.param("naswot_ridge")));
      golden.expect("ntk", ntk);
      golden.expect("ntk_condition", ZeroShotProxies.condition(ntk));
      golden.expect("grad_norm", ZeroShotProxies.gradientNorm(network, x, golden.labels("y")));
      golden.expect("synflow", ZeroShotProxies.synflow(network, x.size(1)));
      golden.expect("params", network.parameterCount());
    }
  }

  /** Linear layers with ReLUs in between. */
  private static Layer network(GoldenCase golden) {
    Map<String, Layer> layers = new LinkedHashMap<>();
    Map<String, Tensor> weights = new LinkedHashMap<>();
    try (Rng rng = new Rng(0)) {
      for (int l = 0; golden.hasInput("w" + l); l++) {
        if (l > 0) {
          layers.put("relu" + l, Activation.relu());
        }
        Tensor weight = golden.input("w" + l);
        boolean bias = golden.hasInput("b" + l);
        layers.put("fc" + l, new Linear(weight.size(1), weight.size(0), bias, rng));
        weights.put("fc" + l + ".weight", weight);
        if (bias) {
          weights.put("fc" + l + ".bias", golden.input("b" + l));
        }
      }
    }
    Sequential network = new Sequential(layers);
    network.to(ScalarType.Double);
    network.loadStateDict(weights, true);
    return network;
  }
}
