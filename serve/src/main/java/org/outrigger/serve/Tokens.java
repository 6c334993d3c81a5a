package org.outrigger.serve;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.security.SecureRandom;
import java.util.ArrayList;
import java.util.Base64;
import java.util.HexFormat;
import java.util.List;
import java.util.Locale;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;

/**
 * Who may ask. A file has one line a token: its name, its role ({@code infer} or {@code admin}) and
 * the SHA-256 of the token. Tokens are 32 random bytes, so that a plain hash cannot be guessed
 * back.
 */
public final class Tokens {
  /** What a token allows; an admin may also infer. */
  public enum Role {
    INFER,
    ADMIN
  }

  @SuppressWarnings("ArrayRecordComponent")
  private record Entry(String name, Role role, byte[] hash) {}

  private final List<Entry> entries;

  private Tokens(List<Entry> entries) {
    this.entries = List.copyOf(entries);
  }

  /**
   * Reads a file of tokens.
   *
   * @throws OutriggerException if a line is none; the message names the line, not its content
   */
  public static Tokens read(Path file) {
    List<Entry> entries = new ArrayList<>();
    List<String> lines;
    try {
      lines = Files.readAllLines(file);
    } catch (IOException e) {
      throw new OutriggerException("The tokens " + file + " cannot be read: " + e.getMessage(), e);
    }
    for (int i = 0; i < lines.size(); i++) {
      String line = lines.get(i).strip();
      if (line.isEmpty() || line.startsWith("#")) {
        continue;
      }
      String[] parts = line.split("\\s+", -1);
      try {
        if (parts.length != 3 || parts[2].length() != 64) {
          throw new IllegalArgumentException();
        }
        entries.add(
            new Entry(
                parts[0],
                Role.valueOf(parts[1].toUpperCase(Locale.ROOT)),
                HexFormat.of().parseHex(parts[2])));
      } catch (IllegalArgumentException e) {
        throw new OutriggerException(
            "Line "
                + (i + 1)
                + " of "
                + file
                + " is no token: write NAME, infer or admin, and the token's SHA-256, as 'outrigger"
                + " serve token' prints them.",
            e);
      }
    }
    if (entries.isEmpty()) {
      throw new OutriggerException(
          file + " holds no token, so nobody could ask: make one with 'outrigger serve token'.");
    }
    return new Tokens(entries);
  }

  /** A new random token. */
  public static String generate() {
    byte[] bytes = new byte[32];
    new SecureRandom().nextBytes(bytes);
    return Base64.getUrlEncoder().withoutPadding().encodeToString(bytes);
  }

  /** The line of a file for a token. */
  public static String line(String name, Role role, String token) {
    return name
        + " "
        + role.name().toLowerCase(Locale.ROOT)
        + " "
        + HexFormat.of().formatHex(hash(token));
  }

  /**
   * What a request may do.
   *
   * @param authorization the header, {@code Bearer TOKEN}; null if there is none
   * @return the role, or null if the token is unknown
   */
  public @Nullable Role role(@Nullable String authorization) {
    if (authorization == null || !authorization.regionMatches(true, 0, "Bearer ", 0, 7)) {
      return null;
    }
    byte[] hash = hash(authorization.substring(7).strip());
    Role role = null;
    // All are compared, each in constant time.
    for (Entry entry : entries) {
      if (MessageDigest.isEqual(hash, entry.hash)) {
        role = entry.role;
      }
    }
    return role;
  }

  private static byte[] hash(String token) {
    try {
      return MessageDigest.getInstance("SHA-256").digest(token.getBytes(StandardCharsets.UTF_8));
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException(e);
    }
  }
}
