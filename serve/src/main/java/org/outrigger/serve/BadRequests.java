package org.outrigger.serve;

import java.util.Map;
import org.eclipse.jetty.http.HttpHeader;
import org.eclipse.jetty.io.Content;
import org.eclipse.jetty.server.Request;
import org.eclipse.jetty.server.Response;
import org.eclipse.jetty.server.handler.ErrorHandler;
import org.eclipse.jetty.util.Callback;
import org.outrigger.core.io.Json;

/**
 * Answers what is no request that a route could be asked with, such as a path that cannot be
 * decoded. Nobody reads its body, so the connection ends, and the client is told.
 */
final class BadRequests extends ErrorHandler {
  @Override
  public boolean handle(Request request, Response response, Callback callback) {
    String message =
        response.getStatus() < 500
            ? "This is no request that can be understood: check its path and headers."
            : "The server failed; its log says why.";
    response.getHeaders().put(HttpHeader.CONNECTION, "close");
    response.getHeaders().put(HttpHeader.CONTENT_TYPE, "application/json");
    response.getHeaders().put("X-Content-Type-Options", "nosniff");
    Content.Sink.write(response, true, Json.compact(Map.of("error", message)), callback);
    return true;
  }
}
