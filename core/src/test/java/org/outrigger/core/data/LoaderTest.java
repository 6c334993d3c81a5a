package org.outrigger.core.data;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Tensors;

@Timeout(60)
class LoaderTest {
  /** Rows 0 .. n-1 that take a varying time to read; some cannot be. */
  private static final class Slow implements IndexedDataset {
    final int n;
    final Set<Integer> bad;
    final AtomicInteger reads = new AtomicInteger();

    Slow(int n, Integer... bad) {
      this.n = n;
      this.bad = Set.of(bad);
    }

    @Override
    public String name() {
      return "slow";
    }

    @Override
    public long size() {
      return n;
    }

    @Override
    public List<String> classNames() {
      return List.of();
    }

    @Override
    public boolean labelled() {
      return true;
    }

    @Override
    public long[] inputShape() {
      return new long[] {1};
    }

    @Override
    public int label(int row) {
      return row % 2;
    }

    @Override
    public Batch read(int[] rows) {
      reads.incrementAndGet();
      try {
        Thread.sleep(rows[0] % 5);
      } catch (InterruptedException e) {
        throw new IllegalStateException(e);
      }
      float[] values = new float[rows.length];
      int[] labels = new int[rows.length];
      for (int i = 0; i < rows.length; i++) {
        if (bad.contains(rows[i])) {
          throw new UnreadableRow("row" + rows[i], "it is broken");
        }
        values[i] = rows[i];
        labels[i] = label(rows[i]);
      }
      return new Batch(
          Tensors.of(values, rows.length, 1),
          Tensors.labels(labels),
          IntStream.of(rows).mapToObj(Integer::toString).toList(),
          List.of());
    }
  }

  private static List<List<String>> ids(Batches walk) {
    List<List<String>> ids = new ArrayList<>();
    try (walk) {
      while (walk.hasNext()) {
        try (Batch batch = walk.next()) {
          assertThat(batch.ids())
              .isEqualTo(
                  IntStream.range(0, batch.size())
                      .mapToObj(i -> Integer.toString((int) Tensors.floats(batch.inputs())[i]))
                      .toList());
          ids.add(batch.ids());
        }
      }
    }
    return ids;
  }

  /** Reading threads alive; those that are past their work get a moment to end. */
  private static long threadsLeft() throws InterruptedException {
    for (int i = 0; i < 200 && threads() > 0; i++) {
      Thread.sleep(10);
    }
    return threads();
  }

  private static long threads() {
    return Thread.getAllStackTraces().keySet().stream()
        .filter(t -> t.getName().equals("outrigger-loader"))
        .count();
  }

  @Test
  void theOrderDoesNotDependOnTheNumberOfWorkers() {
    Loader loader = Loader.of(new Slow(53, 4, 17, 18)).batchSize(5).shuffle(3);
    List<List<String>> alone = ids(loader.workers(0).epoch(2));
    assertThat(ids(loader.workers(1).epoch(2))).isEqualTo(alone);
    assertThat(ids(loader.workers(4).epoch(2))).isEqualTo(alone);
    assertThat(alone.stream().mapToInt(List::size).sum()).isEqualTo(50);
  }

  @Test
  void eachEpochHasItsOwnOrderThatCanBeResumed() {
    Loader loader = Loader.of(new Slow(40)).batchSize(8).shuffle(11).workers(2);
    List<List<String>> first = ids(loader.epoch(0));
    List<List<String>> second = ids(loader.epoch(1));
    assertThat(second).isNotEqualTo(first).isEqualTo(ids(loader.epoch(1)));
    assertThat(ids(loader.epoch(1, 3))).isEqualTo(second.subList(3, 5));
    assertThat(ids(loader.epoch(1, 9))).isEmpty();
    assertThat(second.stream().flatMap(List::stream).collect(Collectors.toSet())).hasSize(40);
  }

  @Test
  void aSmallerLastBatchCanBeLeftOut() {
    Loader loader = Loader.of(new Slow(10)).batchSize(4);
    assertThat(loader.batchCount()).isEqualTo(3);
    assertThat(ids(loader.epoch(0))).extracting(List::size).containsExactly(4, 4, 2);
    assertThat(loader.dropLast(true).batchCount()).isEqualTo(2);
    assertThat(ids(loader.dropLast(true).epoch(0))).extracting(List::size).containsExactly(4, 4);
  }

  @Test
  void rowsThatCannotBeReadAreNamedInOrder() {
    for (int workers : new int[] {0, 3}) {
      Batches walk =
          Loader.of(new Slow(20, 3, 8, 9, 10, 11, 19)).batchSize(4).workers(workers).epoch(0);
      List<List<String>> ids = ids(walk);
      assertThat(ids.stream().flatMap(List::stream)).hasSize(14).doesNotContain("3", "8", "19");
      assertThat(ids).hasSize(4);
      assertThat(walk.skipped())
          .extracting(Batches.Skipped::id)
          .containsExactly("row3", "row8", "row9", "row10", "row11", "row19");
    }
  }

  @Test
  void strictReadingStopsAtTheFirstUnreadableRow() {
    IndexedDataset data = new Slow(20, 9, 13).strict();
    assertThatThrownBy(() -> ids(data.batches(4)))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("row9")
        .hasMessageContaining("strict");
    assertThat(ids(data.limit(8).batches(4))).hasSize(2);
  }

  @Test
  void batchesInFlightAreBoundedAndClosingStopsTheThreads() throws Exception {
    Slow data = new Slow(1000);
    Batches walk = Loader.of(data).batchSize(2).workers(3).ahead(5).epoch(0);
    assertThat(walk.hasNext()).isTrue();
    Thread.sleep(200);
    assertThat(data.reads.get()).isLessThanOrEqualTo(5);
    assertThat(threads()).isPositive();
    walk.close();
    assertThat(threadsLeft()).isZero();
    assertThat(walk.hasNext()).isFalse();
    assertThat(data.reads.get()).isLessThanOrEqualTo(5);
  }

  @Test
  void otherFailuresReachTheCallerAndEndTheWalk() throws Exception {
    IndexedDataset failing = new Slow(20).subset(0, 1, 2, 3);
    Batches walk = Loader.of(new Failing(failing)).batchSize(1).workers(2).epoch(0);
    assertThatThrownBy(() -> ids(walk)).isInstanceOf(IllegalStateException.class);
    assertThat(walk.hasNext()).isFalse();
    assertThat(threadsLeft()).isZero();
  }

  @Test
  void batchesReadAheadBelongToTheReadersScope() {
    try (Batches walk = Loader.of(new Slow(6)).batchSize(3).workers(2).epoch(0)) {
      Tensor inside;
      try (PointerScope scope = new PointerScope()) {
        assertThat(walk.hasNext()).isTrue();
        inside = walk.next().inputs();
        assertThat(inside.isNull()).isFalse();
      }
      assertThat(inside.isNull()).isTrue();
      // hasNext in no scope, next in one: the scope of next counts.
      assertThat(walk.hasNext()).isTrue();
      try (PointerScope scope = new PointerScope()) {
        inside = walk.next().inputs();
        assertThat(Tensors.floats(inside)).containsExactly(3, 4, 5);
      }
      assertThat(inside.isNull()).isTrue();
      assertThat(walk.hasNext()).isFalse();
    }
    Batch outside;
    try (Batches walk = Loader.of(new Slow(3)).batchSize(3).workers(1).epoch(0)) {
      outside = walk.next();
    }
    assertThat(Tensors.floats(outside.inputs())).containsExactly(0, 1, 2);
    outside.close();
    assertThat(outside.inputs().isNull()).isTrue();
  }

  @Test
  void settingsOutOfRangeAreErrors() {
    Loader loader = Loader.of(new Slow(3));
    assertThatThrownBy(() -> loader.batchSize(0)).hasMessageContaining("batchSize = 0");
    assertThatThrownBy(() -> loader.workers(-1)).hasMessageContaining("workers = -1");
    assertThatThrownBy(() -> loader.ahead(0)).hasMessageContaining("ahead = 0");
  }

  private static final class Failing implements IndexedDataset {
    private final IndexedDataset source;

    Failing(IndexedDataset source) {
      this.source = source;
    }

    @Override
    public String name() {
      return source.name();
    }

    @Override
    public long size() {
      return source.size();
    }

    @Override
    public List<String> classNames() {
      return source.classNames();
    }

    @Override
    public boolean labelled() {
      return false;
    }

    @Override
    public long[] inputShape() {
      return source.inputShape();
    }

    @Override
    public int label(int row) {
      return -1;
    }

    @Override
    public Batch read(int[] rows) {
      if (rows[0] == 2) {
        throw new IllegalStateException("the disk is gone");
      }
      return source.read(rows);
    }
  }
}
