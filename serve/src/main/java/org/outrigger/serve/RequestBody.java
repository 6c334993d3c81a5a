package org.outrigger.serve;

import io.javalin.http.Context;
import jakarta.servlet.ServletInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import org.eclipse.jetty.http.BadMessageException;
import org.outrigger.serve.protocol.Refusal;

/** Reads what a client sends, up to a limit. */
public final class RequestBody {
  private static final int PIECE = 16 << 10;
  private static final int MOST_FORGOTTEN = 1 << 20;

  private RequestBody() {}

  /**
   * All of the body.
   *
   * @param most how many bytes it may have
   * @throws Refusal 408 if it does not come, 413 if it has more, 415 if it is compressed
   */
  public static byte[] read(Context ctx, int most) {
    return read(ctx, most, new BodyBudget(Long.MAX_VALUE).lease());
  }

  /**
   * All of the body. Room for it is taken as it comes, so that nobody holds room by only saying
   * that much will come.
   *
   * @throws Refusal as the other, and 429 if there is no room
   */
  static byte[] read(Context ctx, int most, BodyBudget.Lease room) {
    check(ctx, most);
    try {
      return pieces(ctx, most, room);
    } catch (IOException | BadMessageException e) {
      throw brokenOff(ctx);
    }
  }

  private static byte[] pieces(Context ctx, int most, BodyBudget.Lease room) throws IOException {
    InputStream in = ctx.req().getInputStream();
    long told = ctx.req().getContentLengthLong();
    ByteArrayOutputStream body =
        new ByteArrayOutputStream((int) Math.max(PIECE, Math.min(told, 1 << 20)));
    byte[] piece = new byte[PIECE];
    for (int n = in.read(piece); n >= 0; n = in.read(piece)) {
      if (body.size() + n > most) {
        unread(ctx);
        throw tooLarge(most);
      }
      if (!room.grow(n)) {
        room.close();
        if (told >= 0) {
          // The client reads the answer once it has sent all; nothing of that is kept.
          in.transferTo(OutputStream.nullOutputStream());
        } else {
          unread(ctx);
        }
        throw new Refusal(429, "Too many bytes are under way: try again in a moment.");
      }
      body.write(piece, 0, n);
    }
    return body.toByteArray();
  }

  private static void check(Context ctx, int most) {
    if (ctx.header("Content-Encoding") != null) {
      unread(ctx);
      throw new Refusal(415, "A compressed body is not taken: send it as it is.");
    }
    String told = ctx.header("Content-Length");
    if (told != null && told.length() > 10 || ctx.req().getContentLengthLong() > most) {
      unread(ctx);
      throw tooLarge(most);
    }
  }

  /**
   * Before an answer goes out: a connection serves further requests only if nothing is left on it
   * of a body that nobody wanted. A small rest is read and forgotten; else the client is told that
   * the connection ends, as it would otherwise send its next request into a closed one.
   *
   * @param trusted whether to wait for a rest that is still to come
   */
  static void finish(Context ctx, boolean trusted) {
    long told = ctx.req().getContentLengthLong();
    if (told == 0 || told < 0 && ctx.header("Transfer-Encoding") == null) {
      return;
    }
    try {
      ServletInputStream in = ctx.req().getInputStream();
      if (in.isFinished()) {
        return;
      }
      byte[] piece = new byte[PIECE];
      int n = 0;
      for (int read = 0; n >= 0 && !in.isFinished(); read += n) {
        if (!trusted || told > MOST_FORGOTTEN || read > MOST_FORGOTTEN) {
          unread(ctx);
          return;
        }
        n = in.read(piece);
      }
    } catch (IOException | BadMessageException e) {
      unread(ctx);
    }
  }

  /** The rest of the body is not read, so no other request can follow on this connection. */
  private static void unread(Context ctx) {
    ctx.header("Connection", "close");
  }

  private static Refusal brokenOff(Context ctx) {
    unread(ctx);
    return new Refusal(408, "The body broke off or came too slowly: send it at once.");
  }

  private static Refusal tooLarge(int most) {
    return new Refusal(413, "The body is larger than " + most + " bytes: send fewer rows.");
  }
}
