package org.outrigger.core.data;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Deque;
import java.util.List;
import java.util.NoSuchElementException;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Torch;

/**
 * Batches over an {@link IndexedDataset}: shuffled anew for each epoch, read ahead by worker
 * threads. The order of rows and batches depends on the seed and the epoch alone, never on the
 * number of workers or their timing. At most {@link #ahead} batches wait in memory.
 *
 * <pre>{@code
 * Loader loader = Loader.of(data).batchSize(128).shuffle(seed);
 * for (int epoch = 0; epoch < 10; epoch++) {
 *   try (Batches batches = loader.epoch(epoch)) {
 *     while (batches.hasNext()) {
 *       try (Batch batch = batches.next()) { ... }
 *     }
 *   }
 * }
 * }</pre>
 *
 * <p>Rows that cannot be read are left out of their batch (which is smaller then) and reported by
 * {@link Batches#skipped()}; {@code data.strict()} stops at the first instead. Loaders are
 * immutable: each setting returns a new one.
 *
 * @param data what is read
 * @param batchSize rows a batch, at least 1
 * @param seed of the shuffling, or null to keep the order of the rows
 * @param dropLast whether a last batch with fewer rows is left out
 * @param workers threads that read ahead; 0 reads in the caller's thread
 * @param ahead how many batches may be read or waiting at a time, at least 1
 */
public record Loader(
    IndexedDataset data,
    int batchSize,
    @Nullable Long seed,
    boolean dropLast,
    int workers,
    int ahead) {

  public Loader {
    require("batchSize", batchSize, 1);
    require("workers", workers, 0);
    require("ahead", ahead, 1);
  }

  /** A loader of 64 rows a batch, in order, with workers unless the data is in memory. */
  public static Loader of(IndexedDataset data) {
    int workers = data.inMemory() ? 0 : Math.min(4, Runtime.getRuntime().availableProcessors());
    return new Loader(data, 64, null, false, workers, Math.max(1, 2 * workers));
  }

  private static void require(String name, int value, int least) {
    if (value < least) {
      throw new OutriggerException(
          name + " = " + value + " is out of range: use " + least + " or more.");
    }
  }

  /** The same with that many rows a batch. */
  public Loader batchSize(int rows) {
    return new Loader(data, rows, seed, dropLast, workers, ahead);
  }

  /** The same with another order in each epoch. */
  public Loader shuffle(long seed) {
    return new Loader(data, batchSize, seed, dropLast, workers, ahead);
  }

  /** The same without a smaller last batch. */
  public Loader dropLast(boolean drop) {
    return new Loader(data, batchSize, seed, drop, workers, ahead);
  }

  /** The same with that many reading threads, and twice as many batches ahead. */
  public Loader workers(int threads) {
    return new Loader(data, batchSize, seed, dropLast, threads, Math.max(1, 2 * threads));
  }

  /** The same with that many batches in flight at most. */
  public Loader ahead(int batches) {
    return new Loader(data, batchSize, seed, dropLast, workers, batches);
  }

  /** How many batches an epoch has. */
  public int batchCount() {
    long size = data.size();
    return Math.toIntExact(dropLast ? size / batchSize : (size + batchSize - 1) / batchSize);
  }

  /** The order of the rows in that epoch, from 0. */
  public int[] order(int epoch) {
    int size = Math.toIntExact(data.size());
    return seed == null
        ? Splits.range(size)
        : Splits.permutation(size, Rng.derive(seed, "epoch " + epoch));
  }

  /** Starts that epoch, from 0. */
  public Batches epoch(int epoch) {
    return epoch(epoch, 0);
  }

  /**
   * Starts that epoch behind its first batches, to resume a run in the middle.
   *
   * @param skip how many batches to leave out, without reading them
   */
  public Batches epoch(int epoch, int skip) {
    require("skip", skip, 0);
    Torch.start();
    return new Walk(this, order(epoch), skip);
  }

  /** A batch read, or null if none of its rows could be, and what was left out. */
  private record Loaded(@Nullable Batch batch, List<Batches.Skipped> skipped) {}

  private Loaded load(int[] rows) {
    try {
      return new Loaded(data.read(rows), List.of());
    } catch (UnreadableRow e) {
      if (rows.length == 1) {
        return new Loaded(null, List.of(new Batches.Skipped(e.id(), e.reason())));
      }
      // Halving finds the bad rows with few reads when they are few, as they should be.
      int half = rows.length / 2;
      Loaded left = load(Arrays.copyOf(rows, half));
      Loaded right = load(Arrays.copyOfRange(rows, half, rows.length));
      List<Batches.Skipped> skipped = new ArrayList<>(left.skipped());
      skipped.addAll(right.skipped());
      return new Loaded(join(left.batch(), right.batch()), skipped);
    }
  }

  /** Reads in a scope of its own; the batch that is left belongs to no scope and no thread. */
  private Loaded loadUnowned(int[] rows) {
    return Scopes.scoped(
        () -> {
          Loaded loaded = load(rows);
          Batch batch = loaded.batch();
          if (batch == null) {
            return loaded;
          }
          Tensor labels = batch.labels();
          return new Loaded(
              new Batch(
                  Scopes.own(batch.inputs()),
                  labels == null ? null : Scopes.own(labels),
                  batch.ids(),
                  batch.times()),
              loaded.skipped());
        });
  }

  /** Hands an unowned batch to the scope of this thread, or to the caller if there is none. */
  private static Batch adopt(Batch batch) {
    Tensor labels = batch.labels();
    Batch own =
        new Batch(
            new Tensor(batch.inputs()),
            labels == null ? null : new Tensor(labels),
            batch.ids(),
            batch.times());
    batch.close();
    return own;
  }

  private static @Nullable Batch join(@Nullable Batch a, @Nullable Batch b) {
    if (a == null) {
      return b;
    }
    if (b == null) {
      return a;
    }
    Tensor inputs = torch.cat(new TensorVector(a.inputs(), b.inputs()), 0);
    Tensor labels =
        a.labels() == null || b.labels() == null
            ? null
            : torch.cat(new TensorVector(a.labels(), b.labels()), 0);
    List<String> ids = new ArrayList<>(a.ids());
    ids.addAll(b.ids());
    List<String> times = new ArrayList<>(a.times());
    times.addAll(b.times());
    return new Batch(inputs, labels, ids, times);
  }

  private static void close(@Nullable Batch batch) {
    if (batch != null) {
      batch.close();
    }
  }

  /** Reading tasks are queued in batch order and taken in batch order, whoever finishes first. */
  private static final class Walk implements Batches {
    private final Loader loader;
    private final int[] order;
    private final int end;
    private final Deque<Future<Loaded>> inFlight = new ArrayDeque<>();
    private final List<Skipped> skipped = new ArrayList<>();
    private final @Nullable ThreadPoolExecutor pool;
    private int nextStart;
    private @Nullable Batch ready;
    private boolean closed;

    Walk(Loader loader, int[] order, int skip) {
      this.loader = loader;
      this.order = order;
      end = (int) Math.min(order.length, (long) loader.batchCount() * loader.batchSize);
      nextStart = (int) Math.min(end, (long) skip * loader.batchSize);
      pool = loader.workers == 0 || nextStart >= end ? null : pool(loader.workers);
    }

    private static ThreadPoolExecutor pool(int threads) {
      ThreadPoolExecutor pool =
          new ThreadPoolExecutor(
              threads,
              threads,
              2,
              TimeUnit.SECONDS,
              new LinkedBlockingQueue<>(),
              work -> {
                Thread thread = new Thread(work, "outrigger-loader");
                thread.setDaemon(true);
                return thread;
              });
      // A walk that is dropped without being closed leaves no thread behind for long.
      pool.allowCoreThreadTimeOut(true);
      return pool;
    }

    @Override
    public List<Skipped> skipped() {
      return List.copyOf(skipped);
    }

    @Override
    public boolean hasNext() {
      while (ready == null && !closed && (nextStart < end || !inFlight.isEmpty())) {
        try {
          Loaded loaded = pool == null ? loader.loadUnowned(nextRows()) : fromPool(pool);
          skipped.addAll(loaded.skipped());
          ready = loaded.batch();
        } catch (RuntimeException | Error e) {
          close();
          throw e;
        }
      }
      if (ready == null) {
        close();
      }
      return ready != null;
    }

    @Override
    public Batch next() {
      if (!hasNext() || ready == null) {
        throw new NoSuchElementException("The walk over " + loader.data.name() + " has ended.");
      }
      Batch batch = adopt(ready);
      ready = null;
      return batch;
    }

    private int[] nextRows() {
      int from = nextStart;
      nextStart = Math.min(end, from + loader.batchSize);
      return Arrays.copyOfRange(order, from, nextStart);
    }

    private Loaded fromPool(ThreadPoolExecutor pool) {
      while (nextStart < end && inFlight.size() < loader.ahead) {
        int[] rows = nextRows();
        inFlight.add(pool.submit(() -> loader.loadUnowned(rows)));
      }
      return await(inFlight.remove());
    }

    private static Loaded await(Future<Loaded> future) {
      try {
        return future.get();
      } catch (ExecutionException e) {
        Throwable cause = e.getCause();
        if (cause instanceof RuntimeException failure) {
          throw failure;
        }
        if (cause instanceof Error error) {
          throw error;
        }
        throw new IllegalStateException(cause);
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        throw new OutriggerException("Reading ahead was interrupted.", e);
      }
    }

    @Override
    public void close() {
      if (closed) {
        return;
      }
      closed = true;
      Loader.close(ready);
      ready = null;
      if (pool == null) {
        return;
      }
      for (Future<Loaded> future : inFlight) {
        // What has not begun never will; what runs ends its batch, which is freed below.
        pool.remove((Runnable) future);
      }
      pool.shutdown();
      boolean interrupted = false;
      while (true) {
        try {
          if (pool.awaitTermination(1, TimeUnit.HOURS)) {
            break;
          }
        } catch (InterruptedException e) {
          interrupted = true;
        }
      }
      for (Future<Loaded> future : inFlight) {
        if (future.isDone()) {
          try {
            Loader.close(future.get().batch());
          } catch (ExecutionException | InterruptedException e) {
            // Nobody will take this batch, so its failure concerns nobody.
            continue;
          }
        }
      }
      inFlight.clear();
      if (interrupted) {
        Thread.currentThread().interrupt();
      }
    }
  }
}
