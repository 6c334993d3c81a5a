package org.outrigger.adapt.ear;

import java.util.List;
import org.outrigger.adapt.ear.AdaptorSearch.Candidate;

/**
 * What adding a domain to an {@link Ear} came to.
 *
 * @param domain as it is now
 * @param ranking the candidates, best first; the first one was trained
 * @param nearest the domain that was nearest before; empty for the first one
 */
public record AddedDomain(LearnedDomain domain, List<Candidate> ranking, String nearest) {
  public AddedDomain {
    ranking = List.copyOf(ranking);
  }
}
