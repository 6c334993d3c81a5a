package org.outrigger.core.method;

import java.util.List;

/**
 * A room's list of its methods, found through {@link java.util.ServiceLoader}. Listing loads no
 * native library: classes are named, not initialised.
 */
public interface MethodProvider {
  /** The classes of this room that carry a {@link Card}. */
  List<Class<? extends Method>> methods();
}
