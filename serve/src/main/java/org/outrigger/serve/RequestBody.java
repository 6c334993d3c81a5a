package org.outrigger.serve;

import io.javalin.http.Context;
import java.io.IOException;
import org.outrigger.serve.protocol.Refusal;

/** Reads what a client sends, up to a limit. */
public final class RequestBody {
  private RequestBody() {}

  /**
   * All of the body.
   *
   * @param most how many bytes it may have
   * @throws Refusal 413 if it has more, 415 if it is compressed
   */
  public static byte[] read(Context ctx, int most) throws IOException {
    if (ctx.header("Content-Encoding") != null) {
      unread(ctx);
      throw new Refusal(415, "A compressed body is not taken: send it as it is.");
    }
    String told = ctx.header("Content-Length");
    if (told != null && told.length() > 10 || ctx.req().getContentLengthLong() > most) {
      unread(ctx);
      throw tooLarge(most);
    }
    byte[] body = ctx.req().getInputStream().readNBytes(most + 1);
    if (body.length > most) {
      unread(ctx);
      throw tooLarge(most);
    }
    return body;
  }

  /** The rest of the body is not read, so no other request can follow on this connection. */
  private static void unread(Context ctx) {
    ctx.header("Connection", "close");
  }

  private static Refusal tooLarge(int most) {
    return new Refusal(413, "The body is larger than " + most + " bytes: send fewer rows.");
  }
}
