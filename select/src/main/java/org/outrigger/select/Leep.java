package org.outrigger.select;

import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.torch.Scopes;

/**
 * LEEP: the mean log-likelihood of the target labels if each is guessed from the model's own
 * classes: {@code mean_i log sum_z P(y_i | z) Q_iz}, with P(y | z) counted on the same rows. At
 * most 0.
 *
 * <p>Nguyen, Hassner, Seeger, Archambeau. LEEP: A New Measure to Evaluate Transferability of
 * Learned Representations. ICML 2020.
 */
@Card(
    slug = "leep",
    name = "LEEP",
    summary = "How well the model's own class probabilities foretell the target labels.",
    paper =
        "Nguyen, Hassner, Seeger, Archambeau. LEEP: A New Measure to Evaluate Transferability of"
            + " Learned Representations. ICML 2020",
    year = 2020,
    room = Room.SELECT,
    needs = {Need.LOGITS, Need.LABELS})
public final class Leep implements ModelScore {
  /** It has no hyper-parameter. */
  public record Settings() {
    public static Settings defaults() {
      return new Settings();
    }
  }

  private final Settings settings;

  public Leep() {
    this(Settings.defaults());
  }

  public Leep(Settings settings) {
    this.settings = settings;
  }

  /**
   * The likelihood of each row's label, [N].
   *
   * @param probabilities of the model's own classes, or of the components of a mixture, [N, S]
   * @param labels int64 [N] in 0 .. C-1, each class with a row
   */
  public static Tensor likelihoods(Tensor probabilities, Tensor labels) {
    return Scopes.tensor(
        () -> {
          Rows rows = Rows.of(probabilities);
          long classes = labels.max().item_long() + 1;
          Tensor joint = rows.sums(labels, classes); // [C, S], times N
          Tensor mass = joint.sum(0);
          Tensor conditional =
              joint.div_(mass.masked_fill(mass.eq(new Scalar(0.0)), new Scalar(1.0)));
          Tensor likelihoods = Rows.zeros(rows.size());
          rows.forEach(
              (block, from, length) ->
                  likelihoods
                      .narrow(0, from, length)
                      .copy_(
                          block
                              .mul(conditional.index_select(0, labels.narrow(0, from, length)))
                              .sum(1)));
          return likelihoods;
        });
  }

  /**
   * The score; a row whose likelihood is 0 counts -log C.
   *
   * @param probabilities [N, S]
   * @param labels int64 [N] in 0 .. C-1, each class with a row
   */
  public static double score(Tensor probabilities, Tensor labels) {
    return Scopes.scoped(
        () -> {
          Tensor likelihoods = likelihoods(probabilities, labels);
          double classes = labels.max().item_long() + 1.0;
          return likelihoods
              .masked_fill(likelihoods.eq(new Scalar(0.0)), new Scalar(1 / classes))
              .log()
              .mean()
              .item_double();
        });
  }

  @Override
  public double score(Candidate candidate) {
    return Scopes.scoped(
        () -> score(candidate.requireProbabilities(this), candidate.denseLabels(this)));
  }

  @Override
  public Settings settings() {
    return settings;
  }
}
