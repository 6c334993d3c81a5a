package org.outrigger.adapt.edge;

import java.io.BufferedInputStream;
import java.io.BufferedOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Consumer;
import org.bytedeco.javacpp.PointerScope;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.torch.Torch;

/**
 * Serves devices over TCP: each, by its name, has a {@link CloudSession} of its own, which is kept
 * while it is away. What comes is checked before memory is taken for it, and a message that does
 * not fit is answered with the reason. Nothing is encrypted: it listens on the loopback address
 * unless told otherwise.
 */
public final class CloudServer implements AutoCloseable {
  /** Makes the session of a device. */
  public interface Sessions {
    /**
     * @param method the slug of the device's method
     * @throws OutriggerException if that is not served
     */
    CloudSession open(String method);
  }

  /**
   * @param address to listen on
   * @param port to listen on; 0 for any that is free
   * @param token what devices must know; empty for none
   * @param devices how many devices may have a session, 1 or more
   * @param mostBytes how long a message may be
   * @param idle how long a silent connection is kept
   */
  public record Options(
      InetAddress address, int port, String token, int devices, int mostBytes, Duration idle) {
    public Options {
      HyperParameter.between("port", port, 0, 65_535);
      HyperParameter.atLeast("devices", devices, 1);
      HyperParameter.atLeast("mostBytes", mostBytes, 1 << 17);
    }

    /** Loopback, any port, no token, eight devices, 64 MiB, ten minutes. */
    public static Options defaults() {
      return new Options(
          InetAddress.getLoopbackAddress(), 0, "", 8, 1 << 26, Duration.ofMinutes(10));
    }

    public Options withAddress(InetAddress value) {
      return new Options(value, port, token, devices, mostBytes, idle);
    }

    public Options withPort(int value) {
      return new Options(address, value, token, devices, mostBytes, idle);
    }

    public Options withToken(String value) {
      return new Options(address, port, value, devices, mostBytes, idle);
    }

    public Options withDevices(int value) {
      return new Options(address, port, token, value, mostBytes, idle);
    }

    public Options withMostBytes(int value) {
      return new Options(address, port, token, devices, value, idle);
    }
  }

  /** What a message may have before its sender has said who it is. */
  private static final int MOST_HELLO = 1 << 17;

  /** Beyond it a version could not be counted on. */
  private static final long MOST_VERSION = 1L << 53;

  private static final class Served {
    final CloudSession session;
    @Nullable Socket socket;

    Served(CloudSession session) {
      this.session = session;
    }
  }

  private final Sessions sessions;
  private final Options options;
  private final Consumer<String> log;
  private final ServerSocket server;
  private final Map<String, Served> served = new LinkedHashMap<>();
  private final Set<Socket> open = ConcurrentHashMap.newKeySet();
  private final Set<Thread> threads = ConcurrentHashMap.newKeySet();
  private volatile boolean closed;
  private boolean departed;

  /**
   * Starts to listen.
   *
   * @param log told in a sentence who comes, goes and is refused
   * @throws OutriggerException if the port is taken
   */
  public CloudServer(Sessions sessions, Options options, Consumer<String> log) {
    Torch.start();
    this.sessions = sessions;
    this.options = options;
    this.log = log;
    try {
      server = new ServerSocket();
      server.setReuseAddress(true);
      server.bind(new InetSocketAddress(options.address(), options.port()));
    } catch (IOException e) {
      throw new OutriggerException(
          "Port "
              + options.port()
              + " of "
              + options.address().getHostAddress()
              + " cannot be listened on: "
              + e.getMessage()
              + ". Choose another with --port.",
          e);
    }
    start(this::accept, "outrigger-edge-cloud");
  }

  private void start(Runnable work, String name) {
    Thread thread = new Thread(work, name);
    thread.setDaemon(true);
    threads.add(thread);
    thread.start();
  }

  /** The port it listens on. */
  public int port() {
    return server.getLocalPort();
  }

  private void accept() {
    while (!closed) {
      try {
        Socket socket = server.accept();
        if (open.size() >= 2 * options.devices()) {
          socket.close();
          log.accept("A connection was refused: there are too many.");
          continue;
        }
        open.add(socket);
        start(() -> serve(socket), "outrigger-edge-device");
      } catch (IOException e) {
        if (!closed) {
          log.accept("A connection failed: " + e.getMessage());
        }
      }
    }
  }

  private void serve(Socket socket) {
    try (socket) {
      socket.setTcpNoDelay(true);
      socket.setSoTimeout(Math.toIntExact(options.idle().toMillis()));
      InputStream in = new BufferedInputStream(socket.getInputStream());
      OutputStream out = new BufferedOutputStream(socket.getOutputStream());
      try {
        converse(socket, in, out);
      } catch (OutriggerException e) {
        log.accept(socket.getRemoteSocketAddress() + " was refused: " + e.getMessage());
        write(out, Message.error(String.valueOf(e.getMessage())));
      }
    } catch (IOException e) {
      if (!closed) {
        log.accept(socket.getRemoteSocketAddress() + " was lost: " + e.getMessage());
      }
    } catch (RuntimeException e) {
      log.accept(socket.getRemoteSocketAddress() + " was dropped because of a bug: " + e);
    } finally {
      open.remove(socket);
      threads.remove(Thread.currentThread());
    }
  }

  private void converse(Socket socket, InputStream in, OutputStream out) throws IOException {
    byte[] first = Frames.read(in, MOST_HELLO);
    if (first == null) {
      return;
    }
    Served device;
    String name;
    try (PointerScope scope = new PointerScope()) {
      Message hello = Frames.decode(first).expect(Message.Kind.HELLO);
      name = admit(hello);
      device = served(name, hello, socket);
      write(out, Message.of(Message.Kind.WELCOME, Map.of("protocol", Frames.VERSION)));
      synchronized (device) {
        write(out, device.session.latest(hello.count("version")));
      }
    }
    log.accept(name + " came.");
    byte[] frame = Frames.read(in, options.mostBytes());
    while (frame != null) {
      try (PointerScope scope = new PointerScope()) {
        if (!answer(device, frame, out)) {
          break;
        }
      }
      frame = Frames.read(in, options.mostBytes());
    }
    log.accept(name + " went.");
    synchronized (this) {
      departed = true;
      notifyAll();
    }
  }

  /** Waits until a device that was served has gone, or this server is closed. */
  public synchronized void awaitDeparture() {
    try {
      while (!departed && !closed) {
        wait();
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  /** Checks a greeting and gives the name of the device. */
  private String admit(Message hello) {
    byte[] wanted = options.token().getBytes(StandardCharsets.UTF_8);
    byte[] given = hello.text("token").getBytes(StandardCharsets.UTF_8);
    if (wanted.length > 0 && !MessageDigest.isEqual(wanted, given)) {
      throw new OutriggerException("The token is wrong: give the one of the cloud with --token.");
    }
    if (!(hello.values().get("protocols") instanceof List<?> protocols)
        || !protocols.contains(Frames.VERSION)) {
      throw new OutriggerException(
          "This cloud speaks protocol "
              + Frames.VERSION
              + ", which the device does not: update the older side.");
    }
    String name = hello.text("device");
    if (!name.matches("[A-Za-z0-9._-]{1,64}")) {
      throw new OutriggerException(
          "A device's name has 1 to 64 letters, digits, dots and hyphens: choose another.");
    }
    if (hello.count("version") > MOST_VERSION) {
      throw new OutriggerException("The device has an impossible version: start it anew.");
    }
    return name;
  }

  private synchronized Served served(String name, Message hello, Socket socket) throws IOException {
    String method = hello.text("method");
    String key = method + "/" + name;
    Served known = served.get(key);
    if (known == null) {
      if (closed || served.size() >= options.devices()) {
        throw new OutriggerException(
            "This cloud serves " + options.devices() + " devices already: raise --devices.");
      }
      known = new Served(sessions.open(method));
      served.put(key, known);
    }
    if (!known.session.digest().equals(hello.text("digest"))) {
      throw new OutriggerException(
          "The device runs another model than the cloud was given as --student: give both the"
              + " same file.");
    }
    Socket old = known.socket;
    if (old != null) {
      old.close();
    }
    known.socket = socket;
    return known;
  }

  /** Answers one message; false if it was the last. */
  private boolean answer(Served device, byte[] frame, OutputStream out) throws IOException {
    Message reply;
    try {
      Message message = Frames.decode(frame);
      if (message.kind() == Message.Kind.BYE) {
        return false;
      }
      synchronized (device) {
        if (closed) {
          return false;
        }
        reply = device.session.answer(message);
        write(out, reply);
      }
      return true;
    } catch (OutriggerException e) {
      log.accept("An upload was refused: " + e.getMessage());
      reply = Message.error(String.valueOf(e.getMessage()));
    }
    write(out, reply);
    return true;
  }

  private static void write(OutputStream out, Message message) throws IOException {
    out.write(Frames.encode(message));
    out.flush();
  }

  /** The session of a device, for looking at; null if it has none. Its owner is the server. */
  public synchronized @Nullable CloudSession session(String method, String device) {
    Served known = served.get(method + "/" + device);
    return known == null ? null : known.session;
  }

  @Override
  public void close() {
    closed = true;
    try {
      server.close();
      for (Socket socket : open) {
        socket.close();
      }
    } catch (IOException e) {
      log.accept("A connection could not be closed: " + e.getMessage());
    }
    try {
      for (Thread thread : threads) {
        thread.join(5_000);
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
    synchronized (this) {
      for (Served device : served.values()) {
        synchronized (device) {
          device.session.close();
        }
      }
      served.clear();
      notifyAll();
    }
  }
}
