package org.outrigger.detect;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Consumer;
import java.util.function.Function;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.StringViewOptional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptional;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.Batch;
import org.outrigger.core.data.Batches;
import org.outrigger.core.data.Dataset;
import org.outrigger.core.io.State;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Methods;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.model.Model;
import org.outrigger.core.model.Output;
import org.outrigger.core.model.Outputs;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;

/**
 * Several detectors as one: each member's score becomes its mid-rank among the scores of the known
 * data, {@code (below + (equal) / 2) / n}, so that members of any scale count alike; the score is
 * the mean of the ranks, or the largest. It lies in [0, 1], and any strictly rising change of a
 * member's score leaves it as it is.
 *
 * <p>Beyond the largest known score a member's rank stays 1: the ensemble orders inputs by how many
 * members find them unusual, not by how far away they are. A member that memorises its data, such
 * as nearest neighbours, ranks that data too low; fit on as much data as there is.
 *
 * <p>A member that perturbs inputs, such as {@link Odin}, cannot be ranked from outputs alone: fit
 * with {@link #fit(Model, Dataset, Outputs)}.
 */
@Card(
    slug = "rank-ensemble",
    name = "Rank ensemble",
    summary = "Several detectors as one, each by its rank among the known data's scores.",
    paper =
        "Ranks of an empirical distribution function; Borda, Mémoire sur les élections au scrutin,"
            + " 1781",
    year = 1781,
    room = Room.DETECT,
    needs = Need.LOGITS,
    state = "the states of its members and their sorted scores on the known data")
public final class RankEnsemble implements Detector {
  private static final String TYPE = "detector/rank-ensemble";
  private static final int BATCH = 64;

  /**
   * @param members the names of detectors joined by {@code +}; a member's hyper-parameters follow a
   *     slash each: {@code energy/temperature=2+knn/k=20}
   * @param combine {@code mean} or {@code max} of the ranks
   */
  public record Settings(String members, String combine) {
    public Settings {
      HyperParameter.require(!members.isBlank(), "members", members, "detectors joined by +");
      HyperParameter.require(
          combine.equals("mean") || combine.equals("max"), "combine", combine, "mean or max");
    }

    public static Settings defaults() {
      return new Settings("energy+mahalanobis+knn", "mean");
    }
  }

  private volatile Settings settings;
  private volatile Fit fit;

  /**
   * Members with their sorted known scores; an empty list of scores before fitting.
   *
   * @param sorted for each member float64 [n], ascending
   */
  private record Fit(List<Detector> members, List<Tensor> sorted) {}

  public RankEnsemble() {
    this(Settings.defaults());
  }

  public RankEnsemble(Settings settings) {
    this.settings = settings;
    this.fit = new Fit(members(settings), List.of());
  }

  /**
   * An ensemble of detectors that exist already; it fits and closes them.
   *
   * @param members at least one
   * @param combine {@code mean} or {@code max}
   */
  public static RankEnsemble of(List<Detector> members, String combine) {
    if (members.isEmpty()) {
      throw new OutriggerException("A rank ensemble needs at least one member.");
    }
    String names = String.join("+", members.stream().map(m -> m.card().slug()).toList());
    RankEnsemble ensemble = new RankEnsemble(new Settings(names, combine));
    ensemble.replace(new Fit(List.copyOf(members), List.of()), ensemble.settings);
    return ensemble;
  }

  private static List<Detector> members(Settings settings) {
    List<Detector> members = new ArrayList<>();
    for (String member : settings.members.split("\\+(?=[a-zA-Z ])", -1)) {
      String[] parts = member.strip().split("/", -1);
      Map<String, Object> changes = new LinkedHashMap<>();
      for (String part : Arrays.asList(parts).subList(1, parts.length)) {
        int equals = part.indexOf('=');
        HyperParameter.require(
            equals > 0, "members", settings.members, "NAME/KEY=VALUE joined by +");
        changes.put(part.substring(0, equals).strip(), part.substring(equals + 1).strip());
      }
      HyperParameter.require(
          !parts[0].equals("rank-ensemble"), "members", settings.members, "other detectors");
      members.add(Methods.create(Detector.class, parts[0], changes));
    }
    return List.copyOf(members);
  }

  /**
   * Mid-ranks among known scores.
   *
   * @param scores [N]
   * @param sorted float64 [n], ascending, at least one
   * @return float64 [N], in [0, 1]
   */
  public static Tensor ranks(Tensor scores, Tensor sorted) {
    return Scopes.tensor(
        () -> {
          Tensor x = scores.detach().to(ScalarType.Double).contiguous();
          Tensor below = place(sorted, x, false);
          Tensor upTo = place(sorted, x, true);
          return below.add(upTo).to(ScalarType.Double).div(new Scalar(2.0 * sorted.numel()));
        });
  }

  private static Tensor place(Tensor sorted, Tensor x, boolean right) {
    return torch.searchsorted(
        sorted, x, false, right, new StringViewOptional(), new TensorOptional());
  }

  /** The members, in order. */
  public List<Detector> members() {
    return fit.members;
  }

  @Override
  public Set<Need> needs() {
    Set<Need> needs = new LinkedHashSet<>();
    fit.members.forEach(member -> needs.addAll(member.needs()));
    return needs;
  }

  @Override
  public List<String> maps(Model model) {
    Set<String> maps = new LinkedHashSet<>();
    fit.members.forEach(member -> maps.addAll(member.maps(model)));
    return List.copyOf(maps);
  }

  /** Fits members that score from outputs alone, and ranks them on the same data. */
  @Override
  public void fit(Outputs known) {
    refit(
        member -> member.fit(known),
        member -> {
          List<Tensor> parts = new ArrayList<>();
          known.forEach(
              batch -> {
                Tensor labels = batch.labels();
                Tensor scores = member.score(batch.output());
                parts.add(Scopes.own(labels == null ? scores : known(scores, labels)));
              });
          return parts;
        });
  }

  /**
   * Fits members that need the model and the inputs too.
   *
   * @param known the data that {@code outputs} came from
   */
  @Override
  public void fit(Model model, Dataset known, Outputs outputs) {
    refit(
        member -> member.fit(model, known, outputs),
        member -> {
          List<Tensor> parts = new ArrayList<>();
          try (Batches batches = known.batches(BATCH)) {
            while (batches.hasNext()) {
              try (Batch batch = batches.next()) {
                Scopes.run(
                    () -> {
                      Output output = model.predict(batch.inputs(), member.maps(model));
                      Tensor scores = member.score(model, batch.inputs(), output);
                      Tensor labels = batch.labels();
                      parts.add(Scopes.own(labels == null ? scores : known(scores, labels)));
                    });
              }
            }
          }
          return parts;
        });
  }

  private static Tensor known(Tensor scores, Tensor labels) {
    Shapes.check().tensor("The scores", scores, "N").tensor("The labels", labels, "N");
    return scores.index_select(0, labels.ge(new Scalar(0)).nonzero().flatten());
  }

  /** Works on fresh copies of the members, so that a failure leaves the fitted ones. */
  private void refit(Consumer<Detector> fitting, Function<Detector, List<Tensor>> knownScores) {
    List<Detector> fresh = new ArrayList<>();
    List<Tensor> sorted = new ArrayList<>();
    try {
      for (Detector old : fit.members) {
        Detector member = like(old.card().slug(), Methods.values(old.settings()));
        fresh.add(member);
        fitting.accept(member);
        sorted.add(Scopes.scoped(() -> sort(member, knownScores.apply(member))));
      }
      replace(new Fit(List.copyOf(fresh), List.copyOf(sorted)), settings);
    } catch (RuntimeException e) {
      fresh.forEach(Detector::close);
      sorted.forEach(Scopes::release);
      throw e;
    }
  }

  private static Detector like(String slug, Map<String, ?> values) {
    return Methods.create(Detector.class, slug, values);
  }

  private static Tensor sort(Detector member, List<Tensor> parts) {
    try {
      Tensor all =
          parts.isEmpty() ? null : torch.cat(new TensorVector(parts.toArray(new Tensor[0])), 0);
      if (all == null || all.numel() == 0) {
        throw new OutriggerException(
            "The rank ensemble has no known row to rank "
                + member.card().name()
                + " on: the data is empty or every label is below 0.");
      }
      Shapes.finite("The scores of " + member.card().name(), all);
      return Scopes.own(torch.sort(all.to(ScalarType.Double)).get0().contiguous());
    } finally {
      parts.forEach(Scopes::release);
    }
  }

  private void replace(Fit next, Settings nextSettings) {
    Fit old = fit;
    settings = nextSettings;
    fit = next;
    old.members.forEach(
        member -> {
          if (!next.members.contains(member)) {
            member.close();
          }
        });
    old.sorted.forEach(Scopes::release);
  }

  @Override
  public boolean fitted() {
    return !fit.sorted.isEmpty();
  }

  @Override
  public Tensor score(Output output) {
    return combine(member -> member.score(output));
  }

  @Override
  public Tensor score(Model model, Tensor inputs, Output output) {
    return combine(member -> member.score(model, inputs, output));
  }

  private Tensor combine(Function<Detector, Tensor> scores) {
    Fit now = fit;
    if (now.sorted.isEmpty()) {
      throw new OutriggerException(
          "The rank ensemble has not been fitted: call fit with known data first, or restore a saved"
              + " one.");
    }
    boolean largest = settings.combine.equals("max");
    return Scopes.tensor(
        () -> {
          TensorVector ranks = new TensorVector();
          for (int i = 0; i < now.members.size(); i++) {
            Tensor raw = scores.apply(now.members.get(i));
            // A NaN would sort above everything known.
            if (raw.isnan().any().item_bool()) {
              Shapes.finite("The scores of " + now.members.get(i).card().name(), raw);
            }
            ranks.push_back(ranks(raw, now.sorted.get(i)));
          }
          Tensor all = torch.stack(ranks, 0);
          return largest ? all.amax(new long[] {0}, false) : all.mean(0);
        });
  }

  @Override
  public Settings settings() {
    return settings;
  }

  @Override
  public State state() {
    Fit now = fit;
    if (now.sorted.isEmpty()) {
      throw new OutriggerException(
          "The rank ensemble has not been fitted, so there is nothing to save.");
    }
    List<Object> saved = new ArrayList<>();
    Map<String, Tensor> tensors = new LinkedHashMap<>();
    for (int i = 0; i < now.members.size(); i++) {
      Detector member = now.members.get(i);
      State state = member.state();
      Map<String, Object> values = new LinkedHashMap<>();
      values.put("slug", member.card().slug());
      values.put("type", state.type());
      values.put("version", state.version());
      values.put("values", state.values());
      saved.add(values);
      String prefix = "member" + i + "/";
      state.tensors().forEach((name, tensor) -> tensors.put(prefix + name, tensor));
      tensors.put("sorted" + i, now.sorted.get(i));
    }
    Map<String, Object> values = new LinkedHashMap<>();
    values.put("settings", Methods.values(settings));
    values.put("members", saved);
    return new State(TYPE, 1, values, tensors);
  }

  @Override
  public void restore(State state) {
    state.expect(TYPE, 1);
    Settings restored =
        new Settings(
            text(state.map("settings"), "members"), text(state.map("settings"), "combine"));
    if (!(state.values().get("members") instanceof List<?> saved) || saved.isEmpty()) {
      throw damaged("members");
    }
    List<Detector> members = new ArrayList<>();
    List<Tensor> sorted = new ArrayList<>();
    try {
      for (int i = 0; i < saved.size(); i++) {
        members.add(member(saved.get(i), "member" + i + "/", state));
        Tensor scores = state.tensor("sorted" + i);
        Shapes.check().tensor("The saved scores", scores, "n");
        Shapes.notEmpty("The saved scores", scores);
        sorted.add(Scopes.scoped(() -> Scopes.own(scores.detach().to(ScalarType.Double).clone())));
      }
      replace(new Fit(List.copyOf(members), List.copyOf(sorted)), restored);
    } catch (RuntimeException e) {
      members.forEach(Detector::close);
      sorted.forEach(Scopes::release);
      throw e;
    }
  }

  private static Detector member(Object saved, String prefix, State state) {
    if (!(saved instanceof Map<?, ?> map)
        || !(map.get("version") instanceof Number version)
        || !(map.get("values") instanceof Map<?, ?> raw)) {
      throw damaged("members");
    }
    Map<String, Object> values = new LinkedHashMap<>();
    raw.forEach((key, value) -> values.put(String.valueOf(key), value));
    Map<String, Tensor> tensors = new LinkedHashMap<>();
    state
        .tensors()
        .forEach(
            (name, tensor) -> {
              if (name.startsWith(prefix)) {
                tensors.put(name.substring(prefix.length()), tensor);
              }
            });
    Detector member = like(text(map, "slug"), Map.of());
    try {
      member.restore(new State(text(map, "type"), version.intValue(), values, tensors));
      return member;
    } catch (RuntimeException e) {
      member.close();
      throw e;
    }
  }

  private static String text(Map<?, ?> map, String name) {
    if (map.get(name) instanceof String text) {
      return text;
    }
    throw damaged(name);
  }

  private static OutriggerException damaged(String name) {
    return new OutriggerException(
        "The saved rank ensemble lacks '" + name + "': the file is damaged.");
  }

  @Override
  public void close() {
    replace(new Fit(List.of(), List.of()), settings);
  }
}
