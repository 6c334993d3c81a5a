package org.outrigger.core.torch;

import java.net.URL;
import java.util.List;
import java.util.Locale;
import java.util.function.Supplier;
import org.bytedeco.javacpp.ClassProperties;
import org.bytedeco.javacpp.Loader;
import org.bytedeco.openblas.global.openblas;
import org.bytedeco.pytorch.Device;
import org.bytedeco.pytorch.global.torch;
import org.outrigger.core.OutriggerException;

/**
 * The native runtime: start-up, threads, devices, seeds, and the translation of libtorch's
 * exceptions into ours.
 *
 * <p>Every class of Outrigger that touches a tensor calls {@link #start()} first. A program that
 * uses {@code org.bytedeco.pytorch} directly should do the same before its first tensor.
 */
public final class Torch {
  private Torch() {}

  /** Loads on first use; the JVM's class initialisation makes it happen once and thread-safely. */
  private static final class Native {
    static {
      load();
    }

    static void touch() {}

    private static void load() {
      // JavaCPP would otherwise stop the world for a garbage collection, or fail, when resident
      // memory passes four times the Java heap: wrong for a process whose data is native.
      defaultProperty("org.bytedeco.javacpp.maxBytes", "0");
      defaultProperty("org.bytedeco.javacpp.maxPhysicalBytes", "0");
      // The loader falls back on these paths; a libtorch of the system found there is of another
      // version and crashes the process while it loads. Bundled libraries alone may be used.
      String javaLibraryPath = System.getProperty("java.library.path");
      String pathsFirst = System.getProperty("org.bytedeco.javacpp.pathsFirst");
      System.setProperty("java.library.path", "");
      System.setProperty("org.bytedeco.javacpp.pathsFirst", "false");
      try {
        Loader.load(openblas.class);
        // libtorch names libtorch_cpu, which the dynamic linker would look for on LD_LIBRARY_PATH
        // and in system folders unless one of that name is loaded: load ours in dependency order.
        ClassProperties properties =
            Loader.loadProperties(torch.class, Loader.loadProperties(), true);
        for (String library : List.of("gomp@.1", "c10", "torch_cpu", "torch")) {
          URL[] found = Loader.findLibrary(torch.class, properties, library, false);
          if (found.length > 0) {
            Loader.loadLibrary(torch.class, found, library);
          }
        }
        Loader.load(torch.class);
      } catch (LinkageError e) {
        throw new OutriggerException(
            "The native tensor library for "
                + Loader.getPlatform()
                + " could not be loaded. Put org.bytedeco:pytorch and org.bytedeco:openblas with the"
                + " classifier "
                + Loader.getPlatform()
                + " on the class path, and keep other versions of libtorch off LD_LIBRARY_PATH.\n"
                + e,
            e);
      } finally {
        restore("java.library.path", javaLibraryPath);
        restore("org.bytedeco.javacpp.pathsFirst", pathsFirst);
      }
    }

    private static void defaultProperty(String key, String value) {
      if (System.getProperty(key) == null) {
        System.setProperty(key, value);
      }
    }

    private static void restore(String key, @org.jspecify.annotations.Nullable String value) {
      if (value == null) {
        System.clearProperty(key);
      } else {
        System.setProperty(key, value);
      }
    }
  }

  /**
   * Loads the native libraries if that has not happened yet.
   *
   * @throws OutriggerException if they are not on the class path for this platform
   */
  public static void start() {
    try {
      Native.touch();
    } catch (ExceptionInInitializerError e) {
      if (e.getCause() instanceof OutriggerException ours) {
        throw ours;
      }
      throw e;
    }
  }

  /** The version of libtorch's Java presets; loads no native library. */
  public static String version() {
    try {
      return Loader.getVersion("org.bytedeco", "pytorch");
    } catch (java.io.IOException e) {
      return "unknown";
    }
  }

  /**
   * Sets how many threads one operation may use.
   *
   * @param threads at least 1
   */
  public static void threads(int threads) {
    if (threads < 1) {
      throw new OutriggerException("threads = " + threads + " is out of range: use 1 or more.");
    }
    start();
    torch.set_num_threads(threads);
    // OpenBLAS has threads of its own, which libtorch does not tell.
    openblas.blas_set_num_threads(threads);
  }

  /** How many threads one operation may use. */
  public static int threads() {
    start();
    return torch.get_num_threads();
  }

  /** Seeds libtorch's global generators; methods draw from their own {@link Rng} instead. */
  public static void seed(long seed) {
    start();
    torch.manual_seed(seed);
  }

  /**
   * The device of that name: {@code cpu}, {@code cuda}, {@code cuda:1}, or {@code auto} (CUDA where
   * this build and machine have it, else the CPU).
   */
  public static Device device(String name) {
    start();
    String wanted = name.toLowerCase(Locale.ROOT);
    if (wanted.equals("auto")) {
      wanted = torch.cuda_is_available() ? "cuda" : "cpu";
    }
    if (!wanted.matches("cpu|cuda(:\\d+)?")) {
      throw new OutriggerException(
          "Unknown device '" + name + "': use auto, cpu, cuda or cuda:INDEX.");
    }
    if (wanted.startsWith("cuda")) {
      if (!torch.cuda_is_available()) {
        throw new OutriggerException(
            "Device '"
                + name
                + "' is not available: this machine or this build of libtorch has no CUDA. Use cpu.");
      }
      int index = wanted.length() > 4 ? Integer.parseInt(wanted.substring(5)) : 0;
      if (index >= torch.cuda_device_count()) {
        throw new OutriggerException(
            "Device '" + name + "' does not exist: there are " + torch.cuda_device_count() + ".");
      }
    }
    return new Device(wanted);
  }

  /**
   * Runs native work; what libtorch throws comes back as an {@link OutriggerException} whose first
   * line is {@code what} and whose second is libtorch's own.
   *
   * @param what a clause such as {@code "the model could not be run on a batch of shape [8, 3,
   *     32]"}
   */
  public static <T> T call(String what, Supplier<T> work) {
    start();
    try {
      return work.get();
    } catch (OutriggerException e) {
      throw e;
    } catch (RuntimeException e) {
      throw failure(what, e);
    }
  }

  /** As {@link #call(String, Supplier)}, for work without a result. */
  public static void run(String what, Runnable work) {
    start();
    try {
      work.run();
    } catch (OutriggerException e) {
      throw e;
    } catch (RuntimeException e) {
      throw failure(what, e);
    }
  }

  /** The exception that {@link #call} throws. */
  public static OutriggerException failure(String what, RuntimeException cause) {
    String native0 = String.valueOf(cause.getMessage()).strip();
    int trace = native0.indexOf("\nException raised from");
    String detail = trace < 0 ? native0 : native0.substring(0, trace);
    return new OutriggerException(what + "\n" + detail, cause);
  }
}
