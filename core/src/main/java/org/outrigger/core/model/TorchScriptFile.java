package org.outrigger.core.model;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Enumeration;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.zip.CRC32;
import java.util.zip.ZipEntry;
import java.util.zip.ZipFile;
import org.outrigger.core.OutriggerException;

/**
 * Looks at a TorchScript file before libtorch does: it is a whole zip archive of the right kind,
 * every entry has its checksum, and its code calls nothing that reads or writes files. What passes
 * is well-formed; a file made by an attacker can still hold a program, so only files from a trusted
 * source should be opened.
 */
final class TorchScriptFile {
  private static final int MAX_ENTRIES = 200_000;

  /** Entries are stored as they are; a little compression by another tool is tolerated. */
  private static final long MAX_RATIO = 20;

  private static final long MAX_CODE_BYTES = 64L << 20;
  private static final Pattern FILE_ACCESS =
      Pattern.compile("\\b(?:torch|aten|ops)\\.(?:\\w+\\.)*(save|load|from_file)\\s*\\(");

  private static final String EXPORT =
      "Export the model in Python with torch.jit.script(model).save(FILE) or"
          + " torch.jit.trace(model, example).save(FILE)";

  /** The extra file that keeps the options of a saved model. */
  static final String OPTIONS = "outrigger.properties";

  private TorchScriptFile() {}

  /** Options as the text of an extra file. */
  static String written(Map<String, String> options) {
    StringBuilder text = new StringBuilder();
    options.forEach((key, value) -> text.append(key).append('=').append(value).append('\n'));
    return text.toString();
  }

  /** The options that a checked file keeps, if it was saved with any. */
  static Map<String, String> savedOptions(Path file) {
    Map<String, String> options = new TreeMap<>();
    try (ZipFile zip = new ZipFile(file.toFile())) {
      ZipEntry entry =
          zip.stream()
              .filter(e -> e.getName().endsWith("/extra/" + OPTIONS) && e.getSize() < 10_000)
              .findFirst()
              .orElse(null);
      if (entry != null) {
        try (InputStream in = zip.getInputStream(entry)) {
          for (String line :
              new String(in.readAllBytes(), StandardCharsets.UTF_8).split("\n", -1)) {
            int equals = line.indexOf('=');
            if (equals > 0) {
              options.put(line.substring(0, equals), line.substring(equals + 1));
            }
          }
        }
      }
    } catch (IOException e) {
      throw damaged(file, String.valueOf(e.getMessage()), e);
    }
    return options;
  }

  /**
   * Checks a file.
   *
   * @throws OutriggerException that says what is wrong and what to do
   */
  static void check(Path file) {
    if (!Files.exists(file)) {
      throw new OutriggerException("There is no file " + file + ": check the path of the model.");
    }
    if (!Files.isRegularFile(file)) {
      throw new OutriggerException(file + " is a folder, not a TorchScript file.");
    }
    try {
      checkStart(file);
      try (ZipFile zip = new ZipFile(file.toFile())) {
        checkEntries(file, zip);
      }
    } catch (IOException | IllegalArgumentException e) {
      throw damaged(file, String.valueOf(e.getMessage()), e);
    }
  }

  private static void checkStart(Path file) throws IOException {
    byte[] start;
    try (InputStream in = Files.newInputStream(file)) {
      start = in.readNBytes(4);
    }
    if (start.length >= 2 && (start[0] & 0xff) == 0x80 && start[1] >= 2 && start[1] <= 5) {
      throw pickled(file);
    }
    if (start.length < 4 || start[0] != 'P' || start[1] != 'K') {
      throw new OutriggerException(
          file
              + " is not a TorchScript file (those are zip archives"
              + (start.length == 0 ? ", but this file is empty" : "")
              + "). "
              + EXPORT
              + ".");
    }
  }

  private static void checkEntries(Path file, ZipFile zip) throws IOException {
    if (zip.size() > MAX_ENTRIES) {
      throw damaged(file, "it has " + zip.size() + " entries", null);
    }
    long size = Files.size(file);
    String root = "";
    boolean code = false;
    boolean data = false;
    boolean constants = false;
    Enumeration<? extends ZipEntry> entries = zip.entries();
    while (entries.hasMoreElements()) {
      ZipEntry entry = entries.nextElement();
      String name = entry.getName();
      int slash = name.indexOf('/');
      if (slash < 1
          || name.contains("\\")
          || name.contains("//")
          || name.contains("/../")
          || name.contains("/./")
          || name.startsWith("../")) {
        throw damaged(file, "it has an entry with the path '" + shown(name) + "'", null);
      }
      if (root.isEmpty()) {
        root = name.substring(0, slash);
      } else if (!root.equals(name.substring(0, slash))) {
        throw damaged(file, "its entries lie in more than one folder", null);
      }
      if (entry.getSize() < 0 || entry.getSize() > Math.max(size * MAX_RATIO, 1L << 20)) {
        throw damaged(file, "'" + shown(name) + "' claims " + entry.getSize() + " bytes", null);
      }
      String inner = name.substring(slash + 1);
      code |= inner.startsWith("code/");
      data |= inner.equals("data.pkl");
      constants |= inner.equals("constants.pkl");
      checkContent(file, zip, entry, inner.startsWith("code/") && inner.endsWith(".py"));
    }
    if (data && !code) {
      throw pickled(file);
    }
    for (String part : new String[] {"data", "constants"}) {
      checkStorages(file, zip, root, part);
    }
    if (!code || !data || !constants) {
      throw new OutriggerException(
          file
              + " is a zip archive, but not a TorchScript one (it lacks "
              + (code ? (data ? "constants.pkl" : "data.pkl") : "code/")
              + "). "
              + EXPORT
              + ".");
    }
  }

  /** Every stored tensor has an entry that is long enough. */
  private static void checkStorages(Path file, ZipFile zip, String root, String part)
      throws IOException {
    ZipEntry pickle = zip.getEntry(root + "/" + part + ".pkl");
    if (pickle == null) {
      return;
    }
    try (InputStream in = zip.getInputStream(pickle)) {
      for (Map.Entry<String, Long> claim : PickledStorages.of(in.readAllBytes()).entrySet()) {
        ZipEntry stored = zip.getEntry(root + "/" + part + "/" + claim.getKey());
        if (stored == null || stored.getSize() < claim.getValue()) {
          throw damaged(file, "the tensor data '" + shown(claim.getKey()) + "' is cut off", null);
        }
      }
    }
  }

  /** Reads an entry to its end, so that its length and checksum are known to be right. */
  private static void checkContent(Path file, ZipFile zip, ZipEntry entry, boolean code)
      throws IOException {
    if (entry.isDirectory()) {
      return;
    }
    CRC32 crc = new CRC32();
    long read = 0;
    StringBuilder text = new StringBuilder();
    byte[] buffer = new byte[1 << 16];
    try (InputStream in = zip.getInputStream(entry)) {
      for (int n = in.read(buffer); n >= 0; n = in.read(buffer)) {
        crc.update(buffer, 0, n);
        read += n;
        if (read > entry.getSize()) {
          break;
        }
        if (code && read <= MAX_CODE_BYTES) {
          text.append(new String(buffer, 0, n, StandardCharsets.ISO_8859_1));
        }
      }
    }
    if (read != entry.getSize() || (entry.getCrc() >= 0 && entry.getCrc() != crc.getValue())) {
      throw damaged(file, "the checksum of '" + shown(entry.getName()) + "' is wrong", null);
    }
    if (code && read > MAX_CODE_BYTES) {
      throw damaged(file, "its code is " + read + " bytes long", null);
    }
    Matcher access = FILE_ACCESS.matcher(text);
    if (access.find()) {
      throw new OutriggerException(
          file
              + " holds code that reads or writes files (torch."
              + access.group(1)
              + "): such a model is not run. Remove the call and export it again.");
    }
  }

  private static OutriggerException pickled(Path file) {
    return new OutriggerException(
        file
            + " holds pickled weights (torch.save), which need Python to be read. "
            + EXPORT
            + ", or save the weights with safetensors and open them with an architecture of the"
            + " zoo.");
  }

  private static OutriggerException damaged(
      Path file, String why, @org.jspecify.annotations.Nullable Exception cause) {
    OutriggerException e =
        new OutriggerException(
            file
                + " is damaged or incomplete ("
                + why
                + "): copy it again, or export it again from Python.");
    if (cause != null) {
      e.initCause(cause);
    }
    return e;
  }

  private static String shown(String name) {
    String plain = name.replaceAll("[^\\x20-\\x7e]", "?");
    return plain.length() > 80 ? plain.substring(0, 80) + "..." : plain;
  }
}
