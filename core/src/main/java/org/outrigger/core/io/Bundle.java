package org.outrigger.core.io;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.CharacterCodingException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashSet;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Stream;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Torch;
import tools.jackson.core.JacksonException;

/**
 * A folder of files that belong together, such as a saved guard: a {@code manifest.json} lists each
 * part with its size and SHA-256. It is written whole or not at all, and opened only if nothing is
 * missing, changed or added. {@code docs/bundle-format.md} describes the format.
 */
public final class Bundle {
  /** The format version that is written, and the newest that can be read. */
  public static final int FORMAT_VERSION = 1;

  static final String MANIFEST = "manifest.json";
  private static final String FORMAT = "outrigger-bundle";
  private static final int MAX_PARTS = 10_000;
  private static final long MAX_MANIFEST = 16_000_000;

  private final Path folder;
  private final Manifest manifest;

  private Bundle(Path folder, Manifest manifest) {
    this.folder = folder;
    this.manifest = manifest;
  }

  /**
   * A part to write.
   *
   * @param path relative, with {@code /} between folders, such as {@code models/net.safetensors}
   * @param writer creates the file at the path it is given
   */
  public record PartWriter(String path, AtomicFiles.PathWriter writer) {
    public PartWriter {
      checkPath(path);
    }
  }

  record Part(String path, long bytes, String sha256) {}

  record Manifest(
      String format,
      int formatVersion,
      String kind,
      String created,
      String outrigger,
      List<Part> parts,
      Map<String, Object> info) {}

  /**
   * Writes a bundle; an older bundle of that name is replaced in one step.
   *
   * @param kind what it holds, such as {@code guard}
   * @param info free values for readers (JSON types)
   * @throws OutriggerException if the target exists and is no bundle, or cannot be written; it is
   *     as it was then
   */
  public static void write(Path target, String kind, Map<String, ?> info, List<PartWriter> parts) {
    write(target, kind, info, parts, false);
  }

  /**
   * As {@link #write(Path, String, Map, List)}.
   *
   * @param overwrite whether a target that is no bundle, with all that is in it, may be replaced
   */
  public static void write(
      Path target, String kind, Map<String, ?> info, List<PartWriter> parts, boolean overwrite) {
    if (parts.size() > MAX_PARTS) {
      throw new OutriggerException(
          "A bundle has at most " + MAX_PARTS + " parts, not " + parts.size() + ".");
    }
    Set<String> names = new HashSet<>();
    for (PartWriter part : parts) {
      if (!names.add(part.path())) {
        throw new OutriggerException("The bundle would have the part '" + part.path() + "' twice.");
      }
    }
    AtomicFiles.folder(
        target,
        existing -> overwrite || looksLikeBundle(existing) || isEmptyFolder(existing),
        folder -> {
          List<Part> written = new ArrayList<>();
          for (PartWriter part : parts) {
            Path file = folder.resolve(part.path());
            Files.createDirectories(file.getParent());
            part.writer().write(file);
            if (!Files.isRegularFile(file, LinkOption.NOFOLLOW_LINKS)) {
              throw new IOException("nothing was written for the part '" + part.path() + "'");
            }
            written.add(new Part(part.path(), Files.size(file), sha256(file)));
          }
          Manifest manifest =
              new Manifest(
                  FORMAT,
                  FORMAT_VERSION,
                  kind,
                  Instant.now().truncatedTo(ChronoUnit.SECONDS).toString(),
                  version(),
                  written,
                  new LinkedHashMap<>(info));
          Files.writeString(folder.resolve(MANIFEST), Json.pretty(manifest));
        });
  }

  /** The version of Outrigger that runs, from its jar; {@code development} outside a jar. */
  public static String version() {
    String version = Torch.class.getPackage().getImplementationVersion();
    return version == null ? "development" : version;
  }

  /**
   * Opens a bundle and checks every part.
   *
   * @throws OutriggerException if it is no bundle, is of a newer format, or if a part is missing,
   *     changed, or not listed; the message names it
   */
  public static Bundle open(Path folder) {
    if (!Files.isDirectory(folder)) {
      throw new OutriggerException(
          Files.exists(folder)
              ? folder + " is a file, but a bundle is a folder with a " + MANIFEST + "."
              : folder + " does not exist: name the folder of a saved bundle.");
    }
    Manifest manifest = manifest(folder);
    try {
      Set<String> known = new HashSet<>();
      known.add(MANIFEST);
      Path real = folder.toRealPath();
      for (Part part : manifest.parts()) {
        checkPath(part.path());
        if (!known.add(part.path())) {
          throw damaged(folder, "its manifest lists the part '" + part.path() + "' twice");
        }
        checkPart(folder, real, part);
      }
      checkNothingElse(folder, known);
    } catch (IOException | UncheckedIOException e) {
      throw new OutriggerException(folder + " cannot be read: " + e.getMessage(), e);
    }
    return new Bundle(folder, manifest);
  }

  private static Manifest manifest(Path folder) {
    Path file = folder.resolve(MANIFEST);
    if (!Files.isRegularFile(file)) {
      throw new OutriggerException(folder + " is not a bundle: it has no " + MANIFEST + ".");
    }
    try {
      if (Files.size(file) > MAX_MANIFEST) {
        throw damaged(folder, "its " + MANIFEST + " is larger than " + MAX_MANIFEST + " bytes");
      }
      String text = Files.readString(file);
      Map<String, Object> raw = Json.object(file.toString(), text);
      if (!FORMAT.equals(raw.get("format"))) {
        throw new OutriggerException(
            folder + " is not a bundle: its " + MANIFEST + " is of something else.");
      }
      if (!(raw.get("formatVersion") instanceof Integer version) || version < 1) {
        throw damaged(folder, "its manifest has no valid formatVersion");
      }
      if (version > FORMAT_VERSION) {
        throw new OutriggerException(
            folder
                + " has bundle format "
                + version
                + ", but this Outrigger reads up to "
                + FORMAT_VERSION
                + ": update Outrigger.");
      }
      return parse(folder, raw);
    } catch (CharacterCodingException e) {
      throw damaged(folder, "its " + MANIFEST + " is not UTF-8 text");
    } catch (IOException e) {
      throw new OutriggerException(file + " cannot be read: " + e.getMessage(), e);
    }
  }

  private static Manifest parse(Path folder, Map<String, Object> raw) {
    Manifest manifest;
    try {
      manifest = Json.mapper().convertValue(raw, Manifest.class);
    } catch (JacksonException | IllegalArgumentException e) {
      throw damaged(folder, "its manifest does not have the form of a bundle's");
    }
    boolean complete =
        manifest.kind() != null && manifest.parts() != null && manifest.info() != null;
    if (!complete || manifest.parts().size() > MAX_PARTS) {
      throw damaged(folder, "its manifest lacks kind, parts or info, or lists too many parts");
    }
    for (Part part : manifest.parts()) {
      if (part == null || part.path() == null || part.sha256() == null || part.bytes() < 0) {
        throw damaged(folder, "its manifest has an incomplete part");
      }
    }
    return manifest;
  }

  private static void checkPart(Path folder, Path real, Part part) throws IOException {
    Path file = folder.resolve(part.path());
    if (!Files.exists(file)) {
      throw damaged(folder, "the part '" + part.path() + "' is missing");
    }
    // A link may be there, but it may not lead out of the folder.
    if (!Files.isRegularFile(file) || !file.toRealPath().startsWith(real)) {
      throw damaged(folder, "the part '" + part.path() + "' is not a file inside the bundle");
    }
    long size = Files.size(file);
    if (size != part.bytes()) {
      throw damaged(
          folder,
          "the part '" + part.path() + "' has " + size + " bytes instead of " + part.bytes());
    }
    if (!sha256(file).equals(part.sha256())) {
      throw damaged(folder, "the part '" + part.path() + "' was changed (SHA-256 differs)");
    }
  }

  private static void checkNothingElse(Path folder, Set<String> known) throws IOException {
    try (Stream<Path> walk = Files.walk(folder)) {
      for (Path file : (Iterable<Path>) walk::iterator) {
        String name = folder.relativize(file).toString().replace('\\', '/');
        if (!Files.isDirectory(file, LinkOption.NOFOLLOW_LINKS) && !known.contains(name)) {
          throw damaged(folder, "it has the file '" + name + "', which its manifest does not list");
        }
      }
    }
  }

  private static void checkPath(String path) {
    boolean ok =
        path.length() <= 500
            && !path.equals(MANIFEST)
            && path.matches("[\\p{L}\\p{N}_+=@ .-]+(/[\\p{L}\\p{N}_+=@ .-]+)*")
            && Stream.of(path.split("/", -1)).noneMatch(p -> p.equals(".") || p.equals(".."));
    if (!ok) {
      throw new OutriggerException(
          "'"
              + path
              + "' cannot be a part of a bundle: use a relative path of letters, digits, '.', '-',"
              + " '_' and '/' that stays inside the folder.");
    }
  }

  private static boolean looksLikeBundle(Path folder) {
    try {
      return Files.isDirectory(folder) && FORMAT.equals(manifestFormat(folder));
    } catch (IOException | OutriggerException e) {
      return false;
    }
  }

  private static Object manifestFormat(Path folder) throws IOException {
    Path file = folder.resolve(MANIFEST);
    if (!Files.isRegularFile(file) || Files.size(file) > MAX_MANIFEST) {
      return "";
    }
    return Json.object(file.toString(), Files.readString(file)).getOrDefault("format", "");
  }

  private static boolean isEmptyFolder(Path folder) {
    if (!Files.isDirectory(folder)) {
      return false;
    }
    try (Stream<Path> list = Files.list(folder)) {
      return list.findAny().isEmpty();
    } catch (IOException e) {
      return false;
    }
  }

  private static OutriggerException damaged(Path folder, String why) {
    return new OutriggerException(
        "The bundle " + folder + " is damaged: " + why + ". Fetch or save it again.");
  }

  /** The SHA-256 of a file as 64 hexadecimal digits. */
  public static String sha256(Path file) throws IOException {
    MessageDigest digest;
    try {
      digest = MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("Every Java platform has SHA-256", e);
    }
    byte[] block = new byte[1 << 16];
    try (InputStream in = Files.newInputStream(file)) {
      for (int n = in.read(block); n >= 0; n = in.read(block)) {
        digest.update(block, 0, n);
      }
    }
    return HexFormat.of().formatHex(digest.digest());
  }

  /** The folder. */
  public Path folder() {
    return folder;
  }

  /** What it holds, such as {@code guard}. */
  public String kind() {
    return manifest.kind();
  }

  /** Demands that kind. */
  public Bundle expect(String kind) {
    if (!kind().equals(kind)) {
      throw new OutriggerException(
          folder + " holds a saved " + kind() + ", but a " + kind + " is needed.");
    }
    return this;
  }

  /** When it was written: UTC, ISO 8601. */
  public String created() {
    return manifest.created();
  }

  /** The version of Outrigger that wrote it. */
  public String writtenBy() {
    return manifest.outrigger();
  }

  /** The free values. */
  public Map<String, Object> info() {
    return Collections.unmodifiableMap(manifest.info());
  }

  /** The paths of its parts. */
  public List<String> parts() {
    return manifest.parts().stream().map(Part::path).toList();
  }

  /** Whether there is that part. */
  public boolean has(String part) {
    return parts().contains(part);
  }

  /** The file of a part. */
  public Path part(String part) {
    if (!has(part)) {
      throw damaged(folder, "it lacks the part '" + part + "'");
    }
    return folder.resolve(part);
  }
}
