package org.outrigger.core.nn;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Collectors;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;

/**
 * Rows of categorical ids [N, F], whole numbers of any type, to their vectors side by side [N, F
 * D]; the table of column f is the child {@code f}, with as many rows as the column has ids.
 */
public final class EmbeddingTables extends Layer {
  private final List<Integer> rows;

  /**
   * @param rows how many ids each column has: 0 .. rows-1
   * @param size values of a vector
   */
  public EmbeddingTables(List<Integer> rows, long size, Rng rng) {
    this.rows = List.copyOf(rows);
    for (int f = 0; f < rows.size(); f++) {
      child(String.valueOf(f), new Embedding(rows.get(f), size, rng));
    }
  }

  @Override
  protected Tensor compute(Tensor x, ForwardContext context) {
    if (x.dim() != 2 || x.size(1) != rows.size()) {
      throw new OutriggerException(
          "Embedding tables take ids [N, "
              + rows.size()
              + "], not "
              + Arrays.toString(x.shape())
              + ".");
    }
    return Scopes.tensor(
        () -> {
          Tensor ids = x.to(ScalarType.Long);
          List<Tensor> vectors = new ArrayList<>();
          for (int f = 0; f < rows.size(); f++) {
            Tensor column = ids.select(1, f);
            checkIds(f, x.select(1, f), column);
            vectors.add(get(String.valueOf(f)).forward(column, context));
          }
          return torch.cat(new TensorVector(vectors.toArray(new Tensor[0])), 1);
        });
  }

  /** libtorch's own message names neither column nor id. */
  private void checkIds(int f, Tensor given, Tensor column) {
    if (column.numel() == 0) {
      return;
    }
    Tensor bad =
        column
            .lt(new Scalar(0L))
            .logical_or(column.ge(new Scalar((long) rows.get(f))))
            .logical_or(given.ne(column));
    if (bad.any().item_bool()) {
      throw new OutriggerException(
          "Column "
              + f
              + " holds "
              + given.masked_select(bad).select(0, 0).to(ScalarType.Double).item_double()
              + ", but its ids are the whole numbers 0 to "
              + (rows.get(f) - 1)
              + ": number the ids, or set more rows.");
    }
  }

  @Override
  public String toString() {
    return "EmbeddingTables("
        + rows.stream().map(String::valueOf).collect(Collectors.joining("x"))
        + ")";
  }
}
