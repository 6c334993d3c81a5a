package org.outrigger.core.nn.liquid;

import java.util.ArrayList;
import java.util.List;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.core.nn.Activation;
import org.outrigger.core.nn.ForwardContext;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;

/**
 * Closed-form cells along a wiring: one sparse {@link CfcCell} a layer of neurons ({@code layer_0},
 * {@code layer_1}, ...), chained within a step, so that a layer sees the new state of the one
 * before it. As in the authors' code only the synapses between successive layers are sparse, and
 * each layer is recurrent upon itself without a mask. The state is that of the layers one after
 * another, which is not the order of the neurons' numbers; the output is that of the last layer.
 */
public final class WiredCfcCell extends LiquidCell {
  private final Wiring wiring;

  public WiredCfcCell(Wiring wiring, CfcCell.Mode mode, Rng rng) {
    super(wiring.inputs(), last(wiring).length, wiring.units());
    this.wiring = wiring;
    CfcCell.Settings settings = new CfcCell.Settings(mode, 1, 0, 0, Activation.Kind.LECUN_TANH);
    for (int l = 0; l < wiring.layers().size(); l++) {
      int layer = l;
      long inputs = l == 0 ? wiring.inputs() : wiring.layers().get(l - 1).length;
      long hidden = wiring.layers().get(l).length;
      child(
          "layer_" + l,
          Scopes.scoped(() -> new CfcCell(inputs, hidden, settings, wiring.mask(layer), rng)));
    }
  }

  private static int[] last(Wiring wiring) {
    return wiring.layers().get(wiring.layers().size() - 1);
  }

  public Wiring wiring() {
    return wiring;
  }

  @Override
  Steps advance(Tensor input, Tensor state, Tensor elapsed, ForwardContext context) {
    List<Tensor> states = new ArrayList<>();
    Tensor x = input;
    long from = 0;
    for (int l = 0; l < wiring.layers().size(); l++) {
      LiquidCell layer = (LiquidCell) get("layer_" + l);
      x = layer.advance(x, state.narrow(1, from, layer.stateSize()), elapsed, context).states();
      from += layer.stateSize();
      states.add(x);
    }
    return new Steps(x, torch.cat(new TensorVector(states.toArray(new Tensor[0])), 1));
  }

  @Override
  public String toString() {
    return "WiredCfcCell(" + inputs() + " -> " + stateSize() + " -> " + outputs() + ")";
  }
}
