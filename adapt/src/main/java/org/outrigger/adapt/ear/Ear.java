package org.outrigger.adapt.ear;

import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeSet;
import org.bytedeco.pytorch.Tensor;
import org.jspecify.annotations.Nullable;
import org.outrigger.adapt.ear.HyperdimensionalFusion.Pool;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.Batch;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.io.State;
import org.outrigger.core.io.Stateful;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Method;
import org.outrigger.core.method.Methods;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.model.Model;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

/**
 * EAR: continual learning without forgetting. The encoder never changes; each domain has a small
 * adaptor over the features of some of its layers, and a head. An input goes to the domain whose
 * class descriptors (see {@link HyperdimensionalFusion}) its own is most like; where it is like
 * none, it is out of distribution, and when that becomes the rule, a new domain is learned from a
 * few labelled rows: {@link AdaptorSearch} chooses the adaptor without training candidates, and
 * only it and its head are trained. Nothing that is there is changed, so that old predictions
 * change by wrong routes alone.
 *
 * <p>"Efficient Model Adaptation for Continual Learning at the Edge", 2023. There is no code of it,
 * and its abstract alone was at hand: it names the parts and their roles. The descriptors are those
 * of Wilson et al., WACV 2023; families of adaptors, the choice by mean rank, thresholds and the
 * window are ours.
 *
 * <pre>{@code
 * try (Ear ear = new Ear()) {
 *   ear.attach(encoder);
 *   ear.add("day", day);
 *   ear.add("night", night);
 *   try (Routed routed = ear.predict(batch)) { ... }
 * }
 * }</pre>
 *
 * <p>Predicting is safe for concurrent use; everything else needs exclusive access.
 */
@Card(
    slug = "ear",
    name = "EAR",
    summary =
        "A frozen encoder gets a small adaptor for each new domain; every input finds its own.",
    paper = "Efficient Model Adaptation for Continual Learning at the Edge. arXiv:2308.02084, 2023",
    year = 2023,
    room = Room.ADAPT,
    needs = {Need.FEATURES, Need.LABELS},
    state = "projections, layer means, class descriptors, thresholds, adaptors and heads")
public final class Ear implements Method, Stateful, AutoCloseable {
  static final String TYPE = "adapt/ear";
  private static final int LAYOUT = 1;

  /** Where the head of a new domain comes from. */
  public enum Head {
    /** The head of the nearest domain as it is; new classes get new outputs, which are trained. */
    SHARED,
    /** A copy of the head of the nearest domain, with outputs for new classes, trained further. */
    COPIED,
    /** A head of its own for the classes of the domain. */
    NEW
  }

  /** Whether a stream is still of known domains. */
  public enum Decision {
    KNOWN,
    NEW_DOMAIN
  }

  /**
   * @param hyperDimension D, at least the number of taps
   * @param pool how feature maps become one number a channel for the descriptors
   * @param taps the layers that are looked at, the last of which gives the common feature space;
   *     empty: activations, stages and blocks, and the penultimate features
   * @param perChannel a mean for each channel instead of one a layer in the descriptors
   * @param scaleLayers divide layers by their standard deviation in the descriptors
   * @param bind multiply each layer by random signs in the descriptors
   * @param bipolar keep the signs of class descriptors alone
   * @param quantile q, the share of known rows below the threshold, in [0, 1)
   * @param window w, rows that the decision about a new domain looks at, 1 or more
   * @param candidates n, adaptors that are ranked, 1 or more
   * @param budget the most parameters of an adaptor as a share of the encoder's, above 0; at least
   *     8,192, so that small encoders get adaptors at all
   * @param maxParameters P_max, the most parameters of an adaptor; 0 for what {@code budget} gives
   * @param initialisations drawings of first weights that proxies are averaged over, 1 or more
   * @param proxyRows rows that proxies look at, 2 or more
   * @param learningRate of Adam, above 0
   * @param steps of Adam, 1 or more
   * @param batchSize rows of a step and of an encoder pass, 1 or more
   * @param heldOut the share of a domain's rows that set its threshold, in (0, 1)
   * @param head where the head of a new domain comes from
   * @param seed of all randomness
   */
  public record Settings(
      int hyperDimension,
      Pool pool,
      List<String> taps,
      boolean perChannel,
      boolean scaleLayers,
      boolean bind,
      boolean bipolar,
      double quantile,
      int window,
      int candidates,
      double budget,
      long maxParameters,
      int initialisations,
      int proxyRows,
      double learningRate,
      int steps,
      int batchSize,
      double heldOut,
      Head head,
      long seed) {
    public Settings {
      Objects.requireNonNull(pool);
      Objects.requireNonNull(head);
      taps = List.copyOf(taps);
      HyperParameter.atLeast("hyperDimension", hyperDimension, Math.max(1, taps.size()));
      HyperParameter.require(
          new TreeSet<>(taps).size() == taps.size(), "taps", taps, "names without repetition");
      HyperParameter.require(
          quantile >= 0 && quantile < 1, "quantile", quantile, "0 or more and below 1");
      HyperParameter.atLeast("window", window, 1);
      HyperParameter.atLeast("candidates", candidates, 1);
      HyperParameter.positive("budget", budget);
      HyperParameter.atLeast("maxParameters", maxParameters, 0);
      HyperParameter.atLeast("initialisations", initialisations, 1);
      HyperParameter.atLeast("proxyRows", proxyRows, 2);
      HyperParameter.positive("learningRate", learningRate);
      HyperParameter.atLeast("steps", steps, 1);
      HyperParameter.atLeast("batchSize", batchSize, 1);
      HyperParameter.inside("heldOut", heldOut, 0, 1);
    }

    public static Settings defaults() {
      return new Settings(
          10_000,
          Pool.MAX,
          List.of(),
          false,
          false,
          false,
          false,
          0.05,
          64,
          50,
          0.05,
          0,
          3,
          32,
          3e-3,
          300,
          128,
          0.2,
          Head.COPIED,
          0);
    }
  }

  private Settings settings;
  private @Nullable Model encoder;
  private boolean ownsEncoder;
  private volatile @Nullable EarLearned learned;
  private NoveltyWindow window;

  public Ear() {
    this(Settings.defaults());
  }

  public Ear(Settings settings) {
    this.settings = settings;
    this.window = new NoveltyWindow(settings.window);
  }

  /** With named taps it needs inner layers; otherwise the penultimate features will do. */
  @Override
  public Set<Need> needs() {
    return settings.taps.isEmpty() || settings.taps.equals(List.of(Taps.PENULTIMATE))
        ? Method.super.needs()
        : Set.of(Need.FEATURE_MAPS, Need.LABELS);
  }

  /**
   * Gives the encoder, which is borrowed and must stay open. After a restore it must be the one
   * that the saved EAR had.
   *
   * @throws OutriggerException if it gives no features
   */
  public void attach(Model model) {
    model.require(this, Ear.class);
    release();
    encoder = model;
    ownsEncoder = false;
  }

  /** As {@link #attach}, and closes it in the end. */
  void adopt(Model model) {
    attach(model);
    ownsEncoder = true;
  }

  private Model encoder() {
    if (encoder == null) {
      throw new OutriggerException("EAR has no encoder yet: call attach with a model first.");
    }
    return encoder;
  }

  private EarLearned learned() {
    EarLearned now = learned;
    if (now == null) {
      throw new OutriggerException("EAR knows no domain yet: call add with labelled data first.");
    }
    return now;
  }

  // -- learning

  /**
   * Learns a domain. The first one also fixes taps, projections and layer means.
   *
   * @param name not yet used
   * @param data labelled rows of at least two classes, or of one that joins those of a head that is
   *     shared or copied; each class of two rows or more should have some to hold out
   * @throws OutriggerException if the data does not fit; nothing has changed then
   */
  public AddedDomain add(String name, IndexedDataset data) {
    Model model = encoder();
    EarLearned before = learned;
    if (name.isBlank() || (before != null && before.position(name) >= 0)) {
      throw new OutriggerException(
          "A domain cannot be called '"
              + name
              + "': "
              + (name.isBlank() ? "give it a name." : "there is one of that name already."));
    }
    DomainLearning.Outcome outcome = DomainLearning.add(settings, model, before, name, data);
    replace(outcome.learned(), before);
    window.clear();
    return outcome.added();
  }

  private void replace(EarLearned next, @Nullable EarLearned before) {
    learned = next;
    if (before != null) {
      before.retire();
    }
  }

  /**
   * Adds labelled rows to the class descriptors of a domain; its adaptor and its threshold stay.
   *
   * @throws OutriggerException if there is no such domain, or a row is of none of its classes
   */
  public void extend(String domain, IndexedDataset data) {
    change(domain, data, false);
  }

  /** Takes rows out of the class descriptors of a domain that were added before. */
  public void forget(String domain, IndexedDataset data) {
    change(domain, data, true);
  }

  private void change(String name, IndexedDataset data, boolean out) {
    EarLearned before = learned();
    EarDomain domain = before.domain(name);
    for (int label : DomainLearning.labels(name, data)) {
      if (!domain.described.contains(label)) {
        throw new OutriggerException(
            "The domain '"
                + name
                + "' has no class "
                + label
                + ": it has "
                + domain.described
                + ".");
      }
    }
    Scopes.run(
        () -> {
          AdaptorTraining.Encoded rows =
              AdaptorTraining.encode(
                  encoder(), before.taps, data, settings.pool, settings.batchSize);
          before.requireWidths(new Taps.Features(rows.pooledParts(), rows.averageParts()));
          Tensor descriptors = before.fusion.describe(rows.pooledParts());
          Tensor labels = EarDomain.positions(rows.labels(), domain.described);
          if (out) {
            domain.descriptors.remove(descriptors, labels);
          } else {
            domain.descriptors.add(descriptors, labels);
          }
          rebuild(before);
        });
  }

  /**
   * Adds the class descriptors of another device, domain by domain; that device must have started
   * from the same saved EAR.
   *
   * @throws OutriggerException if domains, classes or projections differ; nothing has changed then
   */
  public void merge(Ear other) {
    EarLearned before = learned();
    before.merge(other.learned());
    rebuild(before);
  }

  private void rebuild(EarLearned before) {
    replace(new EarLearned(before.taps, before.fusion, before.classNames, before.domains), before);
  }

  // -- predicting

  /**
   * Routes and predicts.
   *
   * @param inputs [N, ...], finite
   * @return predictions that the caller or the enclosing scope owns
   */
  public Routed predict(Tensor inputs) {
    EarLearned now = learned();
    return Scopes.scoped(
        () ->
            Scopes.grad(
                false,
                () -> {
                  Routed routed = now.route(Taps.read(encoder(), now.taps, inputs, settings.pool));
                  Scopes.keep(routed.logits());
                  Scopes.keep(routed.scores());
                  Scopes.keep(routed.domains());
                  Scopes.keep(routed.unknown());
                  return routed;
                }));
  }

  /** As {@link #predict(Tensor)}, of the inputs of a batch. */
  public Routed predict(Batch batch) {
    return predict(batch.inputs());
  }

  /**
   * Tells the window of the rows of a stream, in their order.
   *
   * @return whether more than half of the last w rows are unknown; known before there were w rows
   */
  public Decision observe(Routed routed) {
    return window.observe(Tensors.longs(routed.unknown()));
  }

  /** The share of unknown rows in the window. */
  public double unknownShare() {
    return window.share();
  }

  /** The domains in the order they were added. */
  public List<LearnedDomain> domains() {
    EarLearned now = learned;
    return now == null
        ? List.of()
        : now.domains.stream().map(domain -> domain.view(now.taps)).toList();
  }

  /** The layers that are looked at; empty before the first domain if none were named. */
  public List<String> taps() {
    EarLearned now = learned;
    return now == null ? settings.taps : now.taps;
  }

  /** The names of the classes by label; empty if unnamed. */
  public List<String> classNames() {
    EarLearned now = learned;
    return now == null ? List.of() : now.classNames;
  }

  /** The encoder; borrowed. */
  public Model model() {
    return encoder();
  }

  /** Bytes of projections, routing and class descriptors; adaptors and heads are not in it. */
  public long bytes() {
    EarLearned now = learned;
    return now == null
        ? 0
        : now.fusion.bytes()
            + now.bytes()
            + now.domains.stream().mapToLong(d -> d.descriptors.bytes()).sum();
  }

  // -- state

  @Override
  public Settings settings() {
    return settings;
  }

  @Override
  public State state() {
    Map<String, Object> values = new LinkedHashMap<>();
    Map<String, Tensor> tensors = new LinkedHashMap<>();
    Map<String, Object> plain = new LinkedHashMap<>();
    Methods.values(settings)
        .forEach((name, value) -> plain.put(name, value instanceof Enum<?> e ? e.name() : value));
    values.put("settings", plain);
    values.put("window", window.text());
    learned().save(values, tensors);
    return new State(TYPE, LAYOUT, values, tensors);
  }

  /** Continues with the saved settings and domains; call {@link #attach} as well. */
  @Override
  public void restore(State state) {
    state.expect(TYPE, LAYOUT);
    Settings saved;
    try (Ear settled = Methods.create(Ear.class, card().slug(), state.map("settings"))) {
      saved = settled.settings();
    }
    NoveltyWindow flags = NoveltyWindow.of(saved.window, state.text("window"));
    EarLearned next = EarLearned.restored(state);
    if (learned != null) {
      learned.close();
    }
    settings = saved;
    window = flags;
    learned = next;
  }

  /**
   * Another EAR with the same encoder that continues from here on its own; the caller closes it.
   */
  public Ear copy() {
    Ear copy = new Ear(settings);
    if (learned != null) {
      copy.restore(state());
    }
    if (encoder != null) {
      copy.attach(encoder);
    }
    return copy;
  }

  /** Forgets all domains; the encoder stays. */
  public void reset() {
    EarLearned now = learned;
    learned = null;
    window.clear();
    if (now != null) {
      now.close();
    }
  }

  /**
   * Writes the encoder and all domains as one bundle.
   *
   * @throws OutriggerException if the encoder cannot be saved
   */
  public void save(Path target, EarReading reading) {
    EarFiles.save(this, target, reading);
  }

  /**
   * Opens what {@link #save} wrote; the result owns its encoder.
   *
   * @param device such as {@code cpu}
   */
  public static Ear load(Path bundle, String device) {
    return EarFiles.load(bundle, device);
  }

  /** How the rows of the data of a saved EAR are read. */
  public static EarReading reading(Path bundle) {
    return EarFiles.reading(bundle);
  }

  private void release() {
    if (ownsEncoder && encoder != null) {
      encoder.close();
    }
    encoder = null;
  }

  @Override
  public void close() {
    reset();
    release();
  }
}
