package org.outrigger.calibrate;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.Batch;
import org.outrigger.core.data.Batches;
import org.outrigger.core.data.Dataset;
import org.outrigger.core.model.Model;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;

/**
 * Leads data and their views through the model. Rows that cannot be read are skipped, as they were
 * where the logits come from.
 */
final class ViewedRows {
  private static final int BATCH = 128;

  private ViewedRows() {}

  /** The standard deviations of the columns, float64 [D]. */
  static Tensor spread(Dataset data, long rows) {
    Tensor[] sums = {};
    long seen = 0;
    try (Batches batches = data.batches(BATCH)) {
      while (batches.hasNext()) {
        try (PointerScope scope = new PointerScope();
            Batch batch = batches.next()) {
          Tensor x = batch.inputs().to(ScalarType.Double);
          Tensor sum = x.sum(0);
          Tensor square = x.mul(x).sum(0);
          seen += batch.size();
          if (sums.length == 0) {
            sums = new Tensor[] {Scopes.own(sum), Scopes.own(square)};
          } else {
            sums[0].add_(sum);
            sums[1].add_(square);
          }
        }
      }
      requireRows(seen, rows);
      Tensor mean = sums[0].div(new Scalar((double) seen));
      return sums[1]
          .div(new Scalar((double) seen))
          .sub(mean.mul(mean))
          .clamp_min(new Scalar(0.0))
          .sqrt();
    } finally {
      Arrays.stream(sums).forEach(Scopes::release);
    }
  }

  /** What the network will see of all rows, float64 [N, V k]. */
  static Tensor collect(
      int k, Model model, Dataset data, Tensor z, double scale, List<View> views) {
    List<Tensor> parts = new ArrayList<>();
    try (Batches batches = data.batches(BATCH)) {
      long from = 0;
      while (batches.hasNext()) {
        try (PointerScope scope = new PointerScope();
            Batch batch = batches.next()) {
          if (from + batch.size() > z.size(0)) {
            requireRows(from + batch.size(), z.size(0));
          }
          Tensor mine = z.narrow(0, from, batch.size());
          if (from == 0) {
            requireSame(model.predict(batch.inputs()).logits(), mine);
          }
          parts.add(Scopes.own(seen(k, model, batch.inputs(), mine, scale, views)));
          from += batch.size();
        }
      }
      requireRows(from, z.size(0));
      return Scopes.tensor(() -> torch.cat(new TensorVector(parts.toArray(new Tensor[0])), 0));
    } finally {
      parts.forEach(Scopes::release);
    }
  }

  private static void requireRows(long data, long logits) {
    if (data != logits) {
      throw new OutriggerException(
          "The data have "
              + data
              + (data > logits ? " rows or more" : " rows")
              + ", but there are logits of "
              + logits
              + ": give the logits of these very rows, in their order.");
    }
  }

  private static void requireSame(Tensor now, Tensor given) {
    Tensor apart = now.to(ScalarType.Double).sub(given).abs().amax();
    double allowed = 1e-3 * (1 + given.abs().amax().item_double());
    if (!(apart.item_double() <= allowed)) {
      throw new OutriggerException(
          "The logits are not what the model gives for these data (they differ by up to "
              + apart.item_double()
              + "): give the same model, and the same rows in the same order.");
    }
  }

  /** What the network sees of a batch, float64 [N, V k]. */
  static Tensor seen(int k, Model model, Tensor inputs, Tensor z, double scale, List<View> views) {
    return Scopes.noGrad(
        () -> {
          List<Tensor> logits = new ArrayList<>();
          for (View view : views) {
            Tensor changed = view.apply(inputs);
            if (!Arrays.equals(changed.shape(), inputs.shape())) {
              throw new OutriggerException(
                  "The view '"
                      + view.name()
                      + "' turns inputs of shape "
                      + Arrays.toString(inputs.shape())
                      + " into "
                      + Arrays.toString(changed.shape())
                      + ": it must keep the shape.");
            }
            Tensor says = model.predict(changed).logits().to(ScalarType.Double);
            String name = "The logits of the view '" + view.name() + "'";
            Shapes.check()
                .size("N", z.size(0), "logits")
                .size("C", z.size(1), "logits")
                .tensor(name, says, "N", "C");
            Shapes.finite(name, says);
            logits.add(says.div(new Scalar(scale)));
          }
          return AdaptiveTemperature.features(z, logits, k);
        });
  }
}
