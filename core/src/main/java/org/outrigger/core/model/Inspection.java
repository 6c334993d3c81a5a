package org.outrigger.core.model;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.Methods;
import org.outrigger.core.method.Need;
import org.outrigger.core.torch.Scopes;

/**
 * What a model is made of, what it offers, and which methods apply to it. All parts are records of
 * simple values, so that it can be written as JSON as it is.
 *
 * @param name what the model is called
 * @param format such as {@code TorchScript}
 * @param inputShape of one row, 0 where any size will do; empty if unknown
 * @param classes the number of classes; -1 if unknown
 * @param layers in the model's order
 * @param parameters the number of values that training may change or has frozen
 * @param trainable how many of them ask for gradients
 * @param buffers the number of other values that are saved with the model
 * @param norms its normalisation layers
 * @param featurePoints inner layers whose outputs it can give
 * @param features whether it gives penultimate features
 * @param head its last linear layer, or null
 * @param offers what it offers to methods
 * @param methods every method, and whether it applies
 * @param notes anything a user should know
 */
public record Inspection(
    String name,
    String format,
    List<Long> inputShape,
    int classes,
    List<Layer> layers,
    long parameters,
    long trainable,
    long buffers,
    List<Norm> norms,
    List<String> featurePoints,
    boolean features,
    @Nullable Head head,
    List<String> offers,
    List<Fit> methods,
    List<String> notes) {

  /**
   * A layer.
   *
   * @param path its place; empty for the whole
   * @param kind such as {@code Conv2d}
   * @param parameters values of its own
   * @param outputShape for one row; null if unknown
   */
  public record Layer(
      String path, String kind, long parameters, @Nullable List<Long> outputShape) {}

  /** A normalisation layer; {@code running} tells whether it keeps running statistics. */
  public record Norm(String path, String kind, boolean running) {}

  /** The last linear layer: from {@code features} values to {@code classes}. */
  public record Head(long classes, long features) {}

  /**
   * Whether a method applies to the model.
   *
   * @param slug the method's short name
   * @param name as the field writes it
   * @param room where it belongs
   * @param applies whether the model meets its needs
   * @param missing what the model lacks, in words; empty if it applies
   * @param data what it needs of the data, in words
   */
  public record Fit(
      String slug,
      String name,
      String room,
      boolean applies,
      List<String> missing,
      List<String> data) {}

  /** Inspects a model; it is run once if it says what inputs it takes. */
  public static Inspection of(Model model) {
    return of(model, null);
  }

  /**
   * Inspects a model and runs it once on zeros, so that output shapes are known.
   *
   * @param inputShape of one row, such as [3, 32, 32]; null for what the model says itself
   * @throws OutriggerException if the model cannot take inputs of that shape
   */
  public static Inspection of(Model model, long @Nullable [] inputShape) {
    Description described =
        model instanceof Describable describable ? describable.describe() : unknown(model);
    List<String> notes = new ArrayList<>(described.notes());
    Map<String, List<Long>> shapes = Map.of();
    if (inputShape != null) {
      shapes = shapes(model, inputShape, points(model));
    } else if (!described.inputShape().isEmpty()
        && described.inputShape().stream().allMatch(size -> size > 0)) {
      long[] own = described.inputShape().stream().mapToLong(Long::longValue).toArray();
      try {
        shapes = shapes(model, own, points(model));
      } catch (OutriggerException e) {
        notes.add("it could not be run on the inputs that it asks for: " + e.firstLine());
      }
    }
    Map<String, List<Long>> known = shapes;
    LinearHead head =
        model
            .as(Capabilities.HasLinearHead.class)
            .map(Capabilities.HasLinearHead::head)
            .orElse(null);
    List<Capabilities.NormLayer> norms =
        model
            .as(Capabilities.HasNormLayers.class)
            .map(Capabilities.HasNormLayers::normLayers)
            .orElse(List.of());
    Set<Need> offers = model.offers();
    return new Inspection(
        model.name(),
        described.format(),
        inputShape != null ? Arrays.stream(inputShape).boxed().toList() : described.inputShape(),
        model.classes(),
        described.layers().stream()
            .map(l -> new Layer(l.path(), l.kind(), l.parameters(), known.get(l.path())))
            .toList(),
        total(described.parameters()),
        total(described.parameters().stream().filter(Description.Stored::trainable).toList()),
        total(described.buffers()),
        norms.stream().map(n -> new Norm(n.name(), n.kind(), n.runningMean() != null)).toList(),
        model.featurePoints(),
        offers.contains(Need.FEATURES),
        head == null ? null : new Head(head.weight().size(0), head.weight().size(1)),
        offers.stream().sorted().map(Need::name).toList(),
        fits(Methods.cards(), offers),
        List.copyOf(notes));
  }

  private static Description unknown(Model model) {
    return new Description(
        model.getClass().getSimpleName(),
        List.of(),
        List.of(),
        List.of(),
        List.of(),
        List.of("it does not say what it is made of"));
  }

  private static long total(List<Description.Stored> tensors) {
    return tensors.stream().mapToLong(Description.Stored::count).sum();
  }

  private static Map<String, List<Long>> shapes(Model model, long[] row, List<String> points) {
    long[] batch = new long[row.length + 1];
    batch[0] = 1;
    System.arraycopy(row, 0, batch, 1, row.length);
    return Scopes.scoped(
        () -> {
          Output output =
              model.predict(torch.zeros(batch, new TensorOptions(ScalarType.Float)), points);
          Map<String, List<Long>> shapes = new LinkedHashMap<>();
          output.maps().forEach((path, map) -> shapes.put(path, row(map.shape())));
          shapes.put("", row(output.logits().shape()));
          return shapes;
        });
  }

  private static List<String> points(Model model) {
    return model.featurePoints().stream().filter(point -> !point.isEmpty()).toList();
  }

  private static List<Long> row(long[] shape) {
    return Arrays.stream(shape).skip(1).boxed().toList();
  }

  static List<Fit> fits(List<Card> cards, Set<Need> offers) {
    return cards.stream().map(card -> fit(card, offers)).toList();
  }

  private static Fit fit(Card card, Set<Need> offers) {
    List<Need> needs = Arrays.stream(card.needs()).sorted(Comparator.naturalOrder()).toList();
    List<String> missing =
        needs.stream()
            .filter(need -> !need.ofData() && !offers.contains(need))
            .map(Need::meaning)
            .toList();
    return new Fit(
        card.slug(),
        card.name(),
        card.room().name().toLowerCase(Locale.ROOT),
        missing.isEmpty(),
        missing,
        needs.stream().filter(Need::ofData).map(Need::meaning).toList());
  }

  /** As text for a terminal. */
  public String render() {
    StringBuilder text = new StringBuilder();
    text.append(name).append(" (").append(format).append(")\n");
    line(text, "inputs", inputShape.isEmpty() ? "unknown" : shape(inputShape));
    line(text, "classes", classes < 0 ? "unknown before the first prediction" : classes);
    line(
        text,
        "parameters",
        String.format(Locale.ROOT, "%,d (%,d trainable)", parameters, trainable));
    line(text, "buffers", String.format(Locale.ROOT, "%,d", buffers));
    Head last = head;
    line(
        text,
        "linear head",
        last == null ? "none" : last.features() + " features to " + last.classes() + " classes");
    line(text, "features", features ? "yes" : "no");
    line(
        text,
        "norm layers",
        norms.isEmpty()
            ? "none"
            : norms.size()
                + " ("
                + norms.stream().map(Norm::kind).distinct().collect(Collectors.joining(", "))
                + ")");
    line(text, "offers", String.join(", ", offers).toLowerCase(Locale.ROOT));
    notes.forEach(note -> line(text, "note", note));
    if (!layers.isEmpty()) {
      text.append("\nLayers\n");
      List<String[]> rows = new ArrayList<>();
      rows.add(new String[] {"path", "kind", "parameters", "output"});
      for (Layer layer : layers) {
        rows.add(
            new String[] {
              layer.path().isEmpty() ? "(whole)" : layer.path(),
              layer.kind(),
              layer.parameters() == 0 ? "" : String.format(Locale.ROOT, "%,d", layer.parameters()),
              layer.outputShape() == null ? "" : shape(layer.outputShape())
            });
      }
      table(text, rows);
    }
    if (!featurePoints.isEmpty()) {
      text.append("\nFeature points\n  ")
          .append(
              featurePoints.stream()
                  .filter(point -> !point.isEmpty())
                  .collect(Collectors.joining(", ")))
          .append('\n');
    }
    if (!methods.isEmpty()) {
      text.append("\nMethods\n");
      List<String[]> rows = new ArrayList<>();
      rows.add(new String[] {"method", "room", "applies", "why not / what the data must have"});
      for (Fit fit : methods) {
        rows.add(
            new String[] {
              fit.slug(),
              fit.room(),
              fit.applies() ? "yes" : "no",
              fit.applies()
                  ? String.join("; ", fit.data())
                  : "needs " + String.join("; ", fit.missing())
            });
      }
      table(text, rows);
    }
    return text.toString();
  }

  private static void line(StringBuilder text, String key, Object value) {
    text.append(String.format(Locale.ROOT, "  %-12s %s%n", key, value));
  }

  private static String shape(List<Long> shape) {
    return shape.stream()
        .map(size -> size == 0 ? "any" : size.toString())
        .collect(Collectors.joining(" x "));
  }

  private static void table(StringBuilder text, List<String[]> rows) {
    int[] widths = new int[rows.get(0).length];
    for (String[] row : rows) {
      for (int i = 0; i < row.length; i++) {
        widths[i] = Math.max(widths[i], row[i].length());
      }
    }
    for (String[] row : rows) {
      StringBuilder line = new StringBuilder(" ");
      for (int i = 0; i < row.length; i++) {
        line.append(' ').append(row[i]).append(" ".repeat(widths[i] - row[i].length())).append(' ');
      }
      text.append(line.toString().stripTrailing()).append('\n');
    }
  }
}
