package org.outrigger.adapt;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.io.State;
import org.outrigger.core.io.StateFiles;
import org.outrigger.core.method.Methods;
import org.outrigger.core.model.Model;
import org.outrigger.core.torch.Scopes;

/**
 * Stacks of adapters by name. A stack is written from the outside in with slashes, each part with
 * its hyper-parameters: {@code label-shift-adapter/open-set-tta/eata:lr=0.001/unmix-tns:K=4}.
 */
public final class Adapters {
  private Adapters() {}

  /**
   * Makes a stack.
   *
   * @throws OutriggerException if a part is unknown or two do not go together
   */
  public static Adapter parse(String stack) {
    String[] parts = stack.strip().split("/", -1);
    Adapter built = null;
    try {
      for (int i = parts.length - 1; i >= 0; i--) {
        Adapter part = Methods.parse(Adapter.class, parts[i]).get(0);
        built = built == null ? part : join(part, built);
      }
    } catch (RuntimeException e) {
      if (built != null) {
        built.close();
      }
      throw e;
    }
    return Objects.requireNonNull(built);
  }

  private static Adapter join(Adapter part, Adapter built) {
    try {
      return part.over(built);
    } catch (RuntimeException e) {
      part.close();
      throw e;
    }
  }

  /** Makes the stacks of a list with commas between them. */
  public static List<Adapter> parseAll(String list) {
    List<Adapter> all = new ArrayList<>();
    try {
      for (String item : list.split(",", -1)) {
        all.add(parse(item));
      }
      return all;
    } catch (RuntimeException e) {
      all.forEach(Adapter::close);
      throw e;
    }
  }

  /**
   * The stack with every hyper-parameter that differs from its default, as {@link #parse} reads it.
   */
  public static String describe(Adapter adapter) {
    StringBuilder text = new StringBuilder(adapter.card().slug());
    Map<String, Object> defaults = Methods.defaults(adapter.card().slug());
    Methods.values(adapter.settings())
        .forEach(
            (name, value) -> {
              if (!value.equals(defaults.get(name))) {
                text.append(':').append(name).append('=').append(written(value));
              }
            });
    below(adapter).ifPresent(inner -> text.append('/').append(describe(inner)));
    return text.toString();
  }

  private static Optional<Adapter> below(Adapter adapter) {
    if (adapter instanceof Decorator<?> decorator) {
      return Optional.of(decorator.inner());
    }
    return adapter instanceof ModelAdapter<?> model
        ? Optional.ofNullable(model.normalisation())
        : Optional.empty();
  }

  private static String written(Object value) {
    return value instanceof List<?> list
        ? String.join("+", list.stream().map(String::valueOf).toList())
        : String.valueOf(value);
  }

  /** Hyper-parameters as JSON-able values. */
  static Map<String, Object> plain(Record settings) {
    Map<String, Object> plain = new LinkedHashMap<>();
    Methods.values(settings)
        .forEach((name, value) -> plain.put(name, value instanceof Enum<?> e ? e.name() : value));
    return plain;
  }

  /** Writes a started adapter: the stack, its hyper-parameters, and all of its state. */
  public static void save(Adapter adapter, Path file) {
    State state = adapter.state();
    Map<String, Object> values = new LinkedHashMap<>(state.values());
    values.put("adapter", describe(adapter));
    StateFiles.write(file, new State(state.type(), state.version(), values, state.tensors()));
  }

  /**
   * Reads an adapter that {@link #save} wrote and lets it go on.
   *
   * @param model the one it was started on
   */
  public static Adapter load(Path file, Model model) {
    return Scopes.scoped(
        () -> {
          State state = StateFiles.read(file);
          Adapter adapter = parse(state.text("adapter"));
          try {
            adapter.resume(model, state);
            return adapter;
          } catch (RuntimeException e) {
            adapter.close();
            throw e;
          }
        });
  }
}
