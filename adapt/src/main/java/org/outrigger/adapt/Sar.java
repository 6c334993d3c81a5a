package org.outrigger.adapt;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.model.Model;
import org.outrigger.core.model.Output;
import org.outrigger.core.torch.Gradients;
import org.outrigger.core.torch.Scopes;

/**
 * SAR: entropy minimisation on reliable rows (H below E0) towards flat minima: the gradient is taken
 * after a climb of length rho along it. When the running mean e of the loss falls below a constant,
 * the predictions have collapsed and it starts over. Niu et al., Towards Stable Test-Time Adaptation
 * in Dynamic Wild World, ICLR 2023.
 */
@Card(
    slug = "sar",
    name = "SAR",
    summary = "Lowers the entropy of reliable rows towards flat minima; starts over on collapse.",
    paper = "Niu et al., Towards Stable Test-Time Adaptation in Dynamic Wild World, ICLR 2023",
    year = 2023,
    room = Room.ADAPT,
    needs = {Need.NORM_LAYERS, Need.PARAMETER_GRADIENTS},
    state = "scales, shifts, the optimiser and a running loss")
public final class Sar extends GradientAdapter<Sar.Settings> {
  private static final String LOSS = "loss";
  private static final double KEEP = 0.9;
  private static final double TINY = 1e-12;
  private static final Pattern STAGE = Pattern.compile("(^|.*\\.)layer4\\..*");
  private static final Pattern BLOCK = Pattern.compile("(?:^|.*\\.)blocks\\.(\\d+)\\..*");
  private static final Pattern FINAL_NORM = Pattern.compile("(^|.*\\.)norm\\.(weight|bias)");

  /** How many transformer blocks at the end are left as they are. */
  private static final int LAST_BLOCKS = 3;

  /**
   * @param E0 how large an entropy is reliable, in units of ln C, above 0
   * @param rho the length of the climb, above 0
   * @param resetConstant the running loss below which it starts over, 0 or more; 0 never
   * @param skipLast whether the last stage stays as it is: layer4 of a ResNet; the last three blocks
   *     and the final normalisation of a vision transformer
   * @param optimiser of the steps
   * @param lr learning rate, above 0
   * @param momentum of SGD, in [0, 1)
   * @param steps on each batch, 1 or more
   */
  public record Settings(
      double E0,
      double rho,
      double resetConstant,
      boolean skipLast,
      Rule optimiser,
      double lr,
      double momentum,
      int steps)
      implements Descent {
    public Settings {
      HyperParameter.positive("E0", E0);
      HyperParameter.positive("rho", rho);
      HyperParameter.notNegative("resetConstant", resetConstant);
      Descent.check(lr, momentum, steps);
    }

    public static Settings defaults() {
      return new Settings(0.4, 0.05, 0.2, true, Rule.SGD, 1e-3, 0.9, 1);
    }
  }

  public Sar() {
    this(Settings.defaults());
  }

  public Sar(Settings settings) {
    super(settings);
  }

  /** The norm of several tensors as one vector. */
  static double norm(List<Tensor> gradients) {
    return Scopes.scoped(
        () ->
            Math.sqrt(
                gradients.stream().mapToDouble(g -> g.square().sum().item_double()).sum()));
  }

  @Override
  protected List<String> choose(Model copy) {
    List<String> all = normParameters(copy);
    if (!settings().skipLast()) {
      return all;
    }
    List<String> early = withoutLastStage(all);
    return early.isEmpty() ? all : early;
  }

  /** The names that are not of the last stage of a ResNet or a vision transformer. */
  static List<String> withoutLastStage(List<String> names) {
    int blocks = names.stream().mapToInt(Sar::block).max().orElse(-1);
    return names.stream()
        .filter(name -> !STAGE.matcher(name).matches())
        .filter(name -> block(name) < 0 || block(name) <= blocks - LAST_BLOCKS)
        .filter(name -> blocks < 0 || block(name) >= 0 || !FINAL_NORM.matcher(name).matches())
        .toList();
  }

  private static int block(String name) {
    Matcher block = BLOCK.matcher(name);
    return block.matches() ? Integer.parseInt(block.group(1)) : -1;
  }

  /** The loss at the weights as they are; a step follows the gradient at those of the climb. */
  @Override
  protected @Nullable Tensor loss(Tensor inputs, Output output) {
    Tensor kept = kept(inputs, output.logits());
    return empty(kept) ? null : entropy(output, kept);
  }

  private Tensor entropy(Output output, Tensor kept) {
    return Entropies.masked(Entropies.entropy(output.logits()), kept);
  }

  private static boolean empty(Tensor kept) {
    return !kept.any().item_bool();
  }

  private Tensor reliable(Tensor logits) {
    double margin = settings().E0() * Math.log(logits.size(1));
    return Scopes.noGrad(() -> Entropies.entropy(logits).lt(new Scalar(margin)));
  }

  private Tensor kept(Tensor inputs, Tensor logits) {
    Tensor reliable = reliable(logits);
    Tensor kept = select(inputs, logits, reliable);
    count(reliable.sum().item_long(), kept.sum().item_long(), 0);
    return kept;
  }

  @Override
  protected void follow(Tensor inputs, Output output) {
    Tensor kept = kept(inputs, output.logits());
    if (empty(kept)) {
      return;
    }
    List<Tensor> gradients = gradients(output, kept);
    double norm = norm(gradients);
    if (Double.isFinite(norm)) {
      undisturbed(() -> climbAndStep(inputs, kept, gradients, norm));
    }
  }

  private List<Tensor> gradients(Output output, Tensor kept) {
    Tensor loss = Scopes.grad(true, () -> penalised(entropy(output, kept), output));
    return Gradients.of(
        Objects.requireNonNull(loss), List.copyOf(parameters().values()), false);
  }

  private void climbAndStep(Tensor inputs, Tensor kept, List<Tensor> gradients, double norm) {
    List<Tensor> moved = List.copyOf(parameters().values());
    List<Tensor> before = moved.stream().map(p -> p.detach().clone()).toList();
    Map<String, Tensor> second = new LinkedHashMap<>();
    Scalar stride = new Scalar(settings().rho() / (norm + TINY));
    double loss = Double.NaN;
    try {
      for (int i = 0; i < moved.size(); i++) {
        moved.get(i).add_(gradients.get(i), stride);
      }
      Output there = Scopes.grad(true, () -> forward(inputs));
      Tensor still = kept.logical_and(reliable(there.logits()));
      if (!empty(still)) {
        loss = entropy(there, still).item().toDouble();
        List<Tensor> values = gradients(there, still);
        int i = 0;
        for (String name : parameters().keySet()) {
          second.put(name, values.get(i++));
        }
      }
    } finally {
      for (int i = 0; i < moved.size(); i++) {
        moved.get(i).copy_(before.get(i));
      }
    }
    if (Double.isFinite(loss) && Double.isFinite(norm(List.copyOf(second.values())))) {
      optimiser().step(second);
      count(0, 0, 1);
      watch(loss);
    }
  }

  /** Takes note of a loss and starts over if the running one has collapsed. */
  private void watch(double loss) {
    double old = memory().number(LOSS, Double.NaN);
    double now = Double.isNaN(old) ? loss : KEEP * old + (1 - KEEP) * loss;
    memory().put(LOSS, now);
    if (now < settings().resetConstant()) {
      backToStart();
    }
  }
}
