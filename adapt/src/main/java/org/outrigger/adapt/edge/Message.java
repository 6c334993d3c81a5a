package org.outrigger.adapt.edge;

import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.OutriggerException;

/**
 * What a device and its cloud say to each other.
 *
 * @param kind what it is
 * @param values JSON-able scalars and small structures
 * @param tensors by name; borrowed
 */
public record Message(Kind kind, Map<String, Object> values, Map<String, Tensor> tensors) {
  /** The kinds of messages; each has a number on the wire. */
  public enum Kind {
    /** Device: who it is, the protocols it speaks, which update it has. */
    HELLO(1),
    /** Cloud: the protocol that is spoken from here on. */
    WELCOME(2),
    /** Device: the rows it chose of a batch; perhaps none. */
    UPLOAD(3),
    /** Cloud: new normalisation parameters and statistics, with their version. */
    UPDATE(4),
    /** Cloud: a new prompt, with its version. */
    PROMPT(5),
    /** Cloud: nothing has changed. */
    IDLE(6),
    /** Either: why the last message was refused. */
    ERROR(7),
    /** Either: it goes. */
    BYE(8);

    final int number;

    Kind(int number) {
      this.number = number;
    }

    static Kind of(int number) {
      for (Kind kind : values()) {
        if (kind.number == number) {
          return kind;
        }
      }
      throw new OutriggerException(
          "A message of the unknown kind " + number + " came: update Outrigger on both sides.");
    }
  }

  public Message {
    values = Collections.unmodifiableMap(new LinkedHashMap<>(values));
    tensors = Collections.unmodifiableMap(new LinkedHashMap<>(tensors));
  }

  /** A message without tensors. */
  public static Message of(Kind kind, Map<String, Object> values) {
    return new Message(kind, values, Map.of());
  }

  /** A refusal. */
  static Message error(String why) {
    return of(Kind.ERROR, Map.of("message", why));
  }

  /** Demands a kind; an error message becomes an exception with its words. */
  Message expect(Kind... wanted) {
    for (Kind each : wanted) {
      if (kind == each) {
        return this;
      }
    }
    if (kind == Kind.ERROR) {
      throw new OutriggerException("The other side refused: " + text("message"));
    }
    throw new OutriggerException(
        "A message "
            + kind.name().toLowerCase(Locale.ROOT)
            + " came where "
            + wanted[0].name().toLowerCase(Locale.ROOT)
            + " was expected.");
  }

  /** The value as text. */
  String text(String name) {
    if (values.get(name) instanceof String text) {
      return text;
    }
    throw lacks("text", name);
  }

  /** The value as a whole number of 0 or more. */
  long count(String name) {
    Object value = values.get(name);
    if (value instanceof Integer || value instanceof Long) {
      long count = ((Number) value).longValue();
      if (count >= 0) {
        return count;
      }
    }
    throw lacks("count", name);
  }

  /** The value as a finite number. */
  double number(String name) {
    if (values.get(name) instanceof Number number && Double.isFinite(number.doubleValue())) {
      return number.doubleValue();
    }
    throw lacks("number", name);
  }

  /** The tensor of that name. */
  Tensor tensor(String name) {
    Tensor tensor = tensors.get(name);
    if (tensor == null) {
      throw lacks("tensor", name);
    }
    return tensor;
  }

  private OutriggerException lacks(String what, String name) {
    return new OutriggerException(
        "A message "
            + kind.name().toLowerCase(Locale.ROOT)
            + " lacks the "
            + what
            + " '"
            + name
            + "': the other side runs another version or is no Outrigger.");
  }
}
