package org.outrigger.core.nn.liquid;

import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.core.nn.ForwardContext;
import org.outrigger.core.nn.Init;
import org.outrigger.core.nn.Layer;
import org.outrigger.core.nn.Linear;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;

/**
 * A cell ({@code rnn_cell}) with what the authors' sequence wrapper adds: an LSTM memory that runs
 * before it on the same state ({@code lstm}), for dependencies that outlast its time constants, and
 * an output layer ({@code fc}). With the memory the state is the cell's followed by the LSTM's, [B,
 * 2 S].
 */
public final class LiquidNetwork extends LiquidCell {
  private final LiquidCell cell;

  /**
   * @param cell belongs to this network from then on
   * @param mixedMemory whether an LSTM runs before it
   * @param projected values of the output layer; 0 for none
   */
  public LiquidNetwork(LiquidCell cell, boolean mixedMemory, long projected, Rng rng) {
    super(
        cell.inputs(),
        projected > 0 ? projected : cell.outputs(),
        (mixedMemory ? 2 : 1) * cell.stateSize());
    this.cell = child("rnn_cell", cell);
    if (mixedMemory) {
      child("lstm", new Memory(cell.inputs(), cell.stateSize(), rng));
    }
    if (projected > 0) {
      child("fc", new Linear(cell.outputs(), projected, rng));
    }
  }

  @Override
  public void constrain() {
    cell.constrain();
  }

  @Override
  Steps advance(Tensor input, Tensor state, Tensor elapsed, ForwardContext context) {
    Memory lstm = (Memory) children().get("lstm");
    Steps step;
    if (lstm == null) {
      step = cell.advance(input, state, elapsed, context);
    } else {
      Tensor[] memory =
          lstm.step(input, state.chunk(2, 1).get(0), state.chunk(2, 1).get(1), context);
      Steps inner = cell.advance(input, memory[0], elapsed, context);
      step = new Steps(inner.outputs(), torch.cat(new TensorVector(inner.states(), memory[1]), 1));
    }
    Layer fc = children().get("fc");
    return fc == null ? step : new Steps(fc.forward(step.outputs(), context), step.states());
  }

  @Override
  public String toString() {
    return "LiquidNetwork(" + inputs() + " -> " + outputs() + ")";
  }

  /** An LSTM step with a forget gate that starts open: its bias has 1 added. */
  private static final class Memory extends Layer {
    Memory(long inputs, long hidden, Rng rng) {
      Linear in = child("input_map", new Linear(inputs, 4 * hidden, rng));
      Linear recurrent = child("recurrent_map", new Linear(hidden, 4 * hidden, false, rng));
      Scopes.run(
          () ->
              Scopes.grad(
                  false,
                  () -> {
                    in.tensor("weight").copy_(Init.xavierUniform(rng, 4 * hidden, inputs));
                    var qr = torch.linalg_qr(rng.normal(4 * hidden, hidden), "reduced");
                    Tensor signs = qr.get1().diagonal().sign();
                    return recurrent.tensor("weight").copy_(qr.get0().mul(signs));
                  }));
    }

    /** The new h and c, [B, H] each. */
    Tensor[] step(Tensor input, Tensor h, Tensor c, ForwardContext context) {
      Tensor z =
          get("input_map").forward(input, context).add(get("recurrent_map").forward(h, context));
      TensorVector gates = z.chunk(4, 1);
      Tensor cell =
          c.mul(gates.get(2).add(new Scalar(1.0)).sigmoid())
              .add(gates.get(0).tanh().mul(gates.get(1).sigmoid()));
      return new Tensor[] {cell.tanh().mul(gates.get(3).sigmoid()), cell};
    }

    @Override
    protected Tensor compute(Tensor x, ForwardContext context) {
      throw new UnsupportedOperationException("an LSTM memory runs step by step");
    }
  }
}
