package org.outrigger.adapt.edge;

import java.util.List;
import java.util.Objects;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.model.Model;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;

/**
 * U-VPA: a device with a frozen model uploads the frames it is most uncertain of; in the cloud a
 * large model labels them and a prompt that is added to inputs is learned for the device's model;
 * only the prompt is sent back.
 *
 * <p>Uncertainty is measured by {@code T} passes with dropout in the head ({@link
 * DropoutUncertainty}). The cloud makes a few steps of Adam on {@code CE(softmax f_cloud(x),
 * f_dev(x + P))} for P alone, and sends {@code P_ema <- m P_ema + (1 - m) P} with {@code m = m0 -
 * scale mean(U)}: the more uncertain the device, the faster its prompt changes.
 *
 * <p>Gan et al., "Cloud-Device Collaborative Adaptation to Continual Changing Environments in the
 * Real-world", CVPR 2023. Its code is not public and its text was not at hand: uncertainty and
 * momentum are those of SVDP by overlapping authors (Yang et al., AAAI 2024), and the defaults are
 * SVDP's. The upload share and the steps are design choices, as are two options: weights of the
 * teacher's confidence, and the restart of a prompt that makes the device less certain. So is where
 * the sparse prompt of a classifier is: at the pixels that the entropy of the predictions reacts to
 * most, chosen in the cloud at the first upload.
 *
 * <p>This adapter holds both sides; without {@link #withTeacher} the device's model is its own
 * teacher, which then stays borrowed. For two processes see {@link UVpaDevice}, {@link UVpaCloud}
 * and {@link CloudServer}. {@link #model} gives the network without the prompt.
 */
@Card(
    slug = UVpa.SLUG,
    name = "U-VPA",
    summary = "A device uploads frames it is uncertain of and gets a visual prompt back.",
    paper =
        "Gan et al. Cloud-Device Collaborative Adaptation to Continual Changing Environments in"
            + " the Real-world. CVPR 2023",
    year = 2023,
    room = Room.ADAPT,
    needs = {Need.LOGITS, Need.PARAMETER_GRADIENTS, Need.INPUT_GRADIENTS, Need.DROPOUT},
    state = "prompt, its average, optimiser, dropout generator, counters")
public final class UVpa extends EdgeAdapter<UVpa.Settings, UVpaDevice> {
  static final String SLUG = "u-vpa";

  /**
   * @param passes T, passes with dropout, 2 or more
   * @param uncertainty how their spread is measured
   * @param fraction r, the share of each batch that is uploaded, in (0, 1]
   * @param rate m0, how much of the average a step keeps at no uncertainty, in [0, 1]
   * @param scale how fast uncertainty lowers that, 0 or more
   * @param promptRate learning rate of the prompt, above 0
   * @param steps m, steps of Adam for each upload, 1 or more
   * @param form where the prompt is
   * @param rho the share of pixels of a sparse prompt, in (0, 1]
   * @param border the width of a border prompt in pixels, 1 or more
   * @param tokens of a token prompt, 1 or more
   * @param weighted whether rows count by the teacher's confidence
   * @param restart whether the prompt starts anew when the device is less certain with it than
   *     without; takes T further passes, and on small batches noise restarts it too often
   * @param modelRate learning rate of the normalisation layers of the device's model, which then
   *     travel too; 0 leaves them as they are
   * @param restore the probability that such a weight goes back to its source value after a step,
   *     in [0, 1]
   * @param seed of dropout and restoring
   */
  public record Settings(
      int passes,
      DropoutUncertainty uncertainty,
      double fraction,
      double rate,
      double scale,
      double promptRate,
      int steps,
      VisualPrompt form,
      double rho,
      int border,
      int tokens,
      boolean weighted,
      boolean restart,
      double modelRate,
      double restore,
      long seed) {
    public Settings {
      HyperParameter.atLeast("passes", passes, 2);
      Objects.requireNonNull(uncertainty);
      HyperParameter.require(
          fraction > 0 && fraction <= 1, "fraction", fraction, "above 0 and at most 1");
      HyperParameter.between("rate", rate, 0, 1);
      HyperParameter.notNegative("scale", scale);
      HyperParameter.positive("promptRate", promptRate);
      HyperParameter.atLeast("steps", steps, 1);
      Objects.requireNonNull(form);
      HyperParameter.require(rho > 0 && rho <= 1, "rho", rho, "above 0 and at most 1");
      HyperParameter.atLeast("border", border, 1);
      HyperParameter.atLeast("tokens", tokens, 1);
      HyperParameter.notNegative("modelRate", modelRate);
      HyperParameter.between("restore", restore, 0, 1);
    }

    public static Settings defaults() {
      return new Settings(
          10,
          DropoutUncertainty.VARIANCE,
          0.25,
          0.999,
          0.1,
          1e-2,
          10,
          VisualPrompt.DENSE,
          1e-3,
          1,
          4,
          false,
          false,
          0,
          0.01,
          0);
    }
  }

  public UVpa() {
    this(Settings.defaults());
  }

  public UVpa(Settings settings) {
    super(settings);
  }

  /**
   * Labels uploads with that model from the next start on, instead of with the device's own.
   *
   * @param teacher of the same classes; borrowed, must stay open
   * @return this
   */
  public UVpa withTeacher(Model teacher) {
    teachWith(teacher);
    return this;
  }

  /**
   * The cross-entropy of predictions to soft labels.
   *
   * @param logits of the device's model, [N, C]
   * @param target probabilities of the teacher, [N, C]
   * @return [N]
   */
  public static Tensor loss(Tensor logits, Tensor target) {
    Shapes.check().tensor("The logits", logits, "N", "C").tensor("The labels", target, "N", "C");
    return Scopes.tensor(() -> torch.log_softmax(logits, 1).mul(target).sum(1).neg());
  }

  @Override
  UVpaDevice device(Model model) {
    return new UVpaDevice(settings(), model);
  }

  @Override
  CloudSession cloud(Model model, Model teacher) {
    return new UVpaCloud(settings(), model, teacher);
  }

  @Override
  public List<String> trained() {
    return List.copyOf(device().prompted().affine().keySet());
  }
}
