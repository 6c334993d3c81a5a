package org.outrigger.adapt;

import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;
import org.outrigger.adapt.OfflineAdapter.Listener;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.State;
import org.outrigger.core.io.Stateful;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Method;
import org.outrigger.core.method.Methods;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.optim.CrossEntropy;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;
import org.outrigger.core.torch.Tensors;

/**
 * KTF: learns a target with few labels with the help of any labelled source, whatever its features
 * are; even noise will do that has a mean for each class. The target is mapped into the source's
 * space, {@code phi(x) = l2n(leaky(x W1 + b1))}, where one classifier {@code f(v) = v W2 + b2}
 * serves both and the means of both domains are pulled together, class by class.
 *
 * <p>{@code L = CE(f(phi(xl)), yl) + beta CE(f(ps), ys) + mu MMD + tau / 2 (||W1||^2 + ||W2||^2)},
 * {@code MMD = (marginal + sum of the C conditional terms) / (C + 1)} of {@link MomentMatching},
 * with {@code q = softmax(f(phi(xu)))}; the gradient runs through q too. Every row of source and
 * target is brought to length 1 first. All rows are one batch: memory grows with U times D.
 *
 * <p>"Noise May Contain Transferable Knowledge: Understanding Semi-supervised Heterogeneous Domain
 * Adaptation from an Empirical Perspective", 2025. A source helps if it is transferable (a small
 * MMD in the end) and discriminable (a small cross-entropy): see {@link Fit}. One that is not
 * discriminable harms, so compare with {@link TargetOnly}.
 *
 * <p>Not safe for concurrent use while it is fitted or restored.
 */
@Card(
    slug = "shda-ktf",
    name = "KTF",
    summary = "Learns a target with few labels with the help of a source of other features.",
    paper =
        "Noise May Contain Transferable Knowledge: Understanding Semi-supervised Heterogeneous"
            + " Domain Adaptation from an Empirical Perspective. 2025",
    year = 2025,
    room = Room.ADAPT,
    needs = {Need.LABELS},
    state = "projector, classifier, class names, the source's fingerprint, the last losses")
public final class Ktf implements HeterogeneousClassifier, Method, Stateful {
  private static final String TYPE = "adaptation/shda-ktf";
  private static final List<String> NAMES = List.of("w1", "b1", "w2", "b2");

  /**
   * @param tau the weight of the squared matrices, 0 or more; large, so features must have length 1
   * @param beta the weight of the source's cross-entropy, 0 or more
   * @param mu the weight of the distance between means, 0 or more; the paper has 1 for images and
   *     0.1 for text
   * @param rate the learning rate of Adam, above 0
   * @param iterations 1 or more
   * @param seed of the initial weights
   */
  public record Settings(
      double tau, double beta, double mu, double rate, int iterations, long seed) {
    public Settings {
      HyperParameter.notNegative("tau", tau);
      HyperParameter.notNegative("beta", beta);
      HyperParameter.notNegative("mu", mu);
      HyperParameter.positive("rate", rate);
      HyperParameter.atLeast("iterations", iterations, 1);
    }

    public static Settings defaults() {
      return new Settings(0.05, 0.1, 1.0, 1e-3, 600, 0);
    }
  }

  /**
   * The parts of the loss, scalars.
   *
   * @param total what is minimised
   * @param target cross-entropy of the labelled target rows
   * @param source cross-entropy of the source
   * @param marginal the squared distance between the means of all rows
   * @param conditional the sum of those between the classes' means
   * @param mmd both, divided by C + 1
   * @param decay {@code tau / 2} times the squared matrices
   * @param projectedLabelled phi(xl) [L, D]
   * @param projectedUnlabelled phi(xu) [U, D]
   * @param soft q [U, C]
   */
  public record Losses(
      Tensor total,
      Tensor target,
      Tensor source,
      Tensor marginal,
      Tensor conditional,
      Tensor mmd,
      Tensor decay,
      Tensor projectedLabelled,
      Tensor projectedUnlabelled,
      Tensor soft) {}

  /**
   * What a fit came to.
   *
   * @param total the loss at the end
   * @param lossTarget cross-entropy of the labelled target rows
   * @param lossSource cross-entropy of the source: small where it is discriminable
   * @param mmd distance between the domains: small where the source is transferable
   * @param classes C
   */
  public record Fit(double total, double lossTarget, double lossSource, double mmd, int classes) {
    private static final double NEAR = 0.9;

    /** Whether the source's classes could not be told apart: its loss stays near ln C. */
    public boolean indistinct() {
      return lossSource > NEAR * Math.log(classes);
    }

    /** What follows, in a sentence. */
    public String advice() {
      return indistinct()
          ? "The classes of this source cannot be told apart, so that it may do harm: compare with"
              + " the target alone, or take another source."
          : "The classes of this source can be told apart.";
    }

    Map<String, Object> toMap() {
      Map<String, Object> map = new LinkedHashMap<>();
      map.put("total", total);
      map.put("lossTarget", lossTarget);
      map.put("lossSource", lossSource);
      map.put("mmd", mmd);
      map.put("classes", classes);
      return map;
    }
  }

  private Settings settings;
  private Map<String, Tensor> weights = Map.of();
  private List<String> classNames = List.of();
  private String fingerprint = "";
  private @Nullable Fit fit;

  public Ktf() {
    this(Settings.defaults());
  }

  public Ktf(Settings settings) {
    this.settings = Objects.requireNonNull(settings);
  }

  // -- the mathematics

  /**
   * phi.
   *
   * @param x [N, T]
   * @param weights w1 [T, D], b1 [D]
   * @return rows of length 1, [N, D]
   */
  public static Tensor project(Tensor x, Map<String, Tensor> weights) {
    return Scopes.tensor(
        () -> FullBatch.unit(FullBatch.leaky(FullBatch.affine(x, weights, "w1", "b1"))));
  }

  /**
   * f.
   *
   * @param codes [N, D]
   * @param weights w2 [D, C], b2 [C]
   * @return logits [N, C]
   */
  public static Tensor classify(Tensor codes, Map<String, Tensor> weights) {
    return Scopes.tensor(() -> FullBatch.affine(codes, weights, "w2", "b2"));
  }

  /**
   * The loss and its parts, in the enclosing scope.
   *
   * @param data as it is; bring rows to length 1 first
   * @param weights w1, b1, w2 and b2
   */
  public static Losses losses(
      HeterogeneousData data, Map<String, Tensor> weights, Settings settings) {
    Tensor labelled = project(data.labelled(), weights);
    Tensor unlabelled = project(data.unlabelled(), weights);
    Tensor soft = torch.softmax(classify(unlabelled, weights), 1);
    Tensor target = CrossEntropy.loss(classify(labelled, weights), data.labels(), 0);
    Tensor source = CrossEntropy.loss(classify(data.source(), weights), data.sourceLabels(), 0);
    Tensor marginal = MomentMatching.marginal(data.source(), labelled, unlabelled);
    Tensor conditional =
        MomentMatching.conditional(
            data.source(), data.sourceLabels(), labelled, data.labels(), unlabelled, soft);
    Tensor mmd = marginal.add(conditional).div(new Scalar(soft.size(1) + 1.0));
    Tensor decay = FullBatch.decay(weights, settings.tau);
    Tensor total =
        target.add(source, new Scalar(settings.beta)).add(mmd, new Scalar(settings.mu)).add(decay);
    return new Losses(
        total, target, source, marginal, conditional, mmd, decay, labelled, unlabelled, soft);
  }

  /**
   * Trains weights in place, on all rows at once.
   *
   * @param weights w1, b1, w2 and b2
   * @return the loss before each step
   */
  public static double[] train(
      HeterogeneousData data, Map<String, Tensor> weights, Settings settings, Listener listener) {
    return FullBatch.train(
        weights,
        settings.iterations,
        settings.rate,
        i -> losses(data, weights, settings).total(),
        listener);
  }

  // -- the shell

  /** As {@link #fit(HeterogeneousData, List, Listener)}, unobserved and without names. */
  public Fit fit(HeterogeneousData data) {
    return fit(data, List.of(), Listener.NONE);
  }

  /**
   * Learns. Rows are brought to length 1 here; an earlier fit is dropped.
   *
   * @param names the names of the classes by label, kept with what is learned; empty if unnamed
   * @throws OutriggerException if the loss stops being a finite number; the earlier fit stays then
   */
  public Fit fit(HeterogeneousData data, List<String> names, Listener listener) {
    if (!names.isEmpty() && names.size() != data.classes()) {
      throw new OutriggerException(
          "There are " + names.size() + " class names for " + data.classes() + " classes.");
    }
    try (PointerScope scope = new PointerScope()) {
      HeterogeneousData rows = floats(data).normalised();
      Map<String, Tensor> drawn = new LinkedHashMap<>();
      try (Rng rng = Rng.named(settings.seed, "shda-ktf")) {
        long width = rows.source().size(1);
        drawn.put("w1", FullBatch.draw(rng, rows.labelled().size(1), width));
        drawn.put("b1", FullBatch.draw(rng, width));
        drawn.put("w2", FullBatch.draw(rng, width, rows.classes()));
        drawn.put("b2", FullBatch.draw(rng, rows.classes()));
      }
      try {
        train(rows, drawn, settings, listener);
        fit = measure(rows, drawn);
      } catch (RuntimeException e) {
        drawn.values().forEach(Scopes::release);
        throw e;
      }
      take(drawn);
      classNames = List.copyOf(names);
      fingerprint = fingerprint(data);
      return Objects.requireNonNull(fit);
    }
  }

  private Fit measure(HeterogeneousData rows, Map<String, Tensor> trained) {
    Losses losses = losses(rows, trained, settings);
    return new Fit(
        losses.total.item_double(),
        losses.target.item_double(),
        losses.source.item_double(),
        losses.mmd.item_double(),
        Math.toIntExact(rows.classes()));
  }

  static HeterogeneousData floats(HeterogeneousData data) {
    return new HeterogeneousData(
        data.source().to(ScalarType.Float),
        data.sourceLabels(),
        data.labelled().to(ScalarType.Float),
        data.labels(),
        data.unlabelled().to(ScalarType.Float));
  }

  private void take(Map<String, Tensor> owned) {
    weights.values().forEach(Scopes::release);
    weights = owned;
  }

  /** SHA-256 of the source's codes and labels. */
  private static String fingerprint(HeterogeneousData data) {
    try {
      MessageDigest digest = MessageDigest.getInstance("SHA-256");
      Scopes.run(
          () -> {
            digest.update(Tensors.bytes(data.source().to(ScalarType.Double).contiguous()));
            digest.update(Tensors.bytes(data.sourceLabels().contiguous()));
          });
      return HexFormat.of().formatHex(digest.digest());
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException(e);
    }
  }

  private Map<String, Tensor> fitted() {
    if (weights.isEmpty()) {
      throw new OutriggerException("KTF has learned nothing yet: call fit first.");
    }
    return weights;
  }

  @Override
  public Tensor probabilities(Tensor x) {
    Map<String, Tensor> known = fitted();
    HeterogeneousData.requireWidth(x, FullBatch.get(known, "w1").size(0));
    return Scopes.noGrad(
        () -> {
          Tensor codes = project(HeterogeneousData.unit(x.to(ScalarType.Float)), known);
          return torch.softmax(classify(codes, known), 1);
        });
  }

  /** What the last fit came to. */
  public Fit lastFit() {
    fitted();
    return Objects.requireNonNull(fit);
  }

  /** The names of the classes by label; empty if it was fitted without. */
  public List<String> classNames() {
    fitted();
    return classNames;
  }

  /** SHA-256 of the source that it was fitted with. */
  public String sourceFingerprint() {
    fitted();
    return fingerprint;
  }

  // -- state

  @Override
  public Settings settings() {
    return settings;
  }

  @Override
  public State state() {
    Map<String, Object> values = new LinkedHashMap<>();
    values.put("settings", Methods.values(settings));
    values.put("classNames", classNames);
    values.put("source", fingerprint);
    if (fit != null) {
      values.put("fit", fit.toMap());
    }
    return new State(TYPE, 1, values, weights);
  }

  @Override
  public void restore(State state) {
    state.expect(TYPE, 1);
    Settings saved = Methods.create(Ktf.class, card().slug(), state.map("settings")).settings();
    if (state.tensors().isEmpty()) {
      take(Map.of());
      fit = null;
      classNames = List.of();
      fingerprint = "";
      settings = saved;
      return;
    }
    Shapes.check()
        .tensor("The saved w1", state.tensor("w1"), "T", "D")
        .tensor("The saved b1", state.tensor("b1"), "D")
        .tensor("The saved w2", state.tensor("w2"), "D", "C")
        .tensor("The saved b2", state.tensor("b2"), "C");
    NAMES.forEach(name -> Shapes.finite("The saved " + name, state.tensor(name)));
    Fit earlier = fit(state);
    List<String> names = names(state, earlier.classes());
    String source = state.text("source");
    Map<String, Tensor> copies = new LinkedHashMap<>();
    NAMES.forEach(
        name ->
            copies.put(
                name,
                Scopes.scoped(
                    () -> Scopes.own(state.tensor(name).to(ScalarType.Float).detach().clone()))));
    take(copies);
    fit = earlier;
    classNames = names;
    fingerprint = source;
    settings = saved;
  }

  private static List<String> names(State state, int classes) {
    List<String> names = new ArrayList<>();
    if (state.values().get("classNames") instanceof List<?> list) {
      list.forEach(name -> names.add(String.valueOf(name)));
    }
    if (!names.isEmpty() && names.size() != classes) {
      throw new OutriggerException(
          "The saved KTF names " + names.size() + " of " + classes + " classes: it is damaged.");
    }
    return List.copyOf(names);
  }

  private static Fit fit(State state) {
    Map<String, Object> map = state.map("fit");
    List<Double> numbers = new ArrayList<>();
    for (String name : List.of("total", "lossTarget", "lossSource", "mmd", "classes")) {
      if (!(map.get(name) instanceof Number number)) {
        throw new OutriggerException(
            "The saved KTF lacks the number '" + name + "' of its fit: the file is damaged.");
      }
      numbers.add(number.doubleValue());
    }
    if (numbers.get(4) != state.tensor("b2").size(0)) {
      throw new OutriggerException(
          "The saved KTF speaks of "
              + numbers.get(4).intValue()
              + " classes, but has weights for "
              + state.tensor("b2").size(0)
              + ": the file is damaged.");
    }
    return new Fit(
        numbers.get(0), numbers.get(1), numbers.get(2), numbers.get(3), numbers.get(4).intValue());
  }

  @Override
  public void close() {
    take(Map.of());
  }
}
