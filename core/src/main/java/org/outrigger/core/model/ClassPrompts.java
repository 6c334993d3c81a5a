package org.outrigger.core.model;

import java.util.List;
import java.util.Objects;
import java.util.function.UnaryOperator;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.data.Tokenizer;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Shapes;
import org.outrigger.core.zoo.ZeroShotNetwork;

/**
 * The names of classes as weights of a classifier: each name is put into several sentences, and the
 * unit embeddings of these are averaged. Radford et al., ICML 2021, section 3.1.4.
 */
public final class ClassPrompts {
  /** Sentences in which {@code {}} stands for the name of a class. */
  public static final List<String> TEMPLATES =
      List.of(
          "a photo of a {}.",
          "a photo of the {}.",
          "a photo of one {}.",
          "a close-up photo of a {}.",
          "a bright photo of a {}.",
          "a dark photo of a {}.",
          "a blurry photo of a {}.",
          "a photo of a small {}.",
          "a photo of a large {}.",
          "a drawing of a {}.");

  /**
   * Sentences that deny the class, for CLIPN without learned prompts; then each of the other
   * sentences has its denial at the same place.
   */
  public static final List<String> NEGATED =
      List.of(
          "a photo of no {}.",
          "a photo without a {}.",
          "a photo with no {}.",
          "a close-up photo of no {}.",
          "a bright photo without a {}.",
          "a dark photo without a {}.",
          "a blurry photo without a {}.",
          "a photo without a small {}.",
          "a photo without a large {}.",
          "a drawing without a {}.");

  private ClassPrompts() {}

  /**
   * Embeds the names of classes.
   *
   * @param tower tokens [N, L] to embeddings [N, P] of any length, such as {@link
   *     DualEncoder#texts}
   * @param context the most tokens of a text
   * @param templates sentences with {@code {}} in place of the name; at least one
   * @param names at least two, none blank
   * @return unit rows [C, P], owned by the enclosing scope or the caller
   */
  public static Tensor weights(
      UnaryOperator<Tensor> tower,
      Tokenizer tokenizer,
      int context,
      List<String> templates,
      List<String> names) {
    checkNames(names);
    if (templates.isEmpty() || templates.stream().anyMatch(t -> !t.contains("{}"))) {
      throw new OutriggerException(
          "A template is a sentence with {} in place of the class name; these are: " + templates);
    }
    return Scopes.noGrad(
        () -> {
          TensorVector all = new TensorVector();
          for (String template : templates) {
            List<String> texts = names.stream().map(name -> template.replace("{}", name)).toList();
            all.push_back(
                Scopes.tensor(() -> tower.apply(tokenizer.encode(texts, context)).detach()));
          }
          return ensemble(torch.stack(all, 0));
        });
  }

  /** Demands at least two names, none of them blank or twice. */
  public static void checkNames(List<String> names) {
    if (names.size() < 2
        || names.stream().anyMatch(name -> Objects.requireNonNullElse(name, "").isBlank())
        || names.stream().distinct().count() < names.size()) {
      throw new OutriggerException(
          names.isEmpty()
              ? "The list of class names is empty: give at least two."
              : "Class names must be two or more, each different and not blank, but these are: "
                  + names
                  + ".");
    }
  }

  /**
   * One direction a class: the mean of its unit embeddings, of unit length again.
   *
   * @param embeddings [T, C, P] of T sentences
   * @return unit rows [C, P]
   */
  public static Tensor ensemble(Tensor embeddings) {
    Shapes.check().tensor("The embeddings of prompts", embeddings, "T", "C", "P");
    Shapes.notEmpty("The embeddings of prompts", embeddings);
    Shapes.finite("The embeddings of prompts", embeddings);
    return Scopes.tensor(
        () -> {
          Tensor rows = embeddings.reshape(-1, embeddings.size(2));
          return ZeroShotNetwork.unit(
              ZeroShotNetwork.unit(rows).reshape(embeddings.shape()).sum(0));
        });
  }

  /**
   * Demands class weights: at least two unit rows, and as many that say no.
   *
   * @param weights [C, P]
   * @param negated [C, P] or null
   */
  public static void check(Tensor weights, @Nullable Tensor negated) {
    Shapes shapes = Shapes.check().tensor("The class weights", weights, "C", "P");
    if (weights.size(0) < 2) {
      throw new OutriggerException(
          "A zero-shot model needs at least two classes, but there are weights of "
              + weights.size(0)
              + ".");
    }
    unit("The class weights", weights);
    if (negated != null) {
      shapes.tensor("The class weights that say no", negated, "C", "P");
      unit("The class weights that say no", negated);
    }
  }

  /**
   * Demands rows of unit length, up to what float16 loses.
   *
   * @param name what the rows are called in the message
   * @param rows [N, P]
   */
  public static void unit(String name, Tensor rows) {
    Shapes.notEmpty(name, rows);
    Shapes.finite(name, rows);
    double worst =
        Scopes.scoped(
            () ->
                rows.detach()
                    .to(ScalarType.Double)
                    .square()
                    .sum(1)
                    .sub(new Scalar(1.0))
                    .abs()
                    .max()
                    .item_double());
    if (worst > 0.01) {
      throw new OutriggerException(
          name
              + " must be of unit length, but the squared length of a row is off by "
              + worst
              + ": divide each row by its length.");
    }
  }
}
