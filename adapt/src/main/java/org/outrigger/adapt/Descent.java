package org.outrigger.adapt;

import java.util.Map;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.optim.Adam;
import org.outrigger.core.optim.Optimiser;
import org.outrigger.core.optim.Sgd;

/**
 * The hyper-parameters of methods that take gradient steps on a stream; their settings have them
 * under these names.
 */
public interface Descent {
  /** {@code adam} or {@code sgd}. */
  enum Rule {
    ADAM,
    SGD
  }

  /** The rule of the steps. */
  Rule optimiser();

  /** The learning rate, above 0. */
  double lr();

  /** The momentum of SGD, in [0, 1); Adam has betas (0.9, 0.999) and takes none. */
  double momentum();

  /** How many steps are made on each batch, 1 or more. */
  int steps();

  /** Checks the ranges; for compact constructors. */
  static void check(double lr, double momentum, int steps) {
    HyperParameter.positive("lr", lr);
    HyperParameter.require(
        momentum >= 0 && momentum < 1, "momentum", momentum, "0 or more and below 1");
    HyperParameter.atLeast("steps", steps, 1);
  }

  /** A fresh optimiser of these parameters. */
  default Optimiser make(Map<String, Tensor> parameters) {
    return optimiser() == Rule.ADAM
        ? new Adam(parameters, Adam.Settings.of(lr()))
        : new Sgd(parameters, new Sgd.Settings(lr(), momentum(), 0, 0, false));
  }
}
