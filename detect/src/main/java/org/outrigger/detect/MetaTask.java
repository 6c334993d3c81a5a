package org.outrigger.detect;

import java.util.Collections;
import java.util.List;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.Batch;
import org.outrigger.core.torch.Shapes;

/**
 * One task of {@link Mol}: rows of one distribution to adapt to, and others of the same
 * distribution that tell how well that went.
 *
 * @param name of the distribution, for messages
 * @param support [S, ...], a few rows of each class
 * @param supportLabels int64 [S], each class at least once
 * @param query [Q, ...], known rows that are not in the support set
 * @param queryLabels int64 [Q], each 0 .. C-1
 * @param outliers [M, ...], inputs of no class under the same shift; null for none
 */
public record MetaTask(
    String name,
    Tensor support,
    Tensor supportLabels,
    Tensor query,
    Tensor queryLabels,
    @Nullable Tensor outliers) {
  /**
   * A task of rows that were read from one data set.
   *
   * @throws OutriggerException if support and query are unlabelled or share a row, by its id
   */
  public static MetaTask of(String name, Batch support, Batch query, @Nullable Tensor outliers) {
    Tensor supportLabels = support.labels();
    Tensor queryLabels = query.labels();
    if (supportLabels == null || queryLabels == null) {
      throw new OutriggerException(
          "The task " + name + " has no labels: support and query must be labelled.");
    }
    List<String> shared =
        support.ids().stream().filter(id -> Collections.frequency(query.ids(), id) > 0).toList();
    if (!shared.isEmpty()) {
      throw new OutriggerException(
          "The support and the query set of the task "
              + name
              + " share "
              + shared.size()
              + " rows, the first '"
              + shared.get(0)
              + "': draw them apart, or the task measures what was learned by heart.");
    }
    return new MetaTask(
        name, support.inputs(), supportLabels, query.inputs(), queryLabels, outliers);
  }

  /** Demands what {@link Mol} needs of a task for so many classes. */
  void check(int classes, List<String> classNames) {
    String of = " set of the task " + name;
    checkSupport("The support" + of, support, supportLabels, classes, classNames);
    checkRows("The query" + of, query, queryLabels, classes);
    if (outliers != null) {
      Shapes.notEmpty("The outliers of the task " + name, outliers);
      Shapes.finite("The outliers of the task " + name, outliers);
    }
  }

  /** Demands labelled rows with at least one of each class. */
  static void checkSupport(
      String what, Tensor inputs, Tensor labels, int classes, List<String> classNames) {
    checkRows(what, inputs, labels, classes);
    Tensor none = torch.one_hot(labels, classes).sum(0).eq(new Scalar(0)).nonzero();
    if (none.numel() > 0) {
      int first = (int) none.flatten().min().item_long();
      throw new OutriggerException(
          what
              + " has no row of "
              + none.numel()
              + " of "
              + classes
              + " classes, the first "
              + (classNames.isEmpty() ? "class " + first : "'" + classNames.get(first) + "'")
              + ": give a few labelled rows of every class, or adapting forgets the others.");
    }
  }

  private static void checkRows(String what, Tensor inputs, Tensor labels, int classes) {
    if (inputs.dim() < 2) {
      Shapes.check().tensor(what, inputs, "N", "D");
    }
    Shapes.notEmpty(what, inputs);
    Shapes.check()
        .size("N", inputs.size(0), what)
        .tensor("The labels of " + lower(what), labels, "N");
    Shapes.labels("The labels of " + lower(what), labels, classes, false);
    Shapes.finite(what, inputs);
  }

  private static String lower(String sentence) {
    return Character.toLowerCase(sentence.charAt(0)) + sentence.substring(1);
  }
}
