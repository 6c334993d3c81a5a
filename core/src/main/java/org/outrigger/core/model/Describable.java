package org.outrigger.core.model;

/** A model that can say what it is made of; see {@link Inspection}. */
public interface Describable {
  /** What it is made of, without running it. */
  Description describe();
}
