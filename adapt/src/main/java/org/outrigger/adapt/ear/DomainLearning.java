package org.outrigger.adapt.ear;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import org.bytedeco.pytorch.LongOptional;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;
import org.outrigger.adapt.ear.AdaptorSearch.Candidate;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.metric.Quantiles;
import org.outrigger.core.model.Model;
import org.outrigger.core.nn.Layer;
import org.outrigger.core.nn.Sequential;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

/** Learns one domain from encoded rows: adaptor, head, class descriptors, threshold. */
final class DomainLearning {
  /**
   * What it came to.
   *
   * @param domain owned by the caller
   * @param ranking the candidates, best first
   * @param nearest the nearest domain before; empty if there was none
   */
  private record Result(EarDomain domain, List<Candidate> ranking, String nearest) {}

  /**
   * What adding a domain came to.
   *
   * @param learned all that is learned now; the domains and the fusion before are part of it
   * @param added for the user
   */
  record Outcome(EarLearned learned, AddedDomain added) {}

  /** Adaptors may have so many parameters whatever the encoder's size, unless a limit is set. */
  private static final long LEAST_BUDGET = 8192;

  private final Ear.Settings settings;
  private final String name;
  private final HyperdimensionalFusion fusion;
  private final @Nullable EarLearned before;

  DomainLearning(
      Ear.Settings settings,
      String name,
      HyperdimensionalFusion fusion,
      @Nullable EarLearned before) {
    this.settings = settings;
    this.name = name;
    this.fusion = fusion;
    this.before = before;
  }

  /** Learns a domain beside those that are there; nothing of them is changed. */
  static Outcome add(
      Ear.Settings settings,
      Model encoder,
      @Nullable EarLearned before,
      String name,
      IndexedDataset data) {
    List<String> classNames = classNames(before, data);
    int[][] parts =
        AdaptorTraining.split(name, labels(name, data), settings.heldOut(), settings.seed());
    return Scopes.scoped(
        () -> {
          List<String> taps = before == null ? settings.taps() : before.taps;
          AdaptorTraining.Encoded train = encode(settings, encoder, taps, data.subset(parts[0]));
          AdaptorTraining.Encoded held =
              encode(settings, encoder, train.taps(), data.subset(parts[1]));
          if (before != null) {
            before.requireWidths(new Taps.Features(train.pooledParts(), train.averageParts()));
          }
          HyperdimensionalFusion fusion =
              before != null ? before.fusion : calibrate(settings, train.averageParts());
          try {
            DomainLearning learning = new DomainLearning(settings, name, fusion, before);
            Result result = learning.learn(train, held, maxParameters(settings, encoder));
            List<EarDomain> domains = new ArrayList<>(before == null ? List.of() : before.domains);
            domains.add(result.domain());
            return new Outcome(
                new EarLearned(train.taps(), fusion, classNames, domains),
                new AddedDomain(
                    result.domain().view(train.taps()), result.ranking(), result.nearest()));
          } catch (RuntimeException e) {
            if (before == null) {
              fusion.close();
            }
            throw e;
          }
        });
  }

  private static AdaptorTraining.Encoded encode(
      Ear.Settings settings, Model encoder, List<String> taps, IndexedDataset data) {
    return AdaptorTraining.encode(encoder, taps, data, settings.pool(), settings.batchSize());
  }

  private static HyperdimensionalFusion calibrate(Ear.Settings settings, List<Tensor> averages) {
    return HyperdimensionalFusion.calibrate(
        averages,
        new HyperdimensionalFusion.Options(
            settings.hyperDimension(),
            settings.perChannel(),
            settings.scaleLayers(),
            settings.bind(),
            settings.seed()));
  }

  private static long maxParameters(Ear.Settings settings, Model encoder) {
    return settings.maxParameters() > 0
        ? settings.maxParameters()
        : Math.max(LEAST_BUDGET, Math.round(settings.budget() * EarReport.parameters(encoder)));
  }

  private Result learn(
      AdaptorTraining.Encoded train, AdaptorTraining.Encoded held, long maxParameters) {
    List<Integer> described = classes(train.labels());
    @Nullable EarDomain nearest =
        before == null ? null : before.domains.get(before.nearest(train.pooledParts()));
    TreeSet<Integer> all = new TreeSet<>(described);
    if (nearest != null && settings.head() != Ear.Head.NEW) {
      all.addAll(nearest.classes);
    }
    List<Integer> classes = List.copyOf(all);
    if (classes.size() < 2) {
      throw new OutriggerException(
          "The domain '"
              + name
              + "' has rows of class "
              + classes.get(0)
              + " alone: a head needs two classes, of its own or from the head that it shares or"
              + " copies.");
    }
    Tensor features = fusion.standardise(train.averageParts());
    Tensor labels = EarDomain.positions(train.labels(), classes);
    List<Candidate> ranking = search(features, labels, classes.size(), maxParameters);
    try (Rng rng = Rng.named(settings.seed(), "adaptor/" + name)) {
      Sequential network =
          AdaptorSearch.network(ranking.get(0).plan(), fusion.widths(), classes.size(), rng);
      try {
        Map<String, Tensor> masks = new LinkedHashMap<>();
        if (nearest != null && settings.head() != Ear.Head.NEW) {
          takeOver(nearest, network.get(EarDomain.HEAD), classes, masks);
        }
        AdaptorTraining.fit(network, masks, features, labels, settings, name);
        return new Result(
            domain(network, classes, described, train, held),
            ranking,
            nearest == null ? "" : nearest.name);
      } catch (RuntimeException e) {
        network.close();
        throw e;
      }
    }
  }

  /** The labels of a domain's rows, all of which must have a class. */
  static int[] labels(String name, IndexedDataset data) {
    if (!data.labelled() || data.size() == 0) {
      throw new OutriggerException(
          "The data of the domain '"
              + name
              + "' has "
              + (data.size() == 0 ? "no rows" : "no labels")
              + ": EAR learns a domain from labelled rows.");
    }
    int[] labels = data.labels();
    long without = Arrays.stream(labels).filter(label -> label < 0).count();
    if (without > 0) {
      throw new OutriggerException(
          without
              + " of "
              + labels.length
              + " rows of the domain '"
              + name
              + "' have no known class: leave them out, or name all classes.");
    }
    return labels;
  }

  /** The class names with those of more data, which may only add some at the end. */
  static List<String> classNames(@Nullable EarLearned before, IndexedDataset data) {
    List<String> old = before == null ? List.of() : before.classNames;
    List<String> own = data.classNames();
    List<String> longer = own.size() > old.size() ? own : old;
    List<String> shorter = own.size() > old.size() ? old : own;
    if (!longer.subList(0, shorter.size()).equals(shorter)) {
      throw new OutriggerException(
          "'"
              + data.name()
              + "' has the classes "
              + String.join(", ", own)
              + ", but the domains before have "
              + String.join(", ", old)
              + ": name the classes in the same order; new ones come last.");
    }
    return longer;
  }

  private static List<Integer> classes(Tensor labels) {
    return Arrays.stream(Tensors.ints(labels)).distinct().sorted().boxed().toList();
  }

  private List<Candidate> search(Tensor features, Tensor labels, int classes, long maxParameters) {
    try (Rng rng = Rng.named(settings.seed(), "candidates/" + name)) {
      long rows = Math.min(settings.proxyRows(), features.size(0));
      Tensor chosen = rng.permutation(features.size(0)).narrow(0, 0, rows);
      return AdaptorSearch.rank(
          AdaptorSearch.draw(fusion.widths(), maxParameters, settings.candidates(), rng),
          fusion.widths(),
          features.index_select(0, chosen),
          labels.index_select(0, chosen),
          classes,
          settings.initialisations(),
          Rng.derive(settings.seed(), name));
    }
  }

  /** Copies the outputs of a head; if it is shared, they are kept from training. */
  private void takeOver(
      EarDomain source, Layer head, List<Integer> classes, Map<String, Tensor> masks) {
    Tensor rows = EarDomain.positions(EarDomain.indices(source.classes), classes);
    Layer old = source.network.get(EarDomain.HEAD);
    Scopes.grad(
        false,
        () -> {
          for (String part : List.of("weight", "bias")) {
            Tensor target = head.tensor(part);
            target.index_copy_(0, rows, old.tensor(part));
            if (settings.head() == Ear.Head.SHARED) {
              masks.put(
                  EarDomain.HEAD + "." + part,
                  torch.ones_like(target).index_fill_(0, rows, new Scalar(0.0)));
            }
          }
          return true;
        });
  }

  private EarDomain domain(
      Sequential network,
      List<Integer> classes,
      List<Integer> described,
      AdaptorTraining.Encoded train,
      AdaptorTraining.Encoded held) {
    ClassDescriptors sums =
        ClassDescriptors.of(
            fusion.describe(train.pooledParts()),
            EarDomain.positions(train.labels(), described),
            described.size());
    ClassDescriptors descriptors = sums;
    if (settings.bipolar()) {
      descriptors = sums.bipolar();
      sums.close();
    }
    try {
      double[] familiarity =
          Tensors.doubles(
              HyperdimensionalFusion.similarity(
                      fusion.describe(held.pooledParts()), descriptors.vectors())
                  .amax(new long[] {1}, false));
      return new EarDomain(
          name,
          network,
          classes,
          described,
          descriptors,
          Quantiles.of(familiarity, settings.quantile()),
          accuracy(network, classes, held));
    } catch (RuntimeException e) {
      descriptors.close();
      throw e;
    }
  }

  private double accuracy(Sequential network, List<Integer> classes, AdaptorTraining.Encoded held) {
    return Scopes.scoped(
        () ->
            Scopes.grad(
                false,
                () ->
                    network
                        .forward(fusion.standardise(held.averageParts()))
                        .argmax(new LongOptional(1), false)
                        .eq(EarDomain.positions(held.labels(), classes))
                        .to(ScalarType.Double)
                        .mean()
                        .item_double()));
  }
}
