package org.outrigger.detect;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.core.data.Batch;
import org.outrigger.core.data.IndexedDataset;
import org.outrigger.core.data.UnreadableRow;
import org.outrigger.core.method.Card;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.method.Need;
import org.outrigger.core.method.Room;
import org.outrigger.core.model.Model;
import org.outrigger.core.model.Output;
import org.outrigger.core.optim.OutlierChoice;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

/**
 * OE-M: outlier exposure with the outliers that the network takes for known. Before every epoch it
 * looks at some outliers drawn at random and keeps the most confident, by the largest softmax
 * probability; the loss is {@link OutlierExposure}'s.
 *
 * <p>Chen et al., "ATOM: Robustifying Out-of-distribution Detection Using Outlier Mining", ECML
 * PKDD 2021, in the form that Zhang et al., "Mixture Outlier Exposure", WACV 2023, compare with:
 * 50,000 candidates, twice as many outliers as known rows in a batch.
 */
@Card(
    slug = "hard-outlier-exposure",
    name = "Hard outlier exposure",
    summary = "Outlier exposure with the outliers that look most known, chosen anew each epoch.",
    paper =
        "Chen, Li, Wu, Liang, Jha. ATOM: Robustifying Out-of-distribution Detection Using Outlier"
            + " Mining. ECML PKDD 2021",
    year = 2021,
    room = Room.DETECT,
    needs = {Need.LOGITS, Need.PARAMETER_GRADIENTS, Need.TRAINING, Need.LABELS, Need.OUTLIERS})
public final class HardOutlierExposure implements TrainingObjective, OutlierChoice {
  private static final int BATCH = 256;

  /**
   * @param lambda the weight of the outliers' part, 0 or more
   * @param candidates how many outliers an epoch looks at, 1 or more
   */
  public record Settings(double lambda, int candidates) {
    public Settings {
      HyperParameter.notNegative("lambda", lambda);
      HyperParameter.atLeast("candidates", candidates, 1);
    }

    public static Settings defaults() {
      return new Settings(1, 50_000);
    }
  }

  private final Settings settings;

  public HardOutlierExposure() {
    this(Settings.defaults());
  }

  public HardOutlierExposure(Settings settings) {
    this.settings = Objects.requireNonNull(settings);
  }

  /**
   * The most confident rows.
   *
   * @param logits [N, C]
   * @param count how many to keep, at most N
   * @return int64 [count], the most confident first; of equals the first
   */
  public static Tensor mostConfident(Tensor logits, long count) {
    return Scopes.noGrad(
        () -> torch.argsort(Msp.score(logits, 1), true, 0, false).narrow(0, 0, count));
  }

  /** Rows that cannot be read are never chosen. */
  @Override
  public int[] choose(Model model, IndexedDataset outliers, int count, Rng rng) {
    return Scopes.scoped(
        () -> {
          int[] all = Tensors.ints(rng.permutation(outliers.size()));
          int[] drawn = Arrays.copyOf(all, Math.min(all.length, settings.candidates));
          List<Tensor> logits = new ArrayList<>();
          List<Integer> read = new ArrayList<>();
          for (int from = 0; from < drawn.length; from += BATCH) {
            int[] rows = Arrays.copyOfRange(drawn, from, Math.min(drawn.length, from + BATCH));
            predict(model, outliers, rows, logits, read);
          }
          if (read.isEmpty()) {
            return new int[0];
          }
          Tensor scores = torch.cat(new TensorVector(logits.toArray(new Tensor[0])), 0);
          int[] hardest = Tensors.ints(mostConfident(scores, Math.min(count, read.size())));
          int[] order = Tensors.ints(rng.permutation(hardest.length));
          return Arrays.stream(order).map(i -> read.get(hardest[i])).toArray();
        });
  }

  /** Predicts rows together; where one cannot be read, each by itself. */
  private static void predict(
      Model model, IndexedDataset outliers, int[] rows, List<Tensor> logits, List<Integer> read) {
    try (PointerScope scope = new PointerScope();
        Batch batch = outliers.read(rows)) {
      logits.add(Scopes.keep(new Tensor(model.predict(batch.inputs()).logits())));
      Arrays.stream(rows).forEach(read::add);
    } catch (UnreadableRow e) {
      if (rows.length > 1) {
        Arrays.stream(rows).forEach(row -> predict(model, outliers, new int[] {row}, logits, read));
      }
    }
  }

  @Override
  public Tensor loss(Output output, Tensor labels) {
    Losses.check(output.logits(), labels);
    return Scopes.tensor(
        () ->
            OutlierExposure.loss(
                output.logits(), labels, new OutlierExposure.Settings(settings.lambda, false)));
  }

  @Override
  public Settings settings() {
    return settings;
  }
}
