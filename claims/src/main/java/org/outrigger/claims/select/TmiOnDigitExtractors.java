package org.outrigger.claims.select;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.outrigger.claims.Claim;
import org.outrigger.claims.Inequality;
import org.outrigger.claims.Scale;
import org.outrigger.claims.setup.DigitExtractors;
import org.outrigger.claims.setup.DigitExtractors.Labels;
import org.outrigger.claims.setup.DigitExtractors.Recipe;
import org.outrigger.core.method.Room;
import org.outrigger.core.metric.RankCorrelation;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.torch.Scopes;
import org.outrigger.select.Gbc;
import org.outrigger.select.HScore;
import org.outrigger.select.Leep;
import org.outrigger.select.LogMe;
import org.outrigger.select.ModelScore;
import org.outrigger.select.Tmi;
import org.outrigger.select.TransRate;

/** The spread of classes in feature space orders pre-trained models better than LogME does. */
public final class TmiOnDigitExtractors implements Claim {
  private static final int STARTS = 2;

  @Override
  public String slug() {
    return "tmi";
  }

  @Override
  public Room room() {
    return Room.SELECT;
  }

  @Override
  public String title() {
    return "TMI orders pre-trained models as fine-tuning does";
  }

  @Override
  public String promise() {
    return "The spread of each class in feature space orders pre-trained models by what fine-tuning"
        + " makes of them, better than scores of how well features already part the classes.";
  }

  @Override
  public String paper() {
    return "Xu, Kang. Fast and Accurate Transferability Measurement by Evaluating Intra-class"
        + " Feature Variance. ICCV 2023";
  }

  @Override
  public List<Inequality> statement() {
    return List.of(Inequality.above("tau TMI", "tau LogME"));
  }

  @Override
  public List<String> baselines() {
    return List.of("LogME", "LEEP", "H-score", "TransRate", "GBC");
  }

  @Override
  public String protocol() {
    return "MLPs (64-64-32, ReLU) are pre-trained on the 8x8 digits 0 to 4 with SGD (0.05, momentum"
        + " 0.9, batches of 64): 1, 10 or 60 epochs, weight decay 0 or 0.03, true labels or six of"
        + " ten drawn anew, two initialisations each: 24 candidates. Each is scored on 120 labelled"
        + " digits 5 to 9 and then fine-tuned as a whole on them with a new head (20 epochs, rate"
        + " 0.02, batches of 64); accuracy is that on the other digits 5 to 9. Scores have their"
        + " papers' settings and are judged by the weighted Kendall tau with accuracy.";
  }

  @Override
  public String tried() {
    return "The statement depends on how long the candidates are fine-tuned. The first run had batches"
        + " of 32 throughout, which is twice as many steps: there it does not hold (tau of TMI"
        + " -0.01, of LogME 0.50, over seeds 0, 1, 2). The pilot figures of this experiment were"
        + " found to belong to batches of 64, which are used here: 40 steps of fine-tuning, after"
        + " which many candidates have not converged, and those with widely spread features are"
        + " ahead. In both set-ups nine of ten neighbours lie at TMI's floor of 1, so that much of"
        + " its order comes from the few candidates with larger features. Seeds 3 to 7 took no part"
        + " in that choice.";
  }

  @Override
  public Map<String, Double> run(long seed, Scale scale) {
    List<ModelScore> scores =
        List.of(new Tmi(), new LogMe(), new Leep(), new HScore(), new TransRate(), new Gbc());
    Map<String, List<Double>> columns = new LinkedHashMap<>();
    List<Double> accuracies = new ArrayList<>();
    try (DigitExtractors extractors = DigitExtractors.open(seed)) {
      for (Recipe recipe : recipes(scale)) {
        Scopes.run(
            () -> {
              try (NeuralModel model = extractors.pretrain(recipe)) {
                extractors
                    .score(model, scores)
                    .forEach(
                        (name, value) ->
                            columns.computeIfAbsent(name, n -> new ArrayList<>()).add(value));
                accuracies.add(extractors.fineTuned(model, recipe, scale));
              }
            });
      }
    }
    double[] truth = array(accuracies);
    Map<String, Double> figures = new LinkedHashMap<>();
    columns.forEach(
        (name, values) ->
            figures.put("tau " + name, RankCorrelation.weightedKendall(array(values), truth)));
    columns.forEach(
        (name, values) ->
            figures.put("Rel@1 " + name, RankCorrelation.relAtK(array(values), truth, 1)));
    figures.put("worst accuracy", accuracies.stream().min(Double::compare).orElseThrow());
    figures.put("best accuracy", accuracies.stream().max(Double::compare).orElseThrow());
    return figures;
  }

  private static List<Recipe> recipes(Scale scale) {
    List<Recipe> all = new ArrayList<>();
    for (int epochs : scale == Scale.FULL ? new int[] {1, 10, 60} : new int[] {1, 3}) {
      for (double decay : new double[] {0, 0.03}) {
        for (Labels labels : List.of(Labels.CLEAN, Labels.NOISY)) {
          for (int start = 0; start < scale.pick(STARTS, 1); start++) {
            all.add(new Recipe(epochs, decay, labels, start));
          }
        }
      }
    }
    return all;
  }

  private static double[] array(List<Double> values) {
    return values.stream().mapToDouble(Double::doubleValue).toArray();
  }
}
