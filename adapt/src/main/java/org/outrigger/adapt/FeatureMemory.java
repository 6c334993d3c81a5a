package org.outrigger.adapt;

import org.bytedeco.pytorch.BoolOptional;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.T_TensorTensor_T;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.neighbour.GraphIndex;
import org.outrigger.core.neighbour.NearestNeighbours;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;

/**
 * Unit features with labels: rows of the source, which stay, and rows of a stream, which join and,
 * where their number is bounded, push out the oldest of the stream. Neighbours among the rows of
 * the stream are always exact; among those of the source they are approximate beyond a number of
 * rows.
 *
 * <p>All of it is kept in two {@link Memory}s, whose owner saves and restores them.
 */
public final class FeatureMemory {
  private static final String FEATURES = "features";
  private static final String LABELS = "labels";
  private static final String GRAPH = "graph";
  private static final String SIZE = "size";
  private static final String NEXT = "next";
  private static final long FIRST_ROOM = 256;

  private final Memory source;
  private final Memory stream;
  private final long capacity;
  private @Nullable GraphIndex graph;
  private @Nullable Tensor loaded;

  /**
   * @param source holds the rows of the source
   * @param stream holds the rows of the stream
   * @param capacity the most rows of the stream; 0 for no bound
   */
  public FeatureMemory(Memory source, Memory stream, long capacity) {
    this.source = source;
    this.stream = stream;
    this.capacity = capacity;
  }

  /**
   * The nearest rows of some queries.
   *
   * @param similarities cosines, [B, k]
   * @param labels int64 [B, k]
   * @param indices int64 [B, k]: rows in the order of {@link #features()}
   */
  public record Neighbours(Tensor similarities, Tensor labels, Tensor indices) {}

  /**
   * Takes over the rows of the source.
   *
   * @param features [M, D], of any length
   * @param labels int64 [M]
   * @param graphAbove beyond so many rows a graph finds neighbours among them, if they are float32
   */
  public void learn(Tensor features, Tensor labels, long graphAbove) {
    Shapes.check().tensor("The features", features, "M", "D").tensor("The labels", labels, "M");
    Scopes.run(
        () -> {
          Tensor unit = torch.normalize(features);
          source.put(FEATURES, unit);
          source.put(LABELS, labels);
          source.remove(GRAPH);
          if (unit.size(0) > graphAbove && unit.scalar_type().intern() == ScalarType.Float) {
            source.put(GRAPH, GraphIndex.build(unit));
          }
        });
    restored();
  }

  /** Takes note that the rows were replaced, and checks that they fit together. */
  public void restored() {
    Shapes shapes =
        Shapes.check()
            .tensor("The saved features of the source", source.tensor(FEATURES), "M", "D")
            .tensor("The saved labels of the source", source.tensor(LABELS), "M");
    Tensor rows = stream.find(FEATURES);
    if (rows != null) {
      shapes
          .tensor("The saved features of the stream", rows, "R", "D")
          .tensor("The saved labels of the stream", stream.tensor(LABELS), "R");
    }
    long room = rows == null ? 0 : rows.size(0);
    if (joined() < 0 || joined() > room || next() < 0 || next() > room) {
      throw new OutriggerException(
          "The saved memory says that it holds "
              + joined()
              + " rows of the stream, but has room for "
              + room
              + ": the file is damaged.");
    }
    Tensor saved = source.find(GRAPH);
    if (saved != loaded) {
      graph = saved == null ? null : GraphIndex.load(saved, source.tensor(FEATURES));
      loaded = saved;
    }
  }

  /** The width D of the features. */
  public long width() {
    return source.tensor(FEATURES).size(1);
  }

  /** How many rows of the source there are. */
  public long known() {
    return source.tensor(FEATURES).size(0);
  }

  /** How many rows of the stream there are. */
  public long joined() {
    return (long) stream.number(SIZE, 0);
  }

  /** How many rows there are in all. */
  public long size() {
    return known() + joined();
  }

  private long next() {
    return (long) stream.number(NEXT, 0);
  }

  /** All unit features, those of the source first, [size, D]. */
  public Tensor features() {
    return all(FEATURES);
  }

  /** All labels, those of the source first, int64 [size]. */
  public Tensor labels() {
    return all(LABELS);
  }

  private Tensor all(String name) {
    Tensor known = source.tensor(name);
    return joined() == 0 ? new Tensor(known) : torch.cat(new TensorVector(known, used(name)), 0);
  }

  private Tensor used(String name) {
    return stream.tensor(name).narrow(0, 0, joined());
  }

  /**
   * The rows with the largest cosines; of equal ones those with the lower indices.
   *
   * @param unit queries of unit length, [B, D]; no gradient flows through the result
   * @param k how many, 1 or more; all rows if there are fewer
   */
  public Neighbours nearest(Tensor unit, int k) {
    if (unit.size(1) != width()) {
      throw new OutriggerException(
          "The memory holds features of width "
              + width()
              + ", but these have "
              + unit.size(1)
              + ": use the model that it was started on.");
    }
    return Scopes.scoped(
        () ->
            Scopes.grad(
                false,
                () -> {
                  int wanted = (int) Math.min(k, size());
                  // One more shows whether the choice of the last was one between equals.
                  NearestNeighbours.Found found =
                      search(unit.detach(), (int) Math.min(k + 1L, size()));
                  Tensor values = found.values();
                  Tensor indices = found.indices();
                  if (values.size(1) > wanted) {
                    Tensor tied = values.select(1, wanted - 1).eq(values.select(1, wanted));
                    values = values.narrow(1, 0, wanted);
                    indices = indices.narrow(1, 0, wanted);
                    if (tied.any().item_bool()) {
                      T_TensorTensor_T sorted =
                          unit.detach().mm(features().t()).sort(new BoolOptional(true), 1, true);
                      values = sorted.get0().narrow(1, 0, wanted);
                      indices = sorted.get1().narrow(1, 0, wanted);
                    }
                  }
                  Tensor labels = labels().index_select(0, indices.flatten()).view(indices.shape());
                  return new Neighbours(
                      Scopes.keep(new Tensor(values)),
                      Scopes.keep(labels),
                      Scopes.keep(new Tensor(indices)));
                }));
  }

  private NearestNeighbours.Found search(Tensor unit, int k) {
    NearestNeighbours.Found among = amongSource(unit, (int) Math.min(k, known()));
    if (joined() == 0) {
      return among;
    }
    NearestNeighbours.Found later =
        NearestNeighbours.byProduct(unit, used(FEATURES), (int) Math.min(k, joined()));
    Tensor values = torch.cat(new TensorVector(among.values(), later.values()), 1);
    Tensor indices =
        torch.cat(new TensorVector(among.indices(), later.indices().add(new Scalar(known()))), 1);
    T_TensorTensor_T top = values.topk(k);
    return new NearestNeighbours.Found(top.get0(), indices.gather(1, top.get1()));
  }

  private NearestNeighbours.Found amongSource(Tensor unit, int k) {
    Tensor bank = source.tensor(FEATURES);
    GraphIndex walk = graph;
    if (walk != null) {
      Tensor found = walk.search(unit, k);
      if (found.amin().item_long() >= 0) {
        Tensor rows = bank.index_select(0, found.flatten()).view(found.size(0), k, -1);
        return new NearestNeighbours.Found(rows.matmul(unit.unsqueeze(2)).squeeze(2), found);
      }
    }
    return NearestNeighbours.byProduct(unit, bank, k);
  }

  /**
   * Adds rows of the stream.
   *
   * @param unit features of unit length, [n, D]; n may be 0
   * @param labels int64 [n]
   */
  public void add(Tensor unit, Tensor labels) {
    long rows = unit.size(0);
    if (rows == 0) {
      return;
    }
    Scopes.run(
        () -> {
          if (capacity > 0 && rows > capacity) {
            put(
                unit.narrow(0, rows - capacity, capacity),
                labels.narrow(0, rows - capacity, capacity));
          } else {
            put(unit, labels);
          }
        });
  }

  private void put(Tensor unit, Tensor labels) {
    long rows = unit.size(0);
    long room = makeRoom(unit, labels, next() + rows);
    long first = Math.min(rows, room - next());
    copy(unit, labels, 0, first, next());
    copy(unit, labels, first, rows - first, 0);
    stream.put(SIZE, (double) Math.min(joined() + rows, room));
    stream.put(NEXT, (double) (next() + rows > room ? rows - first : next() + rows));
  }

  private void copy(Tensor unit, Tensor labels, long from, long rows, long to) {
    if (rows > 0) {
      stream.tensor(FEATURES).narrow(0, to, rows).copy_(unit.narrow(0, from, rows));
      stream.tensor(LABELS).narrow(0, to, rows).copy_(labels.narrow(0, from, rows));
    }
  }

  /** Doubles the room until so many rows fit or the capacity is reached; gives the room. */
  private long makeRoom(Tensor unit, Tensor labels, long wanted) {
    Tensor old = stream.find(FEATURES);
    long room = old == null ? 0 : old.size(0);
    long most = capacity > 0 ? capacity : Long.MAX_VALUE;
    if (wanted <= room || room == most) {
      return room;
    }
    long larger = Math.min(most, Math.max(wanted, Math.max(FIRST_ROOM, 2 * room)));
    Tensor features = unit.new_zeros(larger, unit.size(1));
    Tensor classes = labels.new_zeros(larger);
    if (old != null) {
      features.narrow(0, 0, room).copy_(old);
      classes.narrow(0, 0, room).copy_(stream.tensor(LABELS));
    }
    stream.put(FEATURES, features);
    stream.put(LABELS, classes);
    return larger;
  }
}
