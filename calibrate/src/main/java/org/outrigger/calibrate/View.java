package org.outrigger.calibrate;

import java.util.function.UnaryOperator;
import org.bytedeco.pytorch.Tensor;

/**
 * A change of inputs that keeps their labels, through which a calibrator looks at an input once
 * more.
 *
 * <pre>{@code
 * View louder = View.of("gain 1.2", x -> x.mul(new Scalar(1.2)));
 * }</pre>
 */
public interface View {
  /** Its name with its parameters; a fitted calibrator demands views of the same names again. */
  String name();

  /**
   * Changes inputs row by row: a row must come out alike in every batch and at every time, so what
   * is random is drawn from the row itself, see {@link org.outrigger.core.torch.RowDraws}.
   *
   * @param inputs [N, ...], as the model takes them; left as they are
   * @return of that shape and type
   */
  Tensor apply(Tensor inputs);

  /** A view of that name. */
  static View of(String name, UnaryOperator<Tensor> change) {
    return new View() {
      @Override
      public String name() {
        return name;
      }

      @Override
      public Tensor apply(Tensor inputs) {
        return change.apply(inputs);
      }
    };
  }
}
