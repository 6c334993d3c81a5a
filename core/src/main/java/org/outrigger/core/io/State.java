package org.outrigger.core.io;

import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.OutriggerException;

/**
 * The saved form of a fitted object: what it is, the version of its layout, scalar values (JSON
 * types: strings, numbers, booleans, lists, maps) and named tensors. On disk it is one safetensors
 * file, so that Python can read it too.
 *
 * @param type what saved it, such as {@code detector/knn}
 * @param version the layout's version, from 1
 * @param values scalars and small structures
 * @param tensors named tensors; the state borrows them, it does not close them
 */
public record State(
    String type, int version, Map<String, Object> values, Map<String, Tensor> tensors) {
  public State {
    values = Collections.unmodifiableMap(new LinkedHashMap<>(values));
    tensors = Collections.unmodifiableMap(new LinkedHashMap<>(tensors));
  }

  /** The named tensor. */
  public Tensor tensor(String name) {
    Tensor tensor = tensors.get(name);
    if (tensor == null) {
      throw new OutriggerException(
          "The saved " + type + " lacks the tensor '" + name + "': the file is damaged.");
    }
    return tensor;
  }

  /** The named value as a number; files keep NaN and infinities as strings. */
  public double number(String name) {
    Object value = values.get(name);
    if (value instanceof Number number) {
      return number.doubleValue();
    }
    if (value instanceof String text && text.matches("NaN|-?Infinity")) {
      return Double.parseDouble(text);
    }
    throw new OutriggerException(
        "The saved " + type + " lacks the number '" + name + "': the file is damaged.");
  }

  /** The named value as text. */
  public String text(String name) {
    if (values.get(name) instanceof String text) {
      return text;
    }
    throw new OutriggerException(
        "The saved " + type + " lacks the text '" + name + "': the file is damaged.");
  }

  /** The named value as a map; empty when absent. */
  @SuppressWarnings("unchecked")
  public Map<String, Object> map(String name) {
    return values.get(name) instanceof Map<?, ?> map ? (Map<String, Object>) map : Map.of();
  }

  /** Demands that this was saved by {@code wanted} in a version up to {@code newest}. */
  public State expect(String wanted, int newest) {
    if (!type.equals(wanted)) {
      throw new OutriggerException("This file holds a saved " + type + ", not a " + wanted + ".");
    }
    if (version > newest) {
      throw new OutriggerException(
          "The saved "
              + type
              + " has layout version "
              + version
              + ", but this Outrigger knows up to "
              + newest
              + ": update Outrigger.");
    }
    return this;
  }
}
