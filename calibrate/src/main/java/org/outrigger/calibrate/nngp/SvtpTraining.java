package org.outrigger.calibrate.nngp;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.AutoGradMode;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;
import org.outrigger.calibrate.nngp.ScaleMixture.Process;
import org.outrigger.core.optim.Adam;
import org.outrigger.core.torch.Gradients;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

/**
 * Trains the variational classifier: Adam on mini-batches, its rate halved when the validation loss
 * has not improved for five epochs; the model of the best epoch is kept.
 */
final class SvtpTraining implements AutoCloseable {
  private static final int PATIENCE = 5;

  private final ScaleMixtureClassification.Settings settings;
  private final Tensor x;
  private final Tensor labels;
  private final long classes;
  private final List<String> names;
  private final Map<String, Tensor> parameters = new LinkedHashMap<>();
  private final Rng order;
  private final Rng noise;
  private final ChiSquared chiSquared;

  /**
   * @param x standardised training inputs, [N, ...]; borrowed
   * @param labels int64 [N]; borrowed
   */
  SvtpTraining(
      ScaleMixtureClassification.Settings settings, Tensor x, Tensor labels, long classes) {
    this.settings = settings;
    this.x = x;
    this.labels = labels;
    this.classes = classes;
    order = Rng.named(settings.seed(), "batches");
    noise = Rng.named(settings.seed(), "samples");
    chiSquared = new ChiSquared(settings.seed(), "scales");
    names = new ArrayList<>(HyperParameters.free(settings.process()));
    names.remove("eps");
    Scopes.run(
        () -> {
          Tensor z = x.index_select(0, inducing());
          long count = z.size(0);
          leaf("z", z);
          TensorOptions options = new TensorOptions(ScalarType.Double);
          Tensor zero = torch.zeros(new long[] {classes, count}, options);
          leaf("mu", zero);
          leaf("v", zero.add(new Scalar(HyperParameters.inverseSoftplus(1))));
          double[] start = settings.hyperParameters().unbounded(names);
          for (int i = 0; i < start.length; i++) {
            leaf(names.get(i), Tensors.scalar(start[i]).squeeze());
          }
        });
  }

  private void leaf(String name, Tensor value) {
    parameters.put(name, Scopes.own(value.detach().clone().requires_grad_(true)));
  }

  /** Rows in random order, a class after the other in turn, as many as are wanted. */
  private Tensor inducing() {
    long[] shuffled;
    try (Rng rng = Rng.named(settings.seed(), "inducing inputs")) {
      shuffled = Tensors.longs(rng.permutation(x.size(0)));
    }
    long[] label = Tensors.longs(labels);
    Map<Long, Deque<Long>> byClass = new TreeMap<>();
    for (long row : shuffled) {
      byClass.computeIfAbsent(label[(int) row], c -> new ArrayDeque<>()).add(row);
    }
    List<Long> chosen = new ArrayList<>();
    long wanted = Math.min(settings.inducing(), x.size(0));
    while (chosen.size() < wanted) {
      for (Deque<Long> rows : byClass.values()) {
        if (!rows.isEmpty() && chosen.size() < wanted) {
          chosen.add(rows.remove());
        }
      }
    }
    return Tensors.of(chosen.stream().mapToLong(Long::longValue).toArray(), chosen.size());
  }

  private Tensor get(String name) {
    Tensor value = parameters.get(name);
    if (value == null) {
      throw new IllegalStateException("no parameter " + name);
    }
    return value;
  }

  private Tensor natural(String name) {
    if (parameters.containsKey(name)) {
      return HyperParameters.natural(name, get(name));
    }
    Double fixed = settings.hyperParameters().values().get(name);
    return Tensors.scalar(fixed == null ? Double.NaN : fixed).squeeze();
  }

  private NngpKernel.Scales scales() {
    return new NngpKernel.Scales(natural("wStd"), natural("bStd"), natural("lastWStd"));
  }

  /**
   * The loss of a batch: minus the expected log likelihood of its labels, plus the divergence's
   * share of a row.
   */
  Tensor loss(Tensor rows, Tensor rowLabels, Tensor normal, @Nullable Tensor chi) {
    return Scopes.tensor(
        () -> {
          NngpKernel kernel = settings.kernel();
          NngpKernel.Scales scales = scales();
          Tensor v = HyperParameters.softplus(get("v"));
          Tensor lower = Svtp.factor(kernel.gram(get("z"), scales), settings.eps());
          Svtp.Values values =
              Svtp.joint(
                  lower,
                  kernel.between(get("z"), rows, scales),
                  kernel.gram(rows, scales),
                  get("mu"),
                  v);
          Tensor a = natural("alpha");
          Tensor b = natural("beta");
          Tensor follow = chi == null ? null : ChiSquared.following(chi, a);
          Tensor samples = Svtp.samples(values, normal, follow, a, b, settings.eps());
          Tensor divergence =
              chi == null
                  ? Svtp.divergence(lower, get("mu"), v)
                  : Svtp.divergence(
                      lower, get("mu"), v, a, b, settings.alphaPrior(), settings.betaPrior());
          return divergence
              .div(new Scalar((double) x.size(0)))
              .sub(Svtp.expectedLogLikelihood(samples, rowLabels));
        });
  }

  /** The parameters by name; borrowed. */
  Map<String, Tensor> parameters() {
    return parameters;
  }

  /**
   * Trains.
   *
   * @param validation standardised inputs to watch; null: the training loss is watched
   */
  FittedClassification run(
      Columns columns,
      @Nullable Tensor validation,
      @Nullable Tensor validationLabels,
      ScaleMixtureRegression.Listener listener) {
    PlateauRule rule = new PlateauRule(settings.rate(), PATIENCE);
    FittedClassification best = null;
    try (Adam adam = new Adam(parameters, Adam.Settings.of(settings.rate()))) {
      for (int epoch = 1; epoch <= settings.epochs() && !rule.ended(); epoch++) {
        double loss = epoch(adam);
        FittedClassification now =
            rest(Columns.none(x), validation == null ? 1 : settings.validationSamples());
        if (validation != null && validationLabels != null) {
          loss = nll(now, validation, validationLabels);
        }
        if (rule.check(loss) || best == null) {
          if (best != null) {
            best.close();
          }
          best = now;
        } else {
          now.close();
        }
        adam.pace(rule.rate() / settings.rate());
        listener.step(epoch, settings.epochs(), loss);
      }
    }
    FittedClassification chosen = java.util.Objects.requireNonNull(best);
    try {
      return Scopes.scoped(() -> withDraws(chosen, columns, settings.testSamples()));
    } finally {
      chosen.close();
    }
  }

  private double nll(FittedClassification model, Tensor inputs, Tensor truth) {
    return Scopes.scoped(
        () ->
            -model
                .probabilities(settings.kernel(), inputs)
                .gather(1, truth.unsqueeze(1))
                .log()
                .mean()
                .item_double());
  }

  private double epoch(Adam adam) {
    try (PointerScope scope = new PointerScope()) {
      long n = x.size(0);
      Tensor shuffled = order.permutation(n);
      double sum = 0;
      for (long from = 0; from < n; from += settings.batchSize()) {
        try (PointerScope inner = new PointerScope()) {
          Tensor rows = shuffled.narrow(0, from, Math.min(settings.batchSize(), n - from));
          sum += rows.numel() * step(adam, x.index_select(0, rows), labels.index_select(0, rows));
        }
      }
      return sum / n;
    }
  }

  private double step(Adam adam, Tensor rows, Tensor rowLabels) {
    Tensor normal = noise.normal(ScalarType.Double, settings.samples(), classes, rows.size(0));
    Tensor chi =
        settings.process() == Process.GAUSSIAN
            ? null
            : chiSquared.draw(
                natural("alpha").item_double(), settings.samples(), Math.toIntExact(classes));
    Tensor loss = loss(rows, rowLabels, normal, chi);
    List<String> keys = List.copyOf(parameters.keySet());
    List<Tensor> gradients = Gradients.of(loss, keys.stream().map(this::get).toList(), false);
    Map<String, Tensor> named = new LinkedHashMap<>();
    for (int i = 0; i < keys.size(); i++) {
      named.put(keys.get(i), gradients.get(i));
    }
    adam.step(named);
    return loss.item_double();
  }

  /** What has been learned so far, with draws to look at validation rows with. */
  private FittedClassification rest(Columns columns, int samples) {
    return Scopes.scoped(
        () -> {
          try (AutoGradMode off = new AutoGradMode(false)) {
            double[] unbounded = names.stream().mapToDouble(n -> get(n).item_double()).toArray();
            HyperParameters at = settings.hyperParameters().with(names, unbounded);
            Tensor z = get("z").detach().clone();
            Tensor lower = Svtp.factor(settings.kernel().gram(z, at.scales()), settings.eps());
            return withDraws(
                new FittedClassification(
                    z,
                    columns,
                    get("mu").detach().clone(),
                    HyperParameters.softplus(get("v")).detach(),
                    lower,
                    lower,
                    null,
                    at),
                columns,
                samples);
          }
        });
  }

  /** The same model with fresh draws, always the same ones for a seed. */
  private FittedClassification withDraws(FittedClassification model, Columns columns, int samples) {
    Tensor normal;
    try (Rng rng = Rng.named(settings.seed(), "test samples")) {
      normal = rng.normal(ScalarType.Double, samples, classes, 1);
    }
    Tensor chi =
        settings.process() == Process.GAUSSIAN
            ? null
            : new ChiSquared(settings.seed(), "test scales")
                .draw(model.at().alpha(), samples, Math.toIntExact(classes));
    return FittedClassification.owned(
        model.z(), columns, model.mu(), model.v(), model.lower(), normal, chi, model.at());
  }

  @Override
  public void close() {
    parameters.values().forEach(Scopes::release);
    order.close();
    noise.close();
  }
}
