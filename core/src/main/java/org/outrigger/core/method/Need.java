package org.outrigger.core.method;

/** What a method needs of a model or of the data; a model offers some, a data set others. */
public enum Need {
  LOGITS("class scores [N, C]"),
  FEATURES("penultimate features [N, D]"),
  LINEAR_HEAD("a last linear layer: weight [C, D] and bias [C] over the features"),
  LEARNED_TEMPERATURE("a last layer with a learned temperature, as the recipe abet trains it"),
  NEGATED_HEAD("class weights that say no, as CLIPN trains them for a zero-shot model"),
  FEATURE_MAPS("the outputs of inner layers"),
  INPUT_GRADIENTS("gradients with respect to the input"),
  PARAMETER_GRADIENTS("gradients with respect to the parameters"),
  SWAPPABLE_LAYERS("layers that can be replaced"),
  NORM_LAYERS("normalisation layers"),
  DROPOUT("a dropout layer"),
  INPUTS("the inputs themselves beside what the model made of them"),
  LABELS("class labels in the data it is fitted on"),
  SOURCE("data that the model knows, given before the stream starts"),
  OUTLIERS("a set of outliers to train with"),
  TRAINING("training the model"),
  IMAGES("image inputs [N, C, H, W]"),
  MODALITIES("two or three modalities, each with an encoder and a head of its own");

  private final String meaning;

  Need(String meaning) {
    this.meaning = meaning;
  }

  /** Whether data has to offer it, not a model. */
  public boolean ofData() {
    return switch (this) {
      case INPUTS, LABELS, SOURCE, OUTLIERS, IMAGES -> true;
      default -> false;
    };
  }

  /** In a few words, for messages. */
  public String meaning() {
    return meaning;
  }
}
