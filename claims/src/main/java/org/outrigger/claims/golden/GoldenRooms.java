package org.outrigger.claims.golden;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.util.Optional;
import java.util.Properties;
import org.outrigger.core.method.Room;

/** Which room of the house a slug of golden cases belongs to, built or not. */
final class GoldenRooms {
  private static final Properties ROOMS = load();

  private GoldenRooms() {}

  static Optional<Room> of(String slug) {
    return Optional.ofNullable(ROOMS.getProperty(slug)).map(Room::valueOf);
  }

  private static Properties load() {
    Properties rooms = new Properties();
    try (InputStream in = GoldenRooms.class.getResourceAsStream("rooms.properties")) {
      if (in == null) {
        throw new IllegalStateException("rooms.properties is missing from this jar");
      }
      rooms.load(in);
      return rooms;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
