package org.outrigger.client;

/**
 * A guard in the server's list.
 *
 * @param name what to ask it by
 * @param version that answers
 * @param ready whether it answers
 */
public record ServedModel(String name, String version, boolean ready) {}
