package org.outrigger.core.neighbour;

import java.util.Objects;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.T_TensorTensor_T;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;

/**
 * Exact nearest neighbours by blocked matrix products and partial sorting. Memory is bounded by the
 * block sizes: at most {@value #QUERIES} x {@value #BANK} products exist at a time.
 *
 * <p>A block of products is not sorted as a whole. Its columns are dealt into groups, and only the
 * k groups with the largest maxima are looked into: the k largest values of a row lie in them,
 * because each of those groups holds one value that is at least as large as all in the others.
 */
public final class NearestNeighbours {
  private static final int QUERIES = 512;
  private static final int BANK = 16384;
  private static final int GROUP = 32;

  private NearestNeighbours() {}

  /**
   * Rows of a bank for each query, best first.
   *
   * @param values [N, k]: inner products, descending, or squared distances, ascending
   * @param indices int64 [N, k]: rows of the bank
   */
  public record Found(Tensor values, Tensor indices) {}

  /**
   * The k largest inner products of each query with the rows of a bank.
   *
   * @param queries [N, D]
   * @param bank [M, D], of the queries' type
   * @param k at most M
   */
  public static Found byProduct(Tensor queries, Tensor bank, int k) {
    check(queries, bank, k);
    return largest(queries, bank, null, k);
  }

  /**
   * The k rows of a bank that are nearest to each query. The distances of the found rows are
   * computed from differences, so that they keep their digits near 0.
   *
   * @param queries [N, D]
   * @param bank [M, D], of the queries' type
   * @param k at most M
   * @return squared Euclidean distances, ascending up to rounding
   */
  public static Found byDistance(Tensor queries, Tensor bank, int k) {
    check(queries, bank, k);
    return Scopes.scoped(
        () -> {
          Found found = largest(queries, bank, halfLengths(bank), k);
          return new Found(
              Scopes.keep(distances(queries, bank, found.indices())), Scopes.keep(found.indices()));
        });
  }

  /**
   * The squared Euclidean distance of each query to its k-th nearest row of the bank.
   *
   * @param halfLengths what {@link #halfLengths} gave for the bank
   * @return [N]
   */
  public static Tensor kthDistance(
      Tensor queries, Tensor bank, @Nullable Tensor halfLengths, int k) {
    check(queries, bank, k);
    return Scopes.tensor(
        () -> {
          Found found = largest(queries, bank, halfLengths, k);
          return distances(queries, bank, found.indices().narrow(1, k - 1, 1)).squeeze(1);
        });
  }

  private static void check(Tensor queries, Tensor bank, int k) {
    Shapes.check().tensor("The bank", bank, "M", "D").tensor("The queries", queries, "N", "D");
    if (k < 1 || k > bank.size(0)) {
      throw new OutriggerException(
          "k = " + k + " neighbours were asked for, but the bank has " + bank.size(0) + " rows.");
    }
    if (queries.scalar_type().intern() != bank.scalar_type().intern()) {
      throw new OutriggerException(
          "The queries have type "
              + queries.scalar_type().intern()
              + ", but the bank has "
              + bank.scalar_type().intern()
              + ".");
    }
  }

  /**
   * -|u|^2 / 2 of each row, [M]: added to the products it turns them into an order by distance.
   * Null where all rows have the same length up to rounding, so that it would change nothing.
   */
  public static @Nullable Tensor halfLengths(Tensor bank) {
    Tensor half = bank.mul(bank).sum(1).mul(new Scalar(-0.5));
    double low = half.amin().item_double();
    double high = half.amax().item_double();
    double rounding = bank.scalar_type().intern() == ScalarType.Double ? 1e-14 : 1e-6;
    return high - low <= -low * rounding ? null : half;
  }

  private static Found largest(Tensor queries, Tensor bank, @Nullable Tensor bias, int k) {
    TensorVector values = new TensorVector();
    TensorVector indices = new TensorVector();
    long rows = queries.size(0);
    for (long from = 0; from < rows; from += QUERIES) {
      Tensor block = queries.narrow(0, from, Math.min(QUERIES, rows - from));
      Found found = scan(block, bank, bias, k);
      values.push_back(found.values());
      indices.push_back(found.indices());
    }
    return new Found(torch.cat(values, 0), torch.cat(indices, 0));
  }

  /** One block of queries against the bank, block by block, keeping the best k so far. */
  private static Found scan(Tensor queries, Tensor bank, @Nullable Tensor bias, int k) {
    return Scopes.scoped(
        () -> {
          long size = bank.size(0);
          @Nullable Found best = null;
          for (long from = 0; from < size; from += BANK) {
            long start = from;
            long length = Math.min(BANK, size - from);
            Found before = best;
            best =
                Scopes.scoped(
                    () -> {
                      Tensor part = bank.narrow(0, start, length).t();
                      Tensor products =
                          bias == null
                              ? queries.mm(part)
                              : torch.addmm(bias.narrow(0, start, length), queries, part);
                      Found here = top(products, (int) Math.min(k, length));
                      Tensor indices = here.indices().add_(new Scalar(start));
                      Found merged =
                          before == null
                              ? new Found(here.values(), indices)
                              : merge(before, here.values(), indices, k);
                      return new Found(
                          Scopes.keep(new Tensor(merged.values())),
                          Scopes.keep(new Tensor(merged.indices())));
                    });
          }
          Found all = Objects.requireNonNull(best);
          return new Found(
              Scopes.keep(new Tensor(all.values())), Scopes.keep(new Tensor(all.indices())));
        });
  }

  private static Found merge(Found best, Tensor values, Tensor indices, int k) {
    Tensor all = torch.cat(new TensorVector(best.values(), values), 1);
    Tensor where = torch.cat(new TensorVector(best.indices(), indices), 1);
    T_TensorTensor_T top = all.topk(Math.min(k, all.size(1)));
    return new Found(top.get0(), where.gather(1, top.get1()));
  }

  /**
   * The k largest of each row, descending, with their columns; exact.
   *
   * @param products [B, M]
   */
  public static Found top(Tensor products, int k) {
    long columns = products.size(1);
    long groups = columns / GROUP;
    if (groups < 2L * k) {
      T_TensorTensor_T top = products.topk(k);
      return new Found(top.get0(), top.get1());
    }
    long dealt = groups * GROUP;
    // Group g holds the columns g, g + groups, g + 2 groups ...: maxima run over whole rows.
    Tensor table = products.narrow(1, 0, dealt).unflatten(1, GROUP, groups);
    Tensor chosen = table.amax(new long[] {1}, false).topk(k, 1, true, false).get1(); // [B, k]
    Tensor steps =
        torch
            .arange(
                new Scalar(0),
                new Scalar(dealt),
                new Scalar(groups),
                new TensorOptions(ScalarType.Long))
            .unsqueeze(1);
    Tensor candidates = chosen.unsqueeze(1).add(steps).flatten(1, -1); // [B, GROUP * k]
    if (dealt < columns) {
      Tensor rest =
          torch.arange(new Scalar(dealt), new Scalar(columns), new TensorOptions(ScalarType.Long));
      candidates =
          torch.cat(
              new TensorVector(
                  candidates, rest.unsqueeze(0).expand(products.size(0), columns - dealt)),
              1);
    }
    T_TensorTensor_T top = products.gather(1, candidates).topk(k);
    return new Found(top.get0(), candidates.gather(1, top.get1()));
  }

  /** Squared distances to chosen rows, [N, K], from differences. */
  public static Tensor distances(Tensor queries, Tensor bank, Tensor indices) {
    TensorVector columns = new TensorVector();
    for (long j = 0; j < indices.size(1); j++) {
      long column = j;
      columns.push_back(
          Scopes.tensor(
              () -> {
                Tensor apart = bank.index_select(0, indices.select(1, column)).sub_(queries);
                return apart.mul_(apart).sum(1);
              }));
    }
    return torch.stack(columns, 1);
  }
}
