package org.outrigger.adapt.edge;

import java.io.BufferedInputStream;
import java.io.BufferedOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.bytedeco.javacpp.PointerScope;
import org.jspecify.annotations.Nullable;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.torch.Torch;

/**
 * A cloud behind TCP. A thread of its own connects, sends what is queued and takes what is
 * answered; while there is no connection it tries again, and the device goes on with what it has.
 * An upload that was on its way when a connection broke is lost, never sent twice. Nothing is
 * encrypted: cross an untrusted network through a tunnel.
 */
public final class TcpLink implements CloudLink {
  /**
   * @param host of the cloud
   * @param port of the cloud
   * @param device the name under which the cloud keeps what it learned for this device
   * @param token what the cloud asks for; empty for none
   * @param queue how many uploads and how many answers may wait, 1 or more
   * @param mostBytes how long a message may be
   * @param patience how long to wait for a connection or an answer
   */
  public record Options(
      String host,
      int port,
      String device,
      String token,
      int queue,
      int mostBytes,
      Duration patience) {
    public Options {
      HyperParameter.between("port", port, 1, 65_535);
      HyperParameter.atLeast("queue", queue, 1);
      HyperParameter.atLeast("mostBytes", mostBytes, 1 << 17);
    }

    /** No token, a queue of 64, 64 MiB, 30 seconds. */
    public static Options of(String host, int port, String device) {
      return new Options(host, port, device, "", 64, 1 << 26, Duration.ofSeconds(30));
    }

    public Options withToken(String value) {
      return new Options(host, port, device, value, queue, mostBytes, patience);
    }

    public Options withQueue(int value) {
      return new Options(host, port, device, token, value, mostBytes, patience);
    }
  }

  private static final long FIRST_PAUSE_MS = 100;
  private static final long LONGEST_PAUSE_MS = 5_000;

  private final EdgeDevice device;
  private final Options options;
  private final Thread thread;
  private final Deque<byte[]> uploads = new ArrayDeque<>();
  private final Deque<byte[]> answers = new ArrayDeque<>();
  private Traffic traffic = Traffic.NONE;
  private Map<String, Object> hello;
  private boolean busy;
  private boolean connected;
  private boolean closing;
  private @Nullable Socket socket;
  private @Nullable OutriggerException refusal;
  private @Nullable String problem;

  /** Starts to connect; does not wait for it. */
  public TcpLink(EdgeDevice device, Options options) {
    Torch.start();
    this.device = device;
    this.options = options;
    hello = hello();
    thread = new Thread(this::run, "outrigger-edge-link");
    thread.setDaemon(true);
    thread.start();
  }

  private Map<String, Object> hello() {
    Map<String, Object> values = new LinkedHashMap<>(device.hello());
    values.put("protocols", List.of(Frames.VERSION));
    values.put("method", device.method());
    values.put("device", options.device());
    values.put("token", options.token());
    values.put("version", device.version());
    return values;
  }

  // -- for the device's thread

  @Override
  public synchronized void send(Message upload) {
    hello = hello();
    if (uploads.size() == options.queue()) {
      uploads.removeFirst();
      traffic = traffic.plus(0, 0, 0, 1);
    }
    uploads.add(Frames.encode(upload));
    notifyAll();
  }

  @Override
  public @Nullable Message receive() {
    byte[] answer;
    synchronized (this) {
      if (refusal != null) {
        throw new OutriggerException(String.valueOf(refusal.getMessage()), refusal);
      }
      answer = answers.poll();
    }
    return answer == null ? null : Frames.decode(answer);
  }

  /**
   * Waits until everything that was queued is answered.
   *
   * @return whether it is; otherwise the time is up, or the cloud refused this device
   */
  public synchronized boolean await(Duration most) {
    long end = System.nanoTime() + most.toNanos();
    try {
      while (refusal == null && (busy || !connected || !uploads.isEmpty())) {
        long left = (end - System.nanoTime()) / 1_000_000;
        if (left <= 0) {
          return false;
        }
        wait(left);
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      return false;
    }
    return refusal == null;
  }

  @Override
  public synchronized Traffic traffic() {
    return traffic;
  }

  /** Whether there is a connection now. */
  public synchronized boolean connected() {
    return connected;
  }

  /** What went wrong last: a connection that broke, an upload that was refused; null if nothing. */
  public synchronized @Nullable String problem() {
    return problem;
  }

  @Override
  public void close() {
    synchronized (this) {
      closing = true;
      notifyAll();
    }
    try {
      thread.join(1_000);
      Socket open;
      synchronized (this) {
        open = socket;
      }
      if (open != null) {
        open.close();
      }
      thread.join(1_000);
    } catch (IOException e) {
      // It is going anyway.
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  // -- the link's own thread

  private void run() {
    long pause = FIRST_PAUSE_MS;
    while (true) {
      try (Socket open = new Socket()) {
        synchronized (this) {
          if (closing) {
            return;
          }
          socket = open;
        }
        open.setTcpNoDelay(true);
        int patience = Math.toIntExact(options.patience().toMillis());
        open.connect(new InetSocketAddress(options.host(), options.port()), patience);
        open.setSoTimeout(patience);
        InputStream in = new BufferedInputStream(open.getInputStream());
        OutputStream out = new BufferedOutputStream(open.getOutputStream());
        greet(in, out);
        pause = FIRST_PAUSE_MS;
        serve(in, out);
        return;
      } catch (OutriggerException e) {
        synchronized (this) {
          refusal = e;
          connected = false;
          busy = false;
          notifyAll();
        }
        return;
      } catch (IOException e) {
        if (pause(pause, e)) {
          return;
        }
        pause = Math.min(2 * pause, LONGEST_PAUSE_MS);
      }
    }
  }

  /** Waits before the next attempt; says whether the link is being closed. */
  private synchronized boolean pause(long millis, IOException e) {
    connected = false;
    problem = "no connection to " + options.host() + ":" + options.port() + ": " + e.getMessage();
    if (busy) {
      busy = false;
      traffic = traffic.plus(0, 0, 0, 1);
    }
    notifyAll();
    long end = System.nanoTime() + millis * 1_000_000;
    try {
      for (long left = millis; left > 0 && !closing; left = (end - System.nanoTime()) / 1_000_000) {
        wait(left);
      }
    } catch (InterruptedException stop) {
      return true;
    }
    return closing;
  }

  private void greet(InputStream in, OutputStream out) throws IOException {
    Message greeting;
    synchronized (this) {
      greeting = Message.of(Message.Kind.HELLO, hello);
    }
    write(out, Frames.encode(greeting));
    try (PointerScope scope = new PointerScope()) {
      Message welcome = Frames.decode(read(in)).expect(Message.Kind.WELCOME);
      if (welcome.count("protocol") != Frames.VERSION) {
        throw new OutriggerException(
            "The cloud speaks protocol "
                + welcome.count("protocol")
                + ", but this Outrigger speaks "
                + Frames.VERSION
                + ": update the older side.");
      }
      take(read(in));
    }
    synchronized (this) {
      connected = true;
      notifyAll();
    }
  }

  /** Sends uploads until the link is closed. */
  private void serve(InputStream in, OutputStream out) throws IOException {
    while (true) {
      byte[] upload = next();
      if (upload == null) {
        write(out, Frames.encode(Message.of(Message.Kind.BYE, Map.of())));
        return;
      }
      write(out, upload);
      byte[] answer = read(in);
      try (PointerScope scope = new PointerScope()) {
        take(answer);
      }
      synchronized (this) {
        busy = false;
        notifyAll();
      }
    }
  }

  /** The next upload, once there is one; null when the link is closed. */
  private synchronized byte @Nullable [] next() throws IOException {
    try {
      while (uploads.isEmpty() && !closing) {
        wait();
      }
    } catch (InterruptedException e) {
      throw new IOException("interrupted", e);
    }
    if (closing) {
      return null;
    }
    busy = true;
    return uploads.removeFirst();
  }

  /** Keeps an answer for the device; that of a refused upload is a problem instead. */
  private void take(byte[] frame) {
    Message answer = Frames.decode(frame);
    synchronized (this) {
      if (answer.kind() == Message.Kind.ERROR) {
        problem = "the cloud refused an upload: " + answer.text("message");
        traffic = traffic.plus(0, 0, 0, 1);
        return;
      }
      if (busy) {
        traffic = traffic.plus(0, 0, 1, 0);
      }
      if (answers.size() == options.queue()) {
        answers.removeFirst();
      }
      answers.add(frame);
    }
  }

  private void write(OutputStream out, byte[] frame) throws IOException {
    out.write(frame);
    out.flush();
    synchronized (this) {
      traffic = traffic.plus(frame.length, 0, 0, 0);
    }
  }

  private byte[] read(InputStream in) throws IOException {
    byte[] frame = Frames.read(in, options.mostBytes());
    if (frame == null) {
      throw new EOFException("the cloud closed the connection");
    }
    synchronized (this) {
      traffic = traffic.plus(0, frame.length, 0, 0);
    }
    return frame;
  }
}
