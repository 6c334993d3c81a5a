package org.outrigger.select.data;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.stream.Collectors;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Scopes;

/** One number a sample that says how much is to be learned from it. */
public interface SampleScore {
  /** What it is called in settings and reports. */
  String label();

  /**
   * The scores of some samples.
   *
   * @return float64 [N]
   */
  Tensor of(Evidence evidence);

  /**
   * What is known about N samples; tensors are borrowed.
   *
   * @param inputs [N, ...]
   * @param logits [N, C]
   * @param labels int64 [N], 0 or more
   * @param gradientNorms [N], of the layer that sample vectors are taken of
   * @param logitsWithout [N, C] with the removable field set to 0; null if there is no such field
   */
  record Evidence(
      Tensor inputs,
      Tensor logits,
      Tensor labels,
      Tensor gradientNorms,
      @Nullable Tensor logitsWithout) {}

  /** The scores that are built in. */
  enum Builtin implements SampleScore {
    /** Log perplexity: the sample's loss. */
    PERPLEXITY {
      @Override
      public Tensor of(Evidence e) {
        return TokenScores.logPerplexity(e.logits().unsqueeze(1), e.labels().unsqueeze(1));
      }
    },
    /** How far the predicted probabilities are from the label. */
    EL2N {
      @Override
      public Tensor of(Evidence e) {
        return TokenScores.el2n(e.logits().unsqueeze(1), e.labels().unsqueeze(1));
      }
    },
    /** How undecided the prediction is. */
    ENTROPY {
      @Override
      public Tensor of(Evidence e) {
        return TokenScores.entropy(e.logits().unsqueeze(1));
      }
    },
    /** How much the removable field of the input helps; 1 where there is none. */
    GROUNDING {
      @Override
      public Tensor of(Evidence e) {
        Tensor with = PERPLEXITY.of(e);
        Tensor removed = e.logitsWithout();
        return removed == null
            ? with.mul(new Scalar(0)).exp()
            : TokenScores.grounding(
                TokenScores.logPerplexity(removed.unsqueeze(1), e.labels().unsqueeze(1)), with);
      }
    },
    /** The norm of the sample's gradient. */
    GRAND {
      @Override
      public Tensor of(Evidence e) {
        return Scopes.tensor(() -> e.gradientNorms().to(ScalarType.Double));
      }
    };

    @Override
    public String label() {
      return name().toLowerCase(Locale.ROOT);
    }
  }

  /**
   * The built-in scores of these names.
   *
   * @throws OutriggerException if there is no such score, or none is named
   */
  static List<SampleScore> of(List<String> names) {
    if (names.isEmpty() || new LinkedHashSet<>(names).size() < names.size()) {
      throw new OutriggerException("Name at least one score, each once: " + all() + ".");
    }
    List<SampleScore> scores = new ArrayList<>();
    for (String name : names) {
      scores.add(
          Arrays.stream(Builtin.values())
              .filter(score -> score.label().equals(name))
              .findFirst()
              .orElseThrow(
                  () ->
                      new OutriggerException(
                          "There is no score '" + name + "': choose from " + all() + ".")));
    }
    return scores;
  }

  private static String all() {
    return Arrays.stream(Builtin.values()).map(Builtin::label).collect(Collectors.joining(", "));
  }
}
