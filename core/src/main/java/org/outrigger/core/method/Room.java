package org.outrigger.core.method;

/** The rooms of the house; each answers one question. */
public enum Room {
  DETECT("does the model know this input?"),
  ADAPT("how does it follow the stream?"),
  GENERALIZE("how is it trained so that shift hurts less?"),
  TUNE("how is it fine-tuned cheaply?"),
  CALIBRATE("what does 0.9 mean?"),
  SELECT("which model, which data, how big?"),
  COMPRESS("how small can it be?"),
  CONTROL("how to act from logged data?"),
  GENERATE("how to steer a sampler?"),
  STREAM("what changes over time?"),
  EVALUATE("how is a model measured under shift?");

  private final String question;

  Room(String question) {
    this.question = question;
  }

  public String question() {
    return question;
  }
}
