package org.outrigger.detect;

import java.util.Map;
import org.bytedeco.pytorch.ScalarTypeOptional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.core.io.State;
import org.outrigger.core.io.Stateful;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.nn.ForwardContext;
import org.outrigger.core.nn.Init;
import org.outrigger.core.nn.Layer;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;
import org.outrigger.core.zoo.TextTower;
import org.outrigger.core.zoo.ZeroShotNetwork;

/**
 * CLIPN's text tower that says no: a copy of a text tower ({@code tower}) and learned {@code
 * prompts} [K, L, W], zero at first, that are added to the embedded tokens. In training a text gets
 * one of the K rows or their mean; a forward pass takes the mean. Its outputs have unit length.
 */
public final class NegatedText extends Layer implements Stateful {
  private static final String TYPE = "clipn/negated-text";

  private final int prompts;

  private NegatedText(TextTower copy, int prompts) {
    this.prompts = prompts;
    child("tower", copy);
    if (prompts > 0) {
      Scopes.run(
          () -> {
            Tensor like = copy.parameters().values().iterator().next();
            parameter(
                "prompts",
                Init.zeros(prompts, copy.context(), copy.width())
                    .to(like.device(), like.scalar_type()));
          });
    }
    parameters().values().forEach(parameter -> parameter.requires_grad_(true));
  }

  /**
   * A copy of a tower that starts out saying yes.
   *
   * @param tower stays the caller's
   * @param prompts how many rows K; 16 in the paper, 0 for texts that are negated by hand
   */
  public static NegatedText of(TextTower tower, int prompts) {
    HyperParameter.atLeast("prompts", prompts, 0);
    return new NegatedText((TextTower) tower.deepCopy(), prompts);
  }

  /** How many rows of prompts there are, without their mean. */
  public int prompts() {
    return prompts;
  }

  private TextTower tower() {
    return (TextTower) get("tower");
  }

  /**
   * The pass of training.
   *
   * @param tokens int64 [N, L]
   * @param rows int64 [N], each 0 .. K; K means the mean of all rows. Ignored if K is 0
   * @return unit rows [N, P], owned by the enclosing scope
   */
  public Tensor forward(Tensor tokens, Tensor rows) {
    Shapes.check().tensor("The tokens", tokens, "N", "L").tensor("The prompts' rows", rows, "N");
    Shapes.labels("The prompts' rows", rows, prompts + 1L, false);
    return Scopes.tensor(
        () -> {
          if (prompts == 0) {
            return ZeroShotNetwork.unit(tower().forward(tokens));
          }
          Tensor own = tensor("prompts");
          Tensor all =
              torch.cat(
                  new TensorVector(own, own.mean(new long[] {0}, true, new ScalarTypeOptional())),
                  0);
          Tensor added = all.index_select(0, rows);
          return ZeroShotNetwork.unit(tower().forward(tokens, added, ForwardContext.AS_IS));
        });
  }

  @Override
  protected Tensor compute(Tensor tokens, ForwardContext context) {
    return Scopes.tensor(
        () -> {
          if (prompts == 0) {
            return ZeroShotNetwork.unit(tower().forward(tokens, context));
          }
          Tensor mean = context.tensor(this, "prompts").mean(0);
          return ZeroShotNetwork.unit(tower().forward(tokens, mean, context));
        });
  }

  /**
   * Embeds texts, in evaluation mode and without recording gradients.
   *
   * @param tokens int64 [N, L]
   * @return unit rows [N, P], owned by the enclosing scope or the caller
   */
  public Tensor texts(Tensor tokens) {
    return Scopes.noGrad(() -> forward(tokens, ForwardContext.EVALUATION));
  }

  @Override
  public State state() {
    return new State(TYPE, 1, Map.of("prompts", prompts), stateDict());
  }

  @Override
  public void restore(State state) {
    loadStateDict(state.expect(TYPE, 1).tensors(), true);
  }

  /**
   * The tower that a state holds.
   *
   * @param tower of the model that it was made for; stays the caller's
   * @throws org.outrigger.core.OutriggerException if the state does not fit the tower
   */
  public static NegatedText restored(TextTower tower, State state) {
    double prompts = state.expect(TYPE, 1).number("prompts");
    HyperParameter.between("prompts", prompts, 0, 1_000_000);
    NegatedText made = of(tower, (int) prompts);
    try {
      made.restore(state);
      return made;
    } catch (RuntimeException e) {
      made.close();
      throw e;
    }
  }

  @Override
  public String toString() {
    return "NegatedText(" + prompts + " prompts)";
  }
}
