package org.outrigger.claims;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.outrigger.core.method.Methods;

/** Looking at what there is must not cost the seconds that unpacking native libraries takes. */
class NoNativeLibraryTest {
  /** Run in a JVM of its own. */
  static final class Listing {
    public static void main(String[] arguments) {
      Methods.cards().forEach(card -> System.out.println(card.slug()));
      Methods.cards().forEach(card -> System.out.println(Methods.defaults(card.slug())));
      ClaimRegistry.all().forEach(claim -> System.out.println(claim.slug() + claim.statement()));
    }
  }

  @TempDir Path cache;

  @Test
  void listingMethodsAndClaimsUnpacksNothing() throws IOException, InterruptedException {
    Process process =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-cp",
                System.getProperty("java.class.path"),
                "-Dorg.bytedeco.javacpp.cachedir=" + cache,
                Listing.class.getName())
            .redirectErrorStream(true)
            .start();
    String printed = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertThat(process.waitFor(60, TimeUnit.SECONDS)).isTrue();
    assertThat(process.exitValue()).as(printed).isZero();
    assertThat(printed).contains("energy", "temperature-scaling");
    assertThat(cache).isEmptyDirectory();
  }
}
