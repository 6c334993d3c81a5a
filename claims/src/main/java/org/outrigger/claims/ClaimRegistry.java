package org.outrigger.claims;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.ServiceLoader;
import java.util.stream.Collectors;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.Methods;

/** All claims on the class path, found through {@link ServiceLoader}. */
public final class ClaimRegistry {
  private ClaimRegistry() {}

  /** All claims, by room and then by slug. */
  public static List<Claim> all() {
    List<Claim> claims = new ArrayList<>();
    ServiceLoader.load(Claim.class, ClaimRegistry.class.getClassLoader()).forEach(claims::add);
    claims.sort(Comparator.comparing(Claim::room).thenComparing(Claim::slug));
    return List.copyOf(claims);
  }

  /**
   * The claim of that name.
   *
   * @throws OutriggerException with the nearest names if there is none
   */
  public static Claim named(String slug) {
    List<String> names = all().stream().map(Claim::slug).toList();
    return all().stream()
        .filter(claim -> claim.slug().equals(slug))
        .findFirst()
        .orElseThrow(
            () -> {
              List<String> near = Methods.nearest(slug, names);
              return new OutriggerException(
                  "There is no claim called '"
                      + slug
                      + "'."
                      + (near.isEmpty() ? "" : " Did you mean " + String.join(" or ", near) + "?")
                      + " All: "
                      + String.join(", ", names)
                      + ".");
            });
  }

  /** The claims of a comma-separated list of names, in that order. */
  public static List<Claim> parse(String list) {
    return Arrays.stream(list.split(",", -1))
        .map(name -> named(name.strip()))
        .collect(Collectors.toList());
  }
}
