package org.outrigger.claims.select;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.outrigger.claims.Claim;
import org.outrigger.claims.Inequality;
import org.outrigger.claims.Scale;
import org.outrigger.claims.setup.DigitExtractors;
import org.outrigger.claims.setup.DigitExtractors.Labels;
import org.outrigger.claims.setup.DigitExtractors.Recipe;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.Methods;
import org.outrigger.core.method.Room;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.torch.Scopes;
import org.outrigger.select.ModelScore;

/** No score may like a model better that was pre-trained on shuffled labels. */
public final class ScoresOfShuffledPretraining implements Claim {
  private static final String TUNED = "fine-tuned accuracy";

  @Override
  public String slug() {
    return "transferability-baselines";
  }

  @Override
  public Room room() {
    return Room.SELECT;
  }

  @Override
  public String title() {
    return "Transferability scores tell a model that learned nothing";
  }

  @Override
  public String promise() {
    return "A transferability score ranks a model that was pre-trained on shuffled labels below the"
        + " same one pre-trained on true labels.";
  }

  @Override
  public String paper() {
    return "LEEP (ICML 2020), NLEEP (CVPR 2021), NCE (ICCV 2019), LogME (ICML 2021), H-score (ICIP"
        + " 2019), regularised H-score (ECML-PKDD 2022), GBC (CVPR 2022), SFDA (ECCV 2022), PARC"
        + " (NeurIPS 2021), TransRate (ICML 2022)";
  }

  @Override
  public String tried() {
    return "A first version had weight decay 0.03 as well; 60 epochs of it with shuffled labels leave"
        + " features that are constant, for which no score is defined. Without decay LEEP, NCE, SFDA"
        + " and TransRate prefer true labels, and the others do not. They do not err about what they"
        + " measure: k-NN and a linear probe on the same frozen features do better with shuffled"
        + " labels too. Networks this small that learn the digits 0 to 4 by heart give up what parts"
        + " 5 to 9, while those that learn nothing stay near their random start, which keeps it. No"
        + " further set-up was tried.";
  }

  /** The scores of the statement: all but TMI, which has a claim of its own. */
  private static Stream<Card> judged() {
    return Methods.cards(ModelScore.class).stream().filter(card -> !card.slug().equals("tmi"));
  }

  @Override
  public List<Inequality> statement() {
    return judged()
        .map(card -> Inequality.above(card.name() + " clean", card.name() + " shuffled"))
        .toList();
  }

  @Override
  public List<String> baselines() {
    return List.of("the same network pre-trained on shuffled labels");
  }

  @Override
  public String protocol() {
    return "MLPs (64-64-32, ReLU) are pre-trained on the 8x8 digits 0 to 4 with SGD (0.05, momentum"
        + " 0.9, batches of 64) for 1, 10 or 60 epochs from two initialisations, once with the true"
        + " labels and once with the same labels in random order. There is no weight decay: with"
        + " 0.03 and shuffled labels the features die out and have no score. Every score, with its"
        + " paper's settings, judges the models on 120 labelled digits 5 to 9. Figures are means"
        + " over the six pairs. TMI, and the accuracy after fine-tuning as the claim tmi does it, are"
        + " shown beside them but not part of the statement.";
  }

  @Override
  public Map<String, Double> run(long seed, Scale scale) {
    List<ModelScore> scores =
        Methods.cards(ModelScore.class).stream()
            .map(card -> Methods.create(ModelScore.class, card.slug(), Map.of()))
            .toList();
    Map<String, Double> figures = new LinkedHashMap<>();
    for (ModelScore score : scores) {
      figures.put(score.card().name() + " clean", 0.0);
      figures.put(score.card().name() + " shuffled", 0.0);
    }
    figures.put(TUNED + " clean", 0.0);
    figures.put(TUNED + " shuffled", 0.0);
    int[] epochs = scale == Scale.FULL ? new int[] {1, 10, 60} : new int[] {2};
    int starts = scale.pick(2, 1);
    try (DigitExtractors extractors = DigitExtractors.open(seed)) {
      for (int passes : epochs) {
        for (int start = 0; start < starts; start++) {
          int from = start;
          for (Labels labels : List.of(Labels.CLEAN, Labels.SHUFFLED)) {
            Scopes.run(
                () -> {
                  Recipe recipe = new Recipe(passes, 0, labels, from);
                  try (NeuralModel model = extractors.pretrain(recipe)) {
                    String suffix = labels == Labels.CLEAN ? " clean" : " shuffled";
                    figures.merge(
                        TUNED + suffix, extractors.fineTuned(model, recipe, scale), Double::sum);
                    extractors
                        .score(model, scores)
                        .forEach((name, value) -> figures.merge(name + suffix, value, Double::sum));
                  }
                });
          }
        }
      }
    }
    figures.replaceAll((name, sum) -> sum / ((double) epochs.length * starts));
    return figures;
  }
}
