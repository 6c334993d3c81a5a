package org.outrigger.serve.monitor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CopyOnWriteArrayList;
import org.junit.jupiter.api.Test;
import org.outrigger.core.OutriggerException;

class WebhookTest {
  private final List<Webhook.Outcome> outcomes = new CopyOnWriteArrayList<>();

  private static Webhook.Alert alert(int n) {
    return new Webhook.Alert("id-" + n, "{\"n\":" + n + "}", Map.of("traceparent", "t" + n));
  }

  private Webhook webhook(Receiver receiver, int attempts) {
    return new Webhook(
        WebhookSettings.of(receiver.url(), "key")
            .withTries(Duration.ofMillis(300), attempts, Duration.ofMillis(5))
            .withQueue(4, Duration.ofSeconds(2)),
        outcomes::add);
  }

  @Test
  void signsWhatItPostsAndPassesTheTraceOn() throws Exception {
    try (Receiver receiver = new Receiver(n -> 204);
        Webhook webhook = webhook(receiver, 3)) {
      webhook.send(alert(1));
      assertThat(Receiver.soon(() -> outcomes.size() == 1)).isTrue();
      assertThat(outcomes).containsExactly(Webhook.Outcome.DELIVERED);
      Receiver.Call call = receiver.calls.get(0);
      assertThat(call.path()).isEqualTo("/secret-path");
      assertThat(call.body()).isEqualTo("{\"n\":1}");
      assertThat(call.header("traceparent")).isEqualTo("t1");
      assertThat(call.header("X-Outrigger-Alert")).isEqualTo("id-1");
      String timestamp = call.header("X-Outrigger-Timestamp");
      assertThat(Math.abs(Long.parseLong(timestamp) - System.currentTimeMillis() / 1000))
          .isLessThan(30);
      assertThat(call.header("X-Outrigger-Signature"))
          .isEqualTo("v1=" + Webhook.sign("key", timestamp, call.body()))
          .isNotEqualTo("v1=" + Webhook.sign("other", timestamp, call.body()));
      assertThat(webhook.problem()).isNull();
    }
    // As OpenSSL signs it: printf '1700000000.{"n":1}' | openssl dgst -sha256 -hmac key
    assertThat(Webhook.sign("key", "1700000000", "{\"n\":1}")).isEqualTo(EXPECTED);
  }

  private static final String EXPECTED =
      "fb65f9bd0a02faafbd7bb3a9fe9f62c2809b0ed738871c173e25db852f7ff138";

  @Test
  void faultsOfTheReceiverAreTriedAgainAndItsRefusalsAreNot() throws Exception {
    int[] answers = {500, 503, 429, 200, 400, 302, 500, 500, 500, 500, 200};
    try (Receiver receiver = new Receiver(n -> answers[n]);
        Webhook webhook = webhook(receiver, 4)) {
      webhook.send(alert(0));
      assertThat(Receiver.soon(() -> outcomes.size() == 1)).isTrue();
      assertThat(receiver.calls).hasSize(4);
      assertThat(receiver.calls.stream().map(each -> each.header("X-Outrigger-Alert")))
          .containsOnly("id-0");
      webhook.send(alert(1));
      assertThat(Receiver.soon(() -> outcomes.size() == 2)).isTrue();
      assertThat(receiver.calls).hasSize(5);
      assertThat(webhook.problem()).contains("status 400").doesNotContain("secret-path");
      webhook.send(alert(2));
      assertThat(Receiver.soon(() -> outcomes.size() == 3)).isTrue();
      assertThat(receiver.calls).hasSize(6).noneMatch(each -> each.path().equals("/elsewhere"));
      webhook.send(alert(3));
      assertThat(Receiver.soon(() -> outcomes.size() == 4)).isTrue();
      assertThat(receiver.calls).hasSize(10);
      webhook.send(alert(4));
      assertThat(Receiver.soon(() -> outcomes.size() == 5)).isTrue();
      assertThat(webhook.problem()).isNull();
      assertThat(outcomes)
          .containsExactly(
              Webhook.Outcome.DELIVERED,
              Webhook.Outcome.FAILED,
              Webhook.Outcome.FAILED,
              Webhook.Outcome.FAILED,
              Webhook.Outcome.DELIVERED);
    }
  }

  @Test
  void aReceiverThatDoesNotAnswerIsGivenUpAndItsQueueIsBounded() throws Exception {
    try (Receiver receiver = new Receiver(n -> -5_000);
        Webhook webhook = webhook(receiver, 1)) {
      long start = System.nanoTime();
      for (int i = 0; i < 50; i++) {
        webhook.send(alert(i));
      }
      assertThat(System.nanoTime() - start).isLessThan(200_000_000L);
      assertThat(outcomes.stream().filter(each -> each == Webhook.Outcome.DROPPED).count())
          .isBetween(45L, 46L);
      assertThat(Receiver.soon(() -> outcomes.contains(Webhook.Outcome.FAILED))).isTrue();
      assertThat(webhook.problem()).contains("300 ms");
    }
    assertThat(outcomes).hasSize(50);
  }

  @Test
  void nobodyListensAndThatIsSaidWithoutTheSecretPath() throws Exception {
    Receiver receiver = new Receiver(n -> 200);
    receiver.close();
    try (Webhook webhook = webhook(receiver, 2)) {
      webhook.send(alert(0));
      assertThat(Receiver.soon(() -> outcomes.size() == 1)).isTrue();
      assertThat(outcomes).containsExactly(Webhook.Outcome.FAILED);
      assertThat(webhook.problem()).contains("ConnectException").doesNotContain("secret-path");
    }
  }

  @Test
  void aStopDeliversWhatWaitsAndTakesNoLongerThanItMay() throws Exception {
    try (Receiver receiver = new Receiver(n -> 200)) {
      Webhook webhook = webhook(receiver, 2);
      for (int i = 0; i < 3; i++) {
        webhook.send(alert(i));
      }
      webhook.close();
      assertThat(receiver.calls.stream().map(Receiver.Call::body))
          .containsExactly("{\"n\":0}", "{\"n\":1}", "{\"n\":2}");
      webhook.send(alert(3));
      assertThat(outcomes).hasSize(4).endsWith(Webhook.Outcome.DROPPED);
    }
    try (Receiver deaf = new Receiver(n -> -10_000)) {
      Webhook webhook = webhook(deaf, 100);
      webhook.send(alert(0));
      long start = System.nanoTime();
      webhook.close();
      assertThat(System.nanoTime() - start).isLessThan(4_000_000_000L);
    }
  }

  @Test
  void addressesThatCannotBeAreRefusedWithoutShowingThem() {
    for (String bad :
        List.of(
            "",
            "hidden",
            "ftp://host/hidden",
            "file:///hidden",
            "http:///hidden",
            "https://user:hidden@host/",
            "http://host/ hidden")) {
      assertThatThrownBy(() -> WebhookSettings.of(bad, null))
          .isInstanceOf(OutriggerException.class)
          .satisfies(e -> assertThat(e.toString()).doesNotContain("hidden"));
    }
    WebhookSettings good = WebhookSettings.of("https://hooks.example:444/T/hidden?k=hidden", "key");
    assertThat(good).hasToString("webhook https://hooks.example:444/...");
  }
}
