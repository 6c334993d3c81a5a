package org.outrigger.adapt;

import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.io.State;
import org.outrigger.core.io.Stateful;
import org.outrigger.core.method.Need;
import org.outrigger.core.model.Model;

/**
 * An adapter over another one: it corrects what that one predicts, has a say in what it learns
 * from, or decides when it starts over. It owns the inner adapter.
 *
 * @param <S> the record of hyper-parameters
 */
public abstract class Decorator<S extends Record> extends BaseAdapter<S> {
  private static final String INNER = "inner";

  private Adapter inner;

  /**
   * @param inner what it is over until {@link #over} says otherwise
   */
  protected Decorator(S settings, Adapter inner) {
    super(settings);
    this.inner = Objects.requireNonNull(inner);
  }

  /** The adapter that this one is over. */
  public final Adapter inner() {
    return inner;
  }

  /**
   * Takes up the model that the inner adapter runs, which has been started; in a scope.
   *
   * @param model what the whole was started on
   */
  protected void prepare(Model model) {}

  @Override
  protected final void configure(
      Model model, @Nullable IndexedDataset source, @Nullable State saved) {
    if (saved == null) {
      inner.start(model, source);
    } else {
      inner.resume(model, part(saved, INNER));
    }
    prepare(model);
  }

  @Override
  public Adapter over(Adapter other) {
    if (other == this) {
      return super.over(other);
    }
    inner.close();
    inner = other;
    return this;
  }

  @Override
  public final String stack() {
    return card().slug() + "/" + inner.stack();
  }

  @Override
  public final Set<Need> needs() {
    Set<Need> both = new HashSet<>(ownNeeds());
    both.addAll(inner.needs());
    return both;
  }

  @Override
  protected String withoutSource() {
    return inner instanceof BaseAdapter<?> below ? below.withoutSource() : super.withoutSource();
  }

  /** Resets the inner adapter; what it did so far still counts. */
  protected final void startOver() {
    Usage below = inner.usage();
    inner.reset();
    count(below.reliable(), below.backward(), below.updates());
    countResets(below.resets() + (below.batches() > 0 ? 1 : 0));
  }

  @Override
  public Usage usage() {
    Usage below = inner.usage();
    return super.usage()
        .plus(new Usage(0, 0, below.reliable(), below.backward(), below.updates(), below.resets()));
  }

  @Override
  protected Map<String, Stateful> parts() {
    Map<String, Stateful> parts = new LinkedHashMap<>();
    parts.put(INNER, inner);
    return parts;
  }

  @Override
  public List<String> trained() {
    return inner.trained();
  }

  @Override
  public int minimumBatch() {
    return inner.minimumBatch();
  }

  @Override
  public Model model() {
    return inner.model();
  }

  @Override
  protected void release() {}

  @Override
  public void close() {
    super.close();
    inner.close();
  }
}
