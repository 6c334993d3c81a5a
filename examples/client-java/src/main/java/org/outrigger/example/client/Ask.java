package org.outrigger.example.client;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import org.outrigger.client.GuardClient;
import org.outrigger.client.GuardClientBuilder;
import org.outrigger.client.GuardClientException;
import org.outrigger.client.ModelMetadata;
import org.outrigger.client.Verdict;

/** Reads rows of numbers from standard input, and prints what a guard behind HTTP says of them. */
public final class Ask {
  private Ask() {}

  public static void main(String[] arguments) throws Exception {
    if (arguments.length < 1 || arguments.length > 2) {
      System.err.println("Usage: Ask http://127.0.0.1:8080 [MODEL] < rows.csv");
      System.exit(2);
    }
    try {
      GuardClientBuilder builder = GuardClient.of(URI.create(arguments[0]));
      String token = System.getenv("OUTRIGGER_TOKEN");
      if (token != null) {
        builder.token(token);
      }
      ask((arguments.length == 2 ? builder.model(arguments[1]) : builder).build());
    } catch (GuardClientException | IllegalArgumentException e) {
      System.err.println(String.valueOf(e.getMessage()).lines().findFirst().orElse(""));
      System.exit(1);
    }
  }

  private static void ask(GuardClient client) throws Exception {
    ModelMetadata model = client.metadata();
    System.out.println(
        model.name() + " version " + model.version() + " takes rows of " + model.inputShape());
    for (Verdict verdict : client.check(rows())) {
      System.out.printf(
          "row %d: %s%n",
          verdict.row(),
          verdict.unknown()
              ? "unknown (score %.3f)".formatted(verdict.score())
              : "%s (%.1f %%)".formatted(verdict.className(), 100 * verdict.probability()));
    }
  }

  private static float[][] rows() throws Exception {
    List<float[]> rows = new ArrayList<>();
    BufferedReader in =
        new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line = in.readLine(); line != null; line = in.readLine()) {
      if (!line.isBlank()) {
        String[] cells = line.strip().split("[,;\\s]+");
        float[] row = new float[cells.length];
        for (int i = 0; i < row.length; i++) {
          row[i] = Float.parseFloat(cells[i]);
        }
        rows.add(row);
      }
    }
    return rows.toArray(new float[0][]);
  }
}
