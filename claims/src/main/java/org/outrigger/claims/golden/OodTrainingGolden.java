package org.outrigger.claims.golden;

import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.torch.Gradients;
import org.outrigger.detect.Cider;
import org.outrigger.detect.EnergyFineTuning;
import org.outrigger.detect.EntropicOpenSet;
import org.outrigger.detect.LogitNorm;
import org.outrigger.detect.OutlierExposure;
import org.outrigger.detect.Vos;
import org.outrigger.detect.WeightedEnergy;
import tools.jackson.databind.JsonNode;

/** Training losses with their gradients; an output's name carries some of its parameters. */
final class OodTrainingGolden {
  private static final String GRADIENT = "_grad";

  private OodTrainingGolden() {}

  /** Whether the case is of this kind. */
  static boolean knows(GoldenCase golden) {
    return golden.hasInput("labels")
        && golden.outputs().stream().anyMatch(name -> name.endsWith(GRADIENT));
  }

  static void check(GoldenCase golden) {
    for (String name : golden.outputs()) {
      if (name.startsWith("cider_") || name.endsWith(GRADIENT)) {
        continue;
      }
      Tensor logits = golden.input("logits").requires_grad_(true);
      if (name.equals("vos_weighted_energy")) {
        Tensor weights = golden.input("vos_energy_weights").flatten();
        golden.expect(name, WeightedEnergy.score(logits.detach(), weights));
        continue;
      }
      Tensor loss = loss(golden, name, logits, golden.labels("labels"));
      if (loss != null) {
        golden.expect(name, loss.item_double());
        if (golden.hasOutput(name + GRADIENT)) {
          golden.expect(name + GRADIENT, Gradients.of(loss, logits));
        }
      }
    }
    if (golden.hasInput("cider_features")) {
      cider(golden);
    }
  }

  private static @org.jspecify.annotations.Nullable Tensor loss(
      GoldenCase golden, String name, Tensor logits, Tensor labels) {
    if (name.startsWith("oe_lambda")) {
      double lambda = Double.parseDouble(name.substring("oe_lambda".length()));
      return OutlierExposure.loss(logits, labels, new OutlierExposure.Settings(lambda, false));
    }
    if (name.startsWith("pytorch_ood_oe_alpha")) {
      double alpha = Double.parseDouble(name.substring("pytorch_ood_oe_alpha".length()));
      return OutlierExposure.loss(logits, labels, new OutlierExposure.Settings(alpha, true));
    }
    if (name.startsWith("energy_oe_")) {
      return EnergyFineTuning.loss(
          logits,
          labels,
          energy(golden, golden.params().path("energy").path("beta").asDouble(), false));
    }
    if (name.startsWith("pytorch_ood_energyreg_alpha")) {
      double alpha = Double.parseDouble(name.substring("pytorch_ood_energyreg_alpha".length()));
      return EnergyFineTuning.loss(logits, labels, energy(golden, alpha, true));
    }
    if (name.equals("entropic_openset")) {
      return EntropicOpenSet.loss(logits, labels);
    }
    if (name.startsWith("logitnorm_tau")) {
      double tau = Double.parseDouble(name.substring("logitnorm_tau".length()));
      return LogitNorm.loss(logits, labels, tau);
    }
    if (name.startsWith("vos_ce_plus_")) {
      return Vos.loss(
          logits,
          labels,
          golden.input("vos_energy_weights").flatten(),
          golden.input("vos_phi_weight"),
          golden.input("vos_phi_bias"),
          golden.param("vos_alpha"));
    }
    return null;
  }

  private static EnergyFineTuning.Settings energy(
      GoldenCase golden, double beta, boolean wholeBatch) {
    JsonNode params = golden.params().path("energy");
    return new EnergyFineTuning.Settings(
        beta, params.path("m_in").asDouble(), params.path("m_out").asDouble(), wholeBatch);
  }

  /** The batch's prototypes feel the gradient in the dispersion, not in the compactness. */
  private static void cider(GoldenCase golden) {
    JsonNode params = golden.params().path("cider");
    double temperature = params.path("temp").asDouble();
    Tensor features = golden.input("cider_features").requires_grad_(true);
    Tensor labels = golden.labels("labels");
    Tensor known = labels.masked_select(labels.ge(new Scalar(0)));
    Tensor prototypes =
        Cider.update(
            golden.input("cider_prototypes"), features, known, params.path("proto_m").asDouble());
    Tensor dispersion = Cider.dispersion(prototypes, temperature);
    Tensor compactness = Cider.compactness(features, prototypes.detach(), known, temperature);
    Tensor total = compactness.mul(new Scalar(params.path("w").asDouble())).add(dispersion);
    for (String name : golden.outputs()) {
      if (name.equals("cider_dis")) {
        golden.expect(name, dispersion);
      } else if (name.equals("cider_comp")) {
        golden.expect(name, compactness);
      } else if (name.startsWith("cider_total")) {
        golden.expect(name, total);
      } else if (name.equals("cider_grad_features")) {
        golden.expect(name, Gradients.of(total, features));
      } else if (name.equals("cider_new_prototypes")) {
        golden.expect(name, prototypes);
      }
    }
  }
}
