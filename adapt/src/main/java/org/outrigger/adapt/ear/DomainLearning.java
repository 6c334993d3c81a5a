package org.outrigger.adapt.ear;

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
import org.outrigger.core.metric.Quantiles;
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
  record Result(EarDomain domain, List<Candidate> ranking, String nearest) {}

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

  Result learn(AdaptorTraining.Encoded train, AdaptorTraining.Encoded held, long maxParameters) {
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
