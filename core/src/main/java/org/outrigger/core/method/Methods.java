package org.outrigger.core.method;

import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.RecordComponent;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.ServiceLoader;
import java.util.TreeMap;
import java.util.stream.Collectors;
import org.outrigger.core.OutriggerException;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.DeserializationFeature;
import tools.jackson.databind.MapperFeature;
import tools.jackson.databind.json.JsonMapper;

/**
 * The registry of every implemented method on the class path. {@link #create} makes one by name
 * with some hyper-parameters changed; {@link #parse} reads a list such as {@code
 * "energy:temperature=2,knn:k=20,msp"}.
 */
public final class Methods {
  private static final JsonMapper JSON =
      JsonMapper.builder()
          .enable(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES)
          .enable(MapperFeature.ACCEPT_CASE_INSENSITIVE_ENUMS)
          .build();

  private static final Map<String, Class<? extends Method>> CLASSES = new TreeMap<>();

  static {
    for (MethodProvider provider :
        ServiceLoader.load(MethodProvider.class, Methods.class.getClassLoader())) {
      for (Class<? extends Method> type : provider.methods()) {
        Class<? extends Method> other = CLASSES.put(card(type).slug(), type);
        if (other != null) {
          throw new IllegalStateException(
              "Two methods are called " + card(type).slug() + ": " + other + ", " + type);
        }
      }
    }
  }

  private Methods() {}

  /** The cards of all methods, by room and then by slug. */
  public static List<Card> cards() {
    return CLASSES.values().stream()
        .map(Methods::card)
        .sorted(Comparator.comparing(Card::room).thenComparing(Card::slug))
        .toList();
  }

  /** The cards of the methods of that kind, by slug. */
  public static List<Card> cards(Class<? extends Method> kind) {
    return CLASSES.values().stream().filter(kind::isAssignableFrom).map(Methods::card).toList();
  }

  /** The default hyper-parameters of a method by name, in the order of its record. */
  public static Map<String, Object> defaults(String slug) {
    return values(defaultSettings(type(slug)));
  }

  /** The hyper-parameters of {@code settings} by name. */
  public static Map<String, Object> values(Record settings) {
    Map<String, Object> values = new LinkedHashMap<>();
    for (RecordComponent component : settings.getClass().getRecordComponents()) {
      try {
        var accessor = component.getAccessor();
        accessor.setAccessible(true);
        values.put(component.getName(), accessor.invoke(settings));
      } catch (ReflectiveOperationException e) {
        throw new IllegalStateException(e);
      }
    }
    return values;
  }

  /**
   * Makes the method of that name.
   *
   * @param kind what it must be, such as {@code Detector.class}
   * @param changes hyper-parameters that differ from the defaults; strings are converted
   * @throws OutriggerException if there is no such method (with the nearest names) or a
   *     hyper-parameter is unknown or out of range
   */
  public static <M extends Method> M create(Class<M> kind, String name, Map<String, ?> changes) {
    String slug = slug(name);
    Class<? extends Method> type = CLASSES.get(slug);
    if (type == null || !kind.isAssignableFrom(type)) {
      throw unknown(kind, slug);
    }
    Record defaults = defaultSettings(type);
    Map<String, Object> values = values(defaults);
    for (Map.Entry<String, ?> change : changes.entrySet()) {
      if (!values.containsKey(change.getKey())) {
        throw new OutriggerException(
            "Method "
                + slug
                + " has no hyper-parameter '"
                + change.getKey()
                + "'."
                + (values.isEmpty()
                    ? " It has none."
                    : " It has: " + String.join(", ", values.keySet()) + "."));
      }
      change(values, change);
    }
    try {
      Record settings = JSON.convertValue(values, defaults.getClass());
      return kind.cast(type.getConstructor(settings.getClass()).newInstance(settings));
    } catch (JacksonException | IllegalArgumentException e) {
      OutriggerException ours = ours(e);
      throw ours != null ? ours : unreadable(slug, defaults, changes, e);
    } catch (InvocationTargetException e) {
      OutriggerException ours = ours(e);
      throw ours != null ? ours : new IllegalStateException(e);
    } catch (ReflectiveOperationException e) {
      throw new IllegalStateException(
          type + " needs a public constructor that takes its Settings", e);
    }
  }

  private static void change(Map<String, Object> values, Map.Entry<String, ?> change) {
    boolean list = values.get(change.getKey()) instanceof List;
    values.put(
        change.getKey(),
        list && change.getValue() instanceof String text ? items(text) : change.getValue());
  }

  /** The error for a value that is of another type than the hyper-parameter, which it finds. */
  private static OutriggerException unreadable(
      String slug, Record defaults, Map<String, ?> changes, RuntimeException cause) {
    for (Map.Entry<String, ?> change : changes.entrySet()) {
      Map<String, Object> values = values(defaults);
      Object normal = values.get(change.getKey());
      change(values, change);
      try {
        JSON.convertValue(values, defaults.getClass());
      } catch (JacksonException | IllegalArgumentException e) {
        return new OutriggerException(
            "Hyper-parameter "
                + change.getKey()
                + " of "
                + slug
                + " cannot be '"
                + change.getValue()
                + "': give a value of the kind of its default, "
                + normal
                + ".\n"
                + cause.getMessage(),
            cause);
      }
    }
    return new OutriggerException(
        "The hyper-parameters of "
            + slug
            + " cannot be read: "
            + changes
            + ".\n"
            + cause.getMessage(),
        cause);
  }

  /** Lists are written with plus signs on command lines, where commas part the methods. */
  private static List<String> items(String text) {
    return text.isBlank() ? List.of() : List.of(text.split("\\+", -1));
  }

  /**
   * Reads a comma-separated list of methods, each with optional hyper-parameters after a colon:
   * {@code energy:temperature=2,odin:inputStd=0.2+0.2+0.2,msp}.
   */
  public static <M extends Method> List<M> parse(Class<M> kind, String list) {
    List<M> made = new ArrayList<>();
    for (String item : list.split(",", -1)) {
      String[] parts = item.strip().split(":", -1);
      Map<String, Object> changes = new LinkedHashMap<>();
      for (int i = 1; i < parts.length; i++) {
        int equals = parts[i].indexOf('=');
        if (equals < 1) {
          throw new OutriggerException(
              "'"
                  + item.strip()
                  + "' is not a method with settings: write NAME:KEY=VALUE:KEY=VALUE.");
        }
        changes.put(parts[i].substring(0, equals).strip(), parts[i].substring(equals + 1).strip());
      }
      made.add(create(kind, parts[0], changes));
    }
    return made;
  }

  /** Reads one method with optional hyper-parameters, as {@link #parse} does several. */
  public static <M extends Method> M parseOne(Class<M> kind, String text) {
    if (text.contains(",")) {
      throw new OutriggerException(
          "'" + text.strip() + "' names several methods where one is wanted: write one.");
    }
    return parse(kind, text).get(0);
  }

  /**
   * The slug of the method that is meant: {@code LogitNorm} and {@code logit_norm} are {@code
   * logit-norm}. A name of no method is given back in lower case.
   */
  public static String slug(String name) {
    String lower = name.strip().toLowerCase(Locale.ROOT);
    if (CLASSES.containsKey(lower)) {
      return lower;
    }
    String letters = letters(lower);
    return CLASSES.keySet().stream()
        .filter(slug -> letters(slug).equals(letters))
        .findFirst()
        .orElse(lower);
  }

  private static String letters(String name) {
    return name.replaceAll("[-_ ]", "");
  }

  /** The error for a name that is no method of that kind, with the nearest names. */
  public static OutriggerException unknown(Class<? extends Method> kind, String slug) {
    List<String> names = cards(kind).stream().map(Card::slug).toList();
    String wanted = kind.getSimpleName().toLowerCase(Locale.ROOT);
    List<String> near = nearest(slug, names);
    return new OutriggerException(
        "There is no "
            + wanted
            + " called '"
            + slug
            + "'."
            + (CLASSES.containsKey(slug.toLowerCase(Locale.ROOT))
                ? " It is a method of another kind: see 'outrigger methods " + slug + "'."
                : "")
            + (near.isEmpty() ? "" : " Did you mean " + String.join(" or ", near) + "?")
            + " All: "
            + String.join(", ", names)
            + ".");
  }

  /** Up to two names that are within a third of their length of what was typed. */
  public static List<String> nearest(String typed, Collection<String> names) {
    String word = typed.toLowerCase(Locale.ROOT);
    return names.stream()
        .filter(
            name ->
                distance(word, name) <= Math.max(1, name.length() / 3)
                    || (word.length() > 2 && name.startsWith(word)))
        .sorted(Comparator.comparingInt(name -> distance(word, name)))
        .limit(2)
        .collect(Collectors.toList());
  }

  /** How many letters were added, left out, changed, or swapped with their neighbour. */
  private static int distance(String a, String b) {
    int[][] edits = new int[a.length() + 1][b.length() + 1];
    for (int i = 0; i <= a.length(); i++) {
      for (int j = 0; j <= b.length(); j++) {
        if (i == 0 || j == 0) {
          edits[i][j] = i + j;
          continue;
        }
        int change = a.charAt(i - 1) == b.charAt(j - 1) ? 0 : 1;
        int least = Math.min(edits[i - 1][j] + 1, edits[i][j - 1] + 1);
        least = Math.min(least, edits[i - 1][j - 1] + change);
        if (i > 1
            && j > 1
            && a.charAt(i - 1) == b.charAt(j - 2)
            && a.charAt(i - 2) == b.charAt(j - 1)) {
          least = Math.min(least, edits[i - 2][j - 2] + 1);
        }
        edits[i][j] = least;
      }
    }
    return edits[a.length()][b.length()];
  }

  private static Class<? extends Method> type(String slug) {
    Class<? extends Method> type = CLASSES.get(slug);
    if (type == null) {
      throw unknown(Method.class, slug);
    }
    return type;
  }

  private static Record defaultSettings(Class<? extends Method> type) {
    for (Class<?> nested : type.getDeclaredClasses()) {
      if (nested.isRecord() && nested.getSimpleName().equals("Settings")) {
        try {
          return (Record) Objects.requireNonNull(nested.getMethod("defaults").invoke(null));
        } catch (ReflectiveOperationException e) {
          throw new IllegalStateException(nested + " needs a public static defaults()", e);
        }
      }
    }
    throw new IllegalStateException(type + " has no record Settings");
  }

  private static Card card(Class<? extends Method> type) {
    return Objects.requireNonNull(type.getAnnotation(Card.class), () -> type + " has no @Card");
  }

  private static @org.jspecify.annotations.Nullable OutriggerException ours(Throwable e) {
    for (Throwable t = e; t != null; t = t.getCause()) {
      if (t instanceof OutriggerException ours) {
        return ours;
      }
    }
    return null;
  }
}
