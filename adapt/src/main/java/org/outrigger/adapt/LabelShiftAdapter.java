package org.outrigger.adapt;

import java.util.List;
import java.util.Objects;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptional;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.model.Capabilities;
import org.outrigger.core.model.LinearHead;
import org.outrigger.core.model.Model;
import org.outrigger.core.model.Output;
import org.outrigger.core.model.RecordedOutputs;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;

/**
 * Label shift adapter: lets any adapter follow a changing class mix where the source was
 * imbalanced. A {@linkplain LabelShiftNetwork small network} that was trained on the source turns
 * the degree of imbalance of an estimated mix, {@code s(pi) = m . (pi - u)} with s = 1 for the
 * source and 0 for the uniform mix u, into changes of the last layer. The estimate follows the mean
 * prediction of each batch, {@code pi <- (1 - alpha) pi + alpha q}, and the logits of the batch are
 * computed with the new one; the adapter below learns from these logits.
 *
 * <p>One number cannot say every shift: s is what a mix has in the direction of the source's
 * imbalance. Where any class may become frequent, use {@link PriorCorrection} as well or instead.
 *
 * <p>Park et al., "Label Shift Adapter for Test-Time Adaptation under Covariate and Label Shifts",
 * ICCV 2023. The paper has no public code; the form of m, the mixes that are trained on, sizes and
 * rates are this project's.
 */
@Card(
    slug = "label-shift-adapter",
    name = "Label shift adapter",
    summary = "A small network turns the class mix of the stream into changes of the last layer.",
    paper =
        "Park et al., Label Shift Adapter for Test-Time Adaptation under Covariate and Label"
            + " Shifts, ICCV 2023",
    year = 2023,
    room = Room.ADAPT,
    needs = {Need.LOGITS, Need.FEATURES, Need.LINEAR_HEAD, Need.SOURCE, Need.LABELS},
    state = "the network, the class mix of the source and that of the stream")
public final class LabelShiftAdapter extends Decorator<LabelShiftAdapter.Settings> {
  private static final String PRIOR = "prior";
  private static final String DIRECTION = "direction";
  private static final String RANK = "rank";
  private static final String MIX = "mix";
  private static final double BALANCED = 1e-6;
  private static final double ZERO = 1e-6;
  private static final double LEAST_SHARE = 1e-4;
  private static final long WIDE = 512;
  private static final int NARROW_HIDDEN = 32;
  private static final int WIDE_HIDDEN = 100;

  /** Which class mix a stream is believed to have before its first batch. */
  public enum Start {
    UNIFORM,
    SOURCE
  }

  /**
   * @param tau strength of the logit adjustment in training, 0 or more
   * @param alpha rate at which the estimate follows the batches, in [0, 1]
   * @param start which mix a stream is believed to begin with
   * @param hidden H, the hidden units; 0 for 32, or 100 where there are 512 features or more
   * @param rank of the change of the head's weight where that is large, 1 or more
   * @param lowRankAbove more weights of a head than this are large; 0 or more
   * @param steps of training, 1 or more
   * @param batch rows a step, 1 or more
   * @param lr learning rate of Adam in training, above 0
   * @param seed of the network and the order of the rows
   */
  public record Settings(
      double tau,
      double alpha,
      Start start,
      int hidden,
      int rank,
      long lowRankAbove,
      int steps,
      int batch,
      double lr,
      long seed) {
    public Settings {
      HyperParameter.notNegative("tau", tau);
      HyperParameter.between("alpha", alpha, 0, 1);
      Objects.requireNonNull(start);
      HyperParameter.atLeast("hidden", hidden, 0);
      HyperParameter.atLeast("rank", rank, 1);
      HyperParameter.atLeast("lowRankAbove", lowRankAbove, 0);
      HyperParameter.atLeast("steps", steps, 1);
      HyperParameter.atLeast("batch", batch, 1);
      HyperParameter.positive("lr", lr);
    }

    public static Settings defaults() {
      return new Settings(1, 0.1, Start.UNIFORM, 0, 8, 100_000, 400, 64, 1e-3, 0);
    }
  }

  private @Nullable Model source;
  private @Nullable LabelShiftNetwork network;
  private double lowest;
  private boolean tracked;

  public LabelShiftAdapter() {
    this(Settings.defaults());
  }

  public LabelShiftAdapter(Settings settings) {
    super(settings, new Source());
  }

  // -- the mathematics

  /**
   * The class mix of counted labels; if a class has none, one is added to each.
   *
   * @param counts [C]
   * @return float64 [C]
   */
  public static Tensor prior(Tensor counts) {
    return Scopes.tensor(
        () -> {
          Tensor n = counts.to(ScalarType.Double);
          if (n.amin().item_double() == 0) {
            n = n.add(new Scalar(1.0));
          }
          return n.div(n.sum());
        });
  }

  /**
   * The direction m of a mix's imbalance: {@code l / ((p - u) . l)}, l being the centred log p.
   *
   * @param prior p, positive, [C]
   * @throws OutriggerException if p is uniform
   */
  public static Tensor direction(Tensor prior) {
    return Scopes.tensor(
        () -> {
          Tensor off = fromUniform(prior);
          if (off.abs().amax().item_double() <= BALANCED) {
            throw new OutriggerException(
                "The label shift adapter needs an imbalanced source, but every class has the same"
                    + " share of it: use prior-correction instead.");
          }
          Tensor log = prior.log();
          Tensor centred = log.sub(log.mean());
          return centred.div(off.mul(centred).sum());
        });
  }

  private static Tensor fromUniform(Tensor mix) {
    return mix.sub(new Scalar(1.0 / mix.size(0)));
  }

  /** The degree s of a mix [C] in a direction [C], a scalar. */
  public static Tensor degree(Tensor direction, Tensor mix) {
    return Scopes.tensor(() -> fromUniform(mix).mul(direction).sum());
  }

  /** The mix in which the most frequent class has the share of the least frequent, and so on. */
  public static Tensor reversed(Tensor prior) {
    return Scopes.tensor(
        () -> {
          Tensor rising = prior.argsort(true, 0, false);
          return torch
              .zeros_like(prior)
              .index_copy_(0, rising, prior.index_select(0, rising).flip(0));
        });
  }

  /** The estimate [C] after a batch with that mean prediction [C]. */
  public static Tensor track(Tensor mix, Tensor mean, double alpha) {
    return Scopes.tensor(
        () -> mix.mul(new Scalar(1 - alpha)).add(mean.to(mix.scalar_type()), new Scalar(alpha)));
  }

  /** The mix itself, or if a class has no share, one in which all have at least a trace. */
  static Tensor withoutZeros(Tensor mix) {
    return Scopes.tensor(
        () -> {
          if (mix.amin().item_double() > 0) {
            return new Tensor(mix);
          }
          Tensor raised = mix.add(new Scalar(ZERO));
          return raised.div(raised.sum());
        });
  }

  // -- the shell

  @Override
  protected void prepare(Model model) {
    source = model;
    Adapter bottom = inner();
    while (bottom instanceof Decorator<?> decorator) {
      bottom = decorator.inner();
    }
    if (bottom instanceof ModelAdapter<?> adapter) {
      adapter.correct(this::corrected);
    } else if (bottom instanceof Source plain) {
      plain.correct(this::corrected);
    }
  }

  @Override
  protected void learn(IndexedDataset data) {
    Model known = Objects.requireNonNull(source);
    try (RecordedOutputs outputs =
        RecordedOutputs.record(known, data, RecordedOutputs.Options.defaults())) {
      Tensor labels = outputs.labels(who());
      Tensor classed = labels.ge(new Scalar(0)).nonzero().squeeze(1);
      if (classed.size(0) == 0) {
        throw new OutriggerException(
            "The label shift adapter needs source data of known classes, but "
                + data.name()
                + " has none: give labelled data.");
      }
      long classes = outputs.classes();
      Shapes.labels("The labels of the source", labels, classes, true);
      Tensor targets = labels.index_select(0, classed);
      Tensor prior = prior(targets.bincount(new TensorOptional(), classes));
      Tensor direction = direction(prior);
      Tensor features = outputs.features().index_select(0, classed);
      LabelShiftNetwork made =
          trained(features, targets, outputs.requireHead(who()), prior, direction);
      statistics().put(PRIOR, prior);
      statistics().put(DIRECTION, direction);
      statistics().put(RANK, (double) made.rank());
      made.tensors().forEach(statistics()::put);
    }
    takeUp();
  }

  private LabelShiftNetwork trained(
      Tensor features, Tensor labels, LinearHead head, Tensor prior, Tensor direction) {
    long classes = head.weight().size(0);
    long width = features.size(1);
    int hidden =
        settings().hidden() > 0 ? settings().hidden() : width >= WIDE ? WIDE_HIDDEN : NARROW_HIDDEN;
    int rank = classes * width > settings().lowRankAbove() ? settings().rank() : 0;
    try (Rng rng = Rng.named(settings().seed(), "label-shift-adapter")) {
      LabelShiftNetwork made = LabelShiftNetwork.identity(classes, width, hidden, rank, rng);
      made.train(
          features,
          labels,
          head,
          prior,
          List.of(prior, uniform(prior), reversed(prior)),
          direction,
          settings(),
          rng);
      return made;
    }
  }

  private static Tensor uniform(Tensor prior) {
    return torch.full_like(prior, new Scalar(1.0 / prior.size(0)));
  }

  @Override
  protected void restored() {
    takeUp();
  }

  /** What is derived from the statistics, and an estimate unless there is one. */
  private void takeUp() {
    Tensor prior = statistics().tensor(PRIOR);
    Tensor direction = statistics().tensor(DIRECTION);
    network =
        new LabelShiftNetwork(
            statistics().tensor("A1"),
            statistics().tensor("c1"),
            statistics().tensor("A2"),
            statistics().tensor("c2"),
            (int) statistics().number(RANK, 0));
    Scopes.run(
        () -> {
          lowest = degree(direction, reversed(prior)).item_double();
          if (memory().find(MIX) == null) {
            memory().put(MIX, settings().start() == Start.SOURCE ? prior : uniform(prior));
          }
        });
    Shapes.check()
        .tensor("The saved class mix of the source", prior, "C")
        .tensor("The saved direction", direction, "C")
        .tensor("The saved class mix of the stream", memory().tensor(MIX), "C");
  }

  /** The class mix that the stream is believed to have, float64 [C]; borrowed. */
  public Tensor mix() {
    return memory().tensor(MIX);
  }

  /**
   * Replaces the estimate by what is known of the stream, to which later batches are added as ever.
   * With {@code alpha = 0} it stays until a reset.
   *
   * @param mix of C classes, not below 0, which sums to one
   */
  public void believe(Tensor mix) {
    Shapes.check().size("C", mix().size(0), "the model").tensor("The class mix", mix, "C");
    Shapes.finite("The class mix", mix);
    Scopes.run(
        () -> {
          Tensor shares = mix.to(ScalarType.Double);
          if (shares.amin().item_double() < 0 || Math.abs(shares.sum().item_double() - 1) > 1e-4) {
            throw new OutriggerException(
                "A class mix has shares of 0 or more that sum to one: divide counts by their sum.");
          }
          hold(shares);
        });
  }

  /** The output with logits for the mix as it is after this batch; gradients flow through it. */
  private Output corrected(Output output) {
    if (network == null) {
      // The adapter below still looks at the source.
      return output;
    }
    LinearHead head =
        inner()
            .model()
            .as(Capabilities.HasLinearHead.class)
            .map(Capabilities.HasLinearHead::head)
            .orElseThrow();
    Tensor features = output.features();
    if (!tracked) {
      Scopes.run(
          () ->
              Scopes.grad(
                  false,
                  () -> {
                    Tensor first = logits(features.detach(), head);
                    follow(torch.softmax(first.to(ScalarType.Double), 1).mean(0));
                    return true;
                  }));
      tracked = true;
    }
    return new Output(logits(features, head), features, output.maps());
  }

  private Tensor logits(Tensor features, LinearHead head) {
    LabelShiftNetwork made = Objects.requireNonNull(network);
    return Scopes.tensor(
        () -> {
          // Beyond what it was trained on the network says nothing.
          Tensor s =
              degree(statistics().tensor(DIRECTION), mix())
                  .clamp_min(new Scalar(Math.min(lowest, 1)))
                  .clamp_max(new Scalar(1.0));
          return made.change(s, head.weight().size(0), features.size(1)).apply(features, head);
        });
  }

  /** Moves the estimate; a class never gets less than a trace, or it could not come back. */
  private void follow(Tensor mean) {
    hold(track(mix(), mean, settings().alpha()));
  }

  private void hold(Tensor mix) {
    Tensor raised = mix.clamp_min(new Scalar(LEAST_SHARE));
    memory().put(MIX, raised.div(raised.sum()));
  }

  @Override
  protected Output step(Tensor inputs) {
    tracked = false;
    Output output = inner().adapt(inputs);
    return tracked ? output : corrected(output);
  }

  @Override
  protected void release() {
    source = null;
    network = null;
  }
}
