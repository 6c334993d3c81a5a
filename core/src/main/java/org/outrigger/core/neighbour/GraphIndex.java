package org.outrigger.core.neighbour;

import io.github.jbellis.jvector.disk.ByteBufferReader;
import io.github.jbellis.jvector.graph.GraphIndexBuilder;
import io.github.jbellis.jvector.graph.GraphSearcher;
import io.github.jbellis.jvector.graph.OnHeapGraphIndex;
import io.github.jbellis.jvector.graph.RandomAccessVectorValues;
import io.github.jbellis.jvector.graph.SearchResult;
import io.github.jbellis.jvector.graph.diversity.VamanaDiversityProvider;
import io.github.jbellis.jvector.graph.similarity.BuildScoreProvider;
import io.github.jbellis.jvector.util.Bits;
import io.github.jbellis.jvector.vector.VectorSimilarityFunction;
import io.github.jbellis.jvector.vector.VectorizationProvider;
import io.github.jbellis.jvector.vector.types.VectorFloat;
import io.github.jbellis.jvector.vector.types.VectorTypeSupport;
import java.io.ByteArrayOutputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.util.Arrays;
import java.util.stream.IntStream;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

/**
 * Approximate nearest neighbours in a bank that is too large to compare with row by row: a graph
 * that JVector builds and walks. It is built by all cores at once, so that two graphs of one bank
 * differ in places; a saved one is the same when it is loaded.
 */
public final class GraphIndex {
  private static final VectorSimilarityFunction SIMILARITY = VectorSimilarityFunction.EUCLIDEAN;
  private static final int DEGREE = 32;
  private static final int BEAM = 100;
  private static final float OVERFLOW = 1.2f;
  private static final float ALPHA = 1.2f;
  private static final int SLICE = 1 << 28;

  private final OnHeapGraphIndex graph;
  private final Bank bank;

  private GraphIndex(OnHeapGraphIndex graph, Bank bank) {
    this.graph = graph;
    this.bank = bank;
  }

  /**
   * The graph of a bank, in its saved form.
   *
   * @param rows float32 [M, D]
   * @return uint8 [B]
   */
  public static Tensor build(Tensor rows) {
    Bank bank = new Bank(rows);
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    try (GraphIndexBuilder builder =
        new GraphIndexBuilder(
            scores(bank), bank.dimension(), DEGREE, BEAM, OVERFLOW, ALPHA, true)) {
      ((OnHeapGraphIndex) builder.build(bank)).save(new DataOutputStream(bytes));
    } catch (IOException e) {
      throw new OutriggerException("The graph of the bank could not be built: " + e, e);
    }
    return Tensors.of(ByteBuffer.wrap(bytes.toByteArray()), ScalarType.Byte, bytes.size());
  }

  /**
   * A graph ready to be walked.
   *
   * @param saved what {@link #build} gave
   * @param rows the same bank; it must live as long as the graph
   */
  public static GraphIndex load(Tensor saved, Tensor rows) {
    Bank bank = new Bank(rows);
    ByteBuffer bytes = Tensors.bytes(saved).duplicate().order(ByteOrder.BIG_ENDIAN);
    try (ByteBufferReader reader = new ByteBufferReader(bytes)) {
      OnHeapGraphIndex graph =
          OnHeapGraphIndex.load(
              reader, bank.dimension(), OVERFLOW, new VamanaDiversityProvider(scores(bank), ALPHA));
      if (graph.size(0) != bank.size()) {
        throw new OutriggerException(
            "The saved graph has "
                + graph.size(0)
                + " nodes, but the bank has "
                + bank.size()
                + " rows: the file is damaged.");
      }
      return new GraphIndex(graph, bank);
    } catch (IOException | IndexOutOfBoundsException | java.nio.BufferUnderflowException e) {
      throw new OutriggerException("The saved graph cannot be read: the file is damaged.", e);
    }
  }

  private static BuildScoreProvider scores(Bank bank) {
    return BuildScoreProvider.randomAccessScoreProvider(bank, SIMILARITY);
  }

  /**
   * The rows that the walk finds nearest to each query, nearest first.
   *
   * @param queries float32 [N, D]
   * @return int64 [N, k]; a row of -1 where fewer than k were reached
   */
  public Tensor search(Tensor queries, int k) {
    int count = Math.toIntExact(queries.size(0));
    int dimension = bank.dimension();
    float[] rows = Tensors.floats(queries);
    long[] found = new long[Math.multiplyExact(count, k)];
    IntStream.range(0, count)
        .parallel()
        .forEach(
            i -> {
              float[] row = Arrays.copyOfRange(rows, i * dimension, (i + 1) * dimension);
              SearchResult result =
                  GraphSearcher.search(
                      Bank.TYPES.createFloatVector(row),
                      k,
                      Math.max(2 * k, BEAM),
                      bank,
                      SIMILARITY,
                      graph,
                      Bits.ALL);
              SearchResult.NodeScore[] nodes = result.getNodes();
              for (int j = 0; j < k; j++) {
                found[i * k + j] = nodes.length < k ? -1 : nodes[j].node;
              }
            });
    return Tensors.of(found, count, k);
  }

  /** JVector's view of a float32 matrix in native memory; rows are copied as they are asked for. */
  private static final class Bank implements RandomAccessVectorValues {
    private static final VectorTypeSupport TYPES =
        VectorizationProvider.getInstance().getVectorTypeSupport();

    private final int size;
    private final int dimension;
    private final int rowsPerSlice;
    private final FloatBuffer[] slices;

    Bank(Tensor rows) {
      size = Math.toIntExact(rows.size(0));
      dimension = Math.toIntExact(rows.size(1));
      rowsPerSlice = Math.max(1, SLICE / dimension);
      slices = new FloatBuffer[(size + rowsPerSlice - 1) / rowsPerSlice];
      Scopes.run(
          () -> {
            for (int i = 0; i < slices.length; i++) {
              long from = (long) i * rowsPerSlice;
              slices[i] =
                  Tensors.bytes(rows.narrow(0, from, Math.min(rowsPerSlice, size - from)))
                      .asFloatBuffer();
            }
          });
    }

    @Override
    public int size() {
      return size;
    }

    @Override
    public int dimension() {
      return dimension;
    }

    @Override
    public VectorFloat<?> getVector(int node) {
      float[] row = new float[dimension];
      slices[node / rowsPerSlice].get(node % rowsPerSlice * dimension, row);
      return TYPES.createFloatVector(row);
    }

    @Override
    public boolean isValueShared() {
      return false;
    }

    @Override
    public RandomAccessVectorValues copy() {
      return this;
    }
  }
}
