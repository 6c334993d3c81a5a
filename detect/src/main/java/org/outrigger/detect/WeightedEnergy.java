package org.outrigger.detect;

import java.util.Arrays;
import java.util.List;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.torch.Tensors;

/**
 * Weighted energy, the score of a network that was trained with {@link Vos}: {@code -log sum_c
 * relu(w_c) exp(f_c)}. With all weights 1 it is {@link Energy} at temperature 1.
 *
 * <p>Du et al., "VOS: Learning What You Don't Know by Virtual Outlier Synthesis", ICLR 2022.
 */
@Card(
    slug = "weighted-energy",
    name = "Weighted energy",
    summary = "Energy with learned class weights, for networks trained with VOS.",
    paper = "Du et al. VOS: Learning What You Don't Know by Virtual Outlier Synthesis. ICLR 2022",
    year = 2022,
    room = Room.DETECT,
    needs = Need.LOGITS)
public final class WeightedEnergy extends LogitDetector<WeightedEnergy.Settings> {
  /**
   * @param weights one for each class, at least one above 0; empty for all 1
   */
  public record Settings(List<Double> weights) {
    public Settings {
      weights = List.copyOf(weights);
      for (double weight : weights) {
        HyperParameter.require(Double.isFinite(weight), "weights", weight, "finite numbers");
      }
      HyperParameter.require(
          weights.isEmpty() || weights.stream().anyMatch(w -> w > 0),
          "weights",
          weights,
          "above 0 for one class at least");
    }

    public static Settings defaults() {
      return new Settings(List.of());
    }
  }

  public WeightedEnergy() {
    this(Settings.defaults());
  }

  public WeightedEnergy(Settings settings) {
    super(settings);
  }

  /** With the weights that VOS has learned so far. */
  public static WeightedEnergy of(Vos vos) {
    double[] weights = Tensors.doubles(vos.energyWeights());
    return new WeightedEnergy(new Settings(Arrays.stream(weights).boxed().toList()));
  }

  /**
   * The score.
   *
   * @param logits [N, C]
   * @param weights [C], at least one above 0
   * @return [N]
   */
  public static Tensor score(Tensor logits, Tensor weights) {
    return Vos.energy(logits, weights);
  }

  @Override
  protected Tensor scoreLogits(Tensor logits) {
    List<Double> weights = settings().weights();
    if (weights.isEmpty()) {
      return logits.logsumexp(1).neg();
    }
    if (weights.size() != logits.size(1)) {
      throw new OutriggerException(
          "The weighted energy has "
              + weights.size()
              + " weights, but the model has "
              + logits.size(1)
              + " classes.");
    }
    double[] values = weights.stream().mapToDouble(Double::doubleValue).toArray();
    ScalarType type = logits.scalar_type().intern();
    return score(logits, Tensors.of(values, values.length).to(type));
  }
}
