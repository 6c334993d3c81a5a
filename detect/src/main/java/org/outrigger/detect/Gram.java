package org.outrigger.detect;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.regex.Pattern;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.model.Model;
import org.outrigger.core.model.Outputs;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;
import org.outrigger.core.torch.Tensors;

/**
 * Gram matrices: feature correlations in the inner layers that leave the range seen for the
 * predicted class. For a layer's map F and each power p the row sums of {@code F^p (F^p)^T}, as
 * {@code sign(r) |r|^(1/p)}, are compared channel by channel with their known minimum and maximum;
 * the score is {@code sum_layers [sum_p deviation_p / normaliser] / max_c p_c}.
 *
 * <p>Sastry and Oore, "Detecting Out-of-Distribution Examples with Gram Matrices", ICML 2020. Nine
 * tenths of each class (at random, at least one row less than all) give the ranges, the rest gives
 * each layer's normaliser, its mean deviation. Only ranges are kept, so that memory does not grow
 * with the data.
 */
@Card(
    slug = "gram",
    name = "Gram matrices",
    summary = "Feature correlations in inner layers outside the range of the predicted class.",
    paper = "Sastry, Oore. Detecting Out-of-Distribution Examples with Gram Matrices. ICML 2020",
    year = 2020,
    room = Room.DETECT,
    needs = {Need.LOGITS, Need.FEATURE_MAPS, Need.LABELS},
    state =
        "for each layer, class, power and channel a minimum and a maximum; a normaliser a layer")
public final class Gram extends FittedDetector<Gram.Settings> {
  private static final double EPSILON = 1e-6;
  private static final double SMALLEST_NORMALISER = 1e-12;
  private static final double HELD_SHARE = 0.1;
  private static final Pattern USUAL = Pattern.compile("conv|relu|act", Pattern.CASE_INSENSITIVE);

  /**
   * @param layers the inner layers to watch; empty for the model's convolutions and activations
   * @param powers the powers 1 .. powers are used; 5 by default
   * @param seed of the split of each class
   */
  public record Settings(List<String> layers, int powers, long seed) {
    public Settings {
      layers = List.copyOf(layers);
      HyperParameter.between("powers", powers, 1, 20);
    }

    public static Settings defaults() {
      return new Settings(List.of(), 5, 0);
    }
  }

  public Gram() {
    this(Settings.defaults());
  }

  public Gram(Settings settings) {
    super(settings);
  }

  /**
   * The row sums of the p-th Gram matrix, brought back to the scale of the activations.
   *
   * @param map [N, channels, ...]; [N, channels] has one position
   * @param power p, at least 1
   * @return float64 [N, channels]
   */
  public static Tensor values(Tensor map, int power) {
    Tensor raised =
        map.to(ScalarType.Double).reshape(map.size(0), map.size(1), -1).pow(new Scalar(power));
    // Row c of the Gram matrix sums to sum_s F_cs (sum_c' F_c's): the matrix itself is not needed.
    Tensor sums = raised.mul(raised.sum(new long[] {1}, true, null)).sum(2);
    return sums.sign().mul(sums.abs().pow(new Scalar(1.0 / power)));
  }

  /**
   * How far values leave their ranges, relative to the range's ends and summed over channels.
   *
   * @param values [N, ..., channels]
   * @param min the least known values, of a shape that broadcasts
   * @param max the largest known values, likewise
   * @return [N, ...], 0 or more
   */
  public static Tensor deviation(Tensor values, Tensor min, Tensor max) {
    Scalar epsilon = new Scalar(EPSILON);
    return torch
        .relu(min.sub(values))
        .div(min.add(epsilon).abs())
        .add(torch.relu(values.sub(max)).div(max.add(epsilon).abs()))
        .sum(-1);
  }

  /** All powers: float64 [N, powers, channels]. */
  private Tensor values(Tensor map) {
    TensorVector parts = new TensorVector();
    for (int power = 1; power <= settings().powers(); power++) {
      parts.push_back(values(map, power));
    }
    return torch.stack(parts, 1);
  }

  /**
   * The layers of the settings. Without any, the model's convolutions and activations by name: the
   * last part of the path starts with {@code conv}, {@code relu} or {@code act}; every feature
   * point if no name does.
   */
  @Override
  public List<String> maps(Model model) {
    if (!settings().layers().isEmpty()) {
      return settings().layers();
    }
    List<String> points = model.featurePoints();
    List<String> usual =
        points.stream()
            .filter(p -> USUAL.matcher(p.substring(p.lastIndexOf('.') + 1)).lookingAt())
            .toList();
    return usual.isEmpty() ? points : usual;
  }

  @Override
  protected Fitted learn(Outputs known) {
    Tensor held = held(known);
    Map<String, Tensor> least = new TreeMap<>();
    Map<String, Tensor> most = new TreeMap<>();
    Map<String, Double> deviations = new LinkedHashMap<>();
    try {
      long heldRows =
          walk(
              known,
              held,
              false,
              (layer, labels, values) -> {
                Tensor empty = least.get(layer);
                if (empty == null) {
                  long[] shape = {known.classes(), settings().powers(), values.size(2)};
                  least.put(layer, Scopes.own(full(shape, Double.POSITIVE_INFINITY)));
                  most.put(layer, Scopes.own(full(shape, Double.NEGATIVE_INFINITY)));
                }
                Tensor rows = labels.view(-1, 1, 1).expand_as(values);
                at(least, layer).scatter_reduce_(0, rows, values, "amin", true);
                at(most, layer).scatter_reduce_(0, rows, values, "amax", true);
              });
      walk(
          known,
          held,
          true,
          (layer, labels, values) -> {
            Tensor min = at(least, layer).index_select(0, labels);
            Tensor max = at(most, layer).index_select(0, labels);
            deviations.merge(layer, deviation(values, min, max).sum().item_double(), Double::sum);
          });
      Fitted fitted = new Fitted(known.classes(), 0);
      for (String layer : least.keySet()) {
        double mean = deviations.getOrDefault(layer, 0.0) / heldRows;
        fitted
            .with("min/" + layer, at(least, layer).clone())
            .with("max/" + layer, at(most, layer).clone())
            .with("normaliser/" + layer, Math.max(mean, SMALLEST_NORMALISER));
      }
      return fitted;
    } finally {
      least.values().forEach(Scopes::release);
      most.values().forEach(Scopes::release);
    }
  }

  private static Tensor full(long[] shape, double value) {
    return torch.full(shape, new Scalar(value), new TensorOptions(ScalarType.Double));
  }

  private Tensor at(Map<String, Tensor> maps, String layer) {
    Tensor tensor = maps.get(layer);
    if (tensor == null) {
      throw new OutriggerException(
          who()
              + " needs the output of the layer '"
              + layer
              + "' in every batch. Ask the model for the layers that maps(model) names.");
    }
    return tensor;
  }

  /** One layer of the chosen rows of one batch. */
  private interface Visitor {
    void visit(String layer, Tensor labels, Tensor values);
  }

  /** Visits the layers of the rows that are held out, or of the others; gives the held count. */
  private long walk(Outputs known, Tensor held, boolean wanted, Visitor visitor) {
    long[] from = {0};
    Rows.forEach(
        who(),
        known,
        rows -> {
          Tensor here = held.narrow(0, from[0], rows.size());
          from[0] += rows.size();
          Tensor chosen = (wanted ? here : here.logical_not()).nonzero().flatten();
          if (chosen.numel() == 0) {
            return;
          }
          Tensor labels = rows.labels().index_select(0, chosen);
          for (String layer : layers(rows.maps())) {
            Scopes.run(
                () ->
                    visitor.visit(
                        layer,
                        labels,
                        values(checked(layer, rows.maps()).index_select(0, chosen))));
          }
        });
    return held.sum().item_long();
  }

  private Iterable<String> layers(Map<String, Tensor> maps) {
    if (maps.isEmpty()) {
      throw new OutriggerException(
          who()
              + " needs the outputs of inner layers, but these outputs hold none. Ask the model for"
              + " the layers that maps(model) names; if there are none, use a method that needs"
              + " logits or features only.");
    }
    return settings().layers().isEmpty() ? new TreeSet<>(maps.keySet()) : settings().layers();
  }

  private Tensor checked(String layer, Map<String, Tensor> maps) {
    Tensor map = at(maps, layer);
    if (map.dim() < 2) {
      throw new OutriggerException(
          who()
              + " needs maps [N, channels, ...], but the layer '"
              + layer
              + "' gives no channels.");
    }
    Shapes.finite("The output of the layer '" + layer + "'", map);
    return map;
  }

  /**
   * Which known rows are held out: a tenth of each class at random, one row at least.
   *
   * @return bool [n]
   */
  private Tensor held(Outputs known) {
    List<Tensor> parts = new ArrayList<>();
    try (Rng rng = Rng.named(settings().seed(), "gram")) {
      Rows.forEach(who(), known, rows -> parts.add(Scopes.own(rows.labels().clone())));
      Tensor labels = torch.cat(new TensorVector(parts.toArray(new Tensor[0])), 0);
      Tensor counts = torch.one_hot(labels, known.classes()).sum(0);
      long[] sizes = Tensors.longs(counts);
      for (int c = 0; c < sizes.length; c++) {
        if (sizes[c] < 2) {
          throw new OutriggerException(
              who()
                  + " needs at least two known rows of each class, but class "
                  + c
                  + " has "
                  + sizes[c]
                  + ".");
        }
      }
      Tensor order = rng.permutation(labels.size(0));
      Tensor position = Classes.positions(labels.index_select(0, order), known.classes());
      Tensor quota =
          counts
              .to(ScalarType.Double)
              .mul(new Scalar(HELD_SHARE))
              .floor()
              .clamp_min(new Scalar(1.0))
              .to(ScalarType.Long)
              .index_select(0, labels.index_select(0, order));
      Tensor held = position.lt(quota);
      return torch.empty_like(held).index_copy_(0, order, held);
    } finally {
      parts.forEach(Scopes::release);
    }
  }

  @Override
  protected void shapes(Shapes shapes, Fitted fitted) {
    for (String layer : fittedLayers(fitted)) {
      String channels = "the channels of " + layer;
      shapes
          .tensor(
              "The saved minimum of " + layer, fitted.tensor("min/" + layer), "C", "P", channels)
          .tensor(
              "The saved maximum of " + layer, fitted.tensor("max/" + layer), "C", "P", channels);
      HyperParameter.positive("normaliser", fitted.number("normaliser/" + layer));
    }
  }

  private static Iterable<String> fittedLayers(Fitted fitted) {
    TreeSet<String> layers = new TreeSet<>();
    fitted
        .tensors()
        .keySet()
        .forEach(
            name -> {
              if (name.startsWith("min/")) {
                layers.add(name.substring("min/".length()));
              }
            });
    return layers;
  }

  @Override
  protected Tensor score(Fitted fitted, Rows rows) {
    Tensor logits = rows.logits().to(ScalarType.Double);
    Shapes.check()
        .size("C", fitted.classes(), "the data that " + who() + " was fitted on")
        .tensor("The logits", logits, "N", "C");
    layers(rows.maps());
    Tensor predicted = Classes.predicted(logits);
    Tensor total = torch.zeros(new long[] {rows.size()}, new TensorOptions(ScalarType.Double));
    for (String layer : fittedLayers(fitted)) {
      Scopes.run(
          () -> {
            Tensor values = values(checked(layer, rows.maps()));
            Tensor min = fitted.tensor("min/" + layer).index_select(0, predicted);
            Tensor max = fitted.tensor("max/" + layer).index_select(0, predicted);
            Shapes.check()
                .size("channels", min.size(2), "the data that " + who() + " was fitted on")
                .tensor("The output of the layer '" + layer + "'", values, "N", "P", "channels");
            total.add_(
                deviation(values, min, max)
                    .sum(1)
                    .div(new Scalar(fitted.number("normaliser/" + layer))));
          });
    }
    return total.div(torch.softmax(logits, 1).amax(new long[] {1}, false));
  }
}
