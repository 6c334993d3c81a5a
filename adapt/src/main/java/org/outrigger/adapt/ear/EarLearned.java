package org.outrigger.adapt.ear;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.T_TensorTensor_T;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.State;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

/** What {@link Ear} has learned, and how rows find their domains. It never changes. */
final class EarLearned {
  private static final String FUSION = "fusion/";
  private static final String DOMAIN = "domain/";

  final List<String> taps;
  final HyperdimensionalFusion fusion;
  final List<String> classNames;
  final List<EarDomain> domains;

  private final Tensor bundles; // float64 [P, D], the class descriptors of all domains
  private final Tensor owners; // int64 [P]
  private final Tensor thresholds; // float64 [domains]

  EarLearned(
      List<String> taps,
      HyperdimensionalFusion fusion,
      List<String> classNames,
      List<EarDomain> domains) {
    this.taps = List.copyOf(taps);
    this.fusion = fusion;
    this.classNames = List.copyOf(classNames);
    this.domains = List.copyOf(domains);
    Tensor[] made = new Tensor[3];
    Scopes.run(
        () -> {
          TensorVector vectors = new TensorVector();
          List<Long> owner = new ArrayList<>();
          for (int d = 0; d < domains.size(); d++) {
            ClassDescriptors descriptors = domains.get(d).descriptors;
            vectors.push_back(descriptors.vectors().to(ScalarType.Double));
            for (long c = 0; c < descriptors.classes(); c++) {
              owner.add((long) d);
            }
          }
          made[0] = Scopes.own(torch.cat(vectors, 0));
          made[1] =
              Scopes.own(
                  Tensors.of(owner.stream().mapToLong(Long::longValue).toArray(), owner.size()));
          made[2] =
              Scopes.own(
                  Tensors.of(
                      domains.stream().mapToDouble(domain -> domain.threshold).toArray(),
                      domains.size()));
        });
    bundles = made[0];
    owners = made[1];
    thresholds = made[2];
  }

  /** The number of outputs C: class names, or classes up to the largest that a domain has. */
  int classes() {
    int largest =
        domains.stream().mapToInt(d -> d.classes.get(d.classes.size() - 1)).max().orElse(-1);
    return Math.max(classNames.size(), largest + 1);
  }

  /** Demands that the taps give as many channels as when they were calibrated. */
  void requireWidths(Taps.Features features) {
    long[] widths = fusion.widths();
    for (int l = 0; l < widths.length; l++) {
      long found = features.averages().get(l).size(1);
      if (found != widths[l]) {
        throw new OutriggerException(
            "The tap '"
                + taps.get(l)
                + "' gives "
                + found
                + " channels, but EAR was calibrated with "
                + widths[l]
                + ": use the encoder and the input size that it was started with.");
      }
    }
  }

  /** Routes and predicts rows. */
  Routed route(Taps.Features features) {
    requireWidths(features);
    Tensor similarity =
        HyperdimensionalFusion.similarity(fusion.describe(features.pooled()), bundles);
    T_TensorTensor_T best = similarity.max(1, false);
    Tensor familiarity = best.get0();
    Tensor domain = owners.index_select(0, best.get1());
    Tensor rows = fusion.standardise(features.averages());
    Tensor logits = nothing(rows.size(0));
    for (int d = 0; d < domains.size(); d++) {
      Tensor own = domain.eq(new Scalar(d)).nonzero().flatten();
      if (own.numel() > 0) {
        EarDomain each = domains.get(d);
        Tensor known = each.logits(rows.index_select(0, own));
        logits.index_copy_(
            0, own, nothing(own.numel()).index_copy_(1, EarDomain.indices(each.classes), known));
      }
    }
    return new Routed(
        logits, familiarity.neg(), domain, familiarity.lt(thresholds.index_select(0, domain)));
  }

  private Tensor nothing(long rows) {
    return torch.full(
        new long[] {rows, classes()},
        new Scalar(Double.NEGATIVE_INFINITY),
        new TensorOptions(ScalarType.Float));
  }

  /** The domain that most rows are routed to. */
  int nearest(List<Tensor> pooled) {
    return Scopes.scoped(
        () -> {
          Tensor similarity = HyperdimensionalFusion.similarity(fusion.describe(pooled), bundles);
          Tensor domain = owners.index_select(0, similarity.max(1, false).get1());
          return (int) torch.bincount(domain).argmax().item_long();
        });
  }

  /** The position of the domain of that name; -1 if there is none. */
  int position(String name) {
    for (int d = 0; d < domains.size(); d++) {
      if (domains.get(d).name.equals(name)) {
        return d;
      }
    }
    return -1;
  }

  /** The domain of that name. */
  EarDomain domain(String name) {
    int position = position(name);
    if (position < 0) {
      throw new OutriggerException(
          "There is no domain '"
              + name
              + "'. There are: "
              + String.join(", ", domains.stream().map(d -> d.name).toList())
              + ".");
    }
    return domains.get(position);
  }

  /** Adds the class descriptors of another one to its own, or changes nothing. */
  void merge(EarLearned other) {
    for (EarDomain theirs : other.domains) {
      EarDomain own = domain(theirs.name);
      if (!own.described.equals(theirs.described)
          || own.descriptors.isBipolar()
          || theirs.descriptors.isBipolar()) {
        throw new OutriggerException(
            "The domain '" + own.name + "' has other classes in the other EAR, or signs alone.");
      }
    }
    Map<String, Tensor> own = fusion.tensors();
    Map<String, Tensor> foreign = other.fusion.tensors();
    boolean same =
        own.keySet().equals(foreign.keySet())
            && own.keySet().stream()
                .allMatch(
                    key ->
                        Objects.requireNonNull(own.get(key))
                            .equal(Objects.requireNonNull(foreign.get(key))));
    if (!same) {
      throw new OutriggerException(
          "The two EARs have other projections or means, so that their descriptors cannot be added:"
              + " merge devices that started from the same saved EAR.");
    }
    other.domains.forEach(theirs -> domain(theirs.name).descriptors.merge(theirs.descriptors));
  }

  /** Adds what it holds to a state. */
  void save(Map<String, Object> values, Map<String, Tensor> tensors) {
    values.put("taps", taps);
    values.put("classNames", classNames);
    values.put("domains", domains.stream().map(EarDomain::values).toList());
    fusion.tensors().forEach((name, tensor) -> tensors.put(FUSION + name, tensor));
    for (int d = 0; d < domains.size(); d++) {
      String prefix = DOMAIN + d + "/";
      domains.get(d).tensors().forEach((name, tensor) -> tensors.put(prefix + name, tensor));
    }
  }

  /** What {@link #save} wrote. */
  @SuppressWarnings("unchecked")
  static EarLearned restored(State state) {
    List<String> taps = texts(state, "taps");
    HyperdimensionalFusion fusion = HyperdimensionalFusion.restored(below(state.tensors(), FUSION));
    List<EarDomain> domains = new ArrayList<>();
    try {
      if (taps.size() != fusion.widths().length) {
        throw EarDomain.damaged("it names " + taps.size() + " taps for other projections");
      }
      if (!(state.values().get("domains") instanceof List<?> saved) || saved.isEmpty()) {
        throw EarDomain.damaged("it has no domains");
      }
      for (int d = 0; d < saved.size(); d++) {
        if (!(saved.get(d) instanceof Map<?, ?> values)) {
          throw EarDomain.damaged("domain " + d + " has no values");
        }
        State own =
            new State(
                state.type(),
                state.version(),
                (Map<String, Object>) values,
                below(state.tensors(), DOMAIN + d + "/"));
        domains.add(EarDomain.restored(own, fusion.widths(), fusion.dimension()));
      }
      return new EarLearned(taps, fusion, texts(state, "classNames"), domains);
    } catch (RuntimeException e) {
      domains.forEach(EarDomain::close);
      fusion.close();
      throw e;
    }
  }

  private static List<String> texts(State state, String name) {
    if (state.values().get(name) instanceof List<?> list) {
      return list.stream().map(String::valueOf).toList();
    }
    throw EarDomain.damaged("it lacks the list of " + name);
  }

  /** Those below a prefix, which is cut off. */
  static Map<String, Tensor> below(Map<String, Tensor> tensors, String prefix) {
    Map<String, Tensor> found = new LinkedHashMap<>();
    tensors.forEach(
        (name, tensor) -> {
          if (name.startsWith(prefix)) {
            found.put(name.substring(prefix.length()), tensor);
          }
        });
    return found;
  }

  /** The tensors [N, C_l] of the taps of tensors side by side; views in the enclosing scope. */
  static List<Tensor> apart(Tensor joined, long[] widths) {
    List<Tensor> parts = new ArrayList<>();
    long from = 0;
    for (long width : widths) {
      parts.add(joined.narrow(1, from, width));
      from += width;
    }
    return parts;
  }

  /** Bytes of routing besides the domains' own descriptors. */
  long bytes() {
    return bundles.nbytes() + owners.nbytes() + thresholds.nbytes();
  }

  /** Releases what routing needs, but neither domains nor fusion: a successor has them. */
  void retire() {
    Scopes.release(bundles);
    Scopes.release(owners);
    Scopes.release(thresholds);
  }

  void close() {
    retire();
    domains.forEach(EarDomain::close);
    fusion.close();
  }

  @Override
  public String toString() {
    return "EarLearned(" + Arrays.toString(fusion.widths()) + ", " + domains.size() + " domains)";
  }
}
