package org.outrigger.serve;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.stream.IntStream;
import org.assertj.core.data.Offset;
import org.bytedeco.javacpp.PointerScope;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.outrigger.client.CheckOptions;
import org.outrigger.client.GuardClient;
import org.outrigger.client.GuardClientException;
import org.outrigger.client.ModelMetadata;
import org.outrigger.client.Retries;
import org.outrigger.core.io.Json;
import org.outrigger.core.torch.Tensors;
import org.outrigger.guard.Guard;
import org.outrigger.guard.Verdict;
import org.outrigger.serve.store.EventStore;
import org.outrigger.serve.store.StoreSettings;
import triton.client.InferInput;
import triton.client.InferRequestedOutput;
import triton.client.InferResult;
import triton.client.InferenceException;
import triton.client.InferenceServerClient;
import triton.client.pojo.DataType;

/** Clients against the real server: the project's own, and two that nobody here wrote. */
class ClientsTest {
  private static final int ROWS = 20;

  /** The last bits of a matrix product depend on the size of the batch. */
  private static final Offset<Float> ROUNDING = within(1e-6f);

  @TempDir private static Path folder;
  private static Path bundle;
  private static GuardServer server;
  private static float[] rows;
  private static Guard.Answer expected;

  @BeforeAll
  static void start() {
    bundle = ServedModel.bundle(folder, 1);
    server = GuardServer.start(ServedModel.settings().withLimits(1024, 1 << 20, 8), "cpu");
    server.guards().load("digits", bundle);
    rows = ServedModel.rows(ROWS);
    try (Guard guard = Guard.load(bundle);
        PointerScope scope = new PointerScope()) {
      expected = guard.answer(Tensors.of(rows, ROWS, 1, 8, 8));
    }
  }

  @AfterAll
  static void stop() {
    server.close();
  }

  private static URI uri(GuardServer of) {
    return URI.create("http://127.0.0.1:" + of.port());
  }

  private static void assertAsTheGuardSays(List<org.outrigger.client.Verdict> verdicts) {
    assertThat(verdicts).hasSize(ROWS);
    for (int i = 0; i < ROWS; i++) {
      Verdict wanted = expected.verdicts().get(i);
      org.outrigger.client.Verdict got = verdicts.get(i);
      assertThat(got.label()).isEqualTo(wanted.label());
      assertThat(got.className()).isEqualTo(wanted.className());
      assertThat(got.probability()).isCloseTo(wanted.probability(), within(1e-6));
      assertThat(got.score()).isCloseTo(wanted.score(), within(1e-5));
      assertThat(got.unknown()).isEqualTo(wanted.unknown());
      assertThat(got.detector()).isEqualTo(wanted.detector());
      assertThat(got.labelSet()).isNull();
    }
  }

  @Test
  void labelsThatTheClientSendsLaterCount() throws Exception {
    try (GuardServer remembers =
        GuardServer.start(
            ServedModel.settings(),
            "cpu",
            new EventStore(StoreSettings.file(folder.resolve("labels.duckdb"))))) {
      remembers.guards().load("digits", bundle);
      GuardClient client = GuardClient.of(uri(remembers)).build();
      List<org.outrigger.client.Verdict> verdicts = client.check(rows, ROWS, 1, 8, 8);
      client.label(verdicts.get(0), verdicts.get(0).label());
      client.label(verdicts.get(1), (verdicts.get(1).label() + 1) % 10);
      Map<String, Object> quality = Map.of();
      for (int i = 0; i < 500 && !Integer.valueOf(2).equals(quality.get("labelled")); i++) {
        Thread.sleep(10);
        quality = ServedModel.json(ServedModel.get(remembers, "/v2/models/digits/quality"));
      }
      assertThat(quality).containsEntry("labelled", 2).containsEntry("accuracy", 0.5);
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void theClientGetsWhatTheGuardSaysAlsoInSeveralRequests(boolean binary) {
    var builder = GuardClient.of(uri(server));
    GuardClient client = binary ? builder.build() : builder.json().build();
    assertThat(client.ready()).isTrue();
    assertThat(client.models()).hasSize(1);
    ModelMetadata model = client.metadata();
    assertThat(model.inputShape()).containsExactly(1L, 8L, 8L);
    assertThat(model.maxRows()).isEqualTo(8);
    assertThat(model.classNames()).hasSize(10);
    assertAsTheGuardSays(client.check(rows, ROWS, 1, 8, 8));
    float[][] flat =
        IntStream.range(0, ROWS)
            .mapToObj(i -> Arrays.copyOfRange(rows, 64 * i, 64 * (i + 1)))
            .toArray(float[][]::new);
    List<org.outrigger.client.Verdict> named =
        client.check(CheckOptions.none().withId("mine").withStream("a"), flat);
    assertAsTheGuardSays(named);
    assertThat(named.get(8).requestId()).isEqualTo("mine/2");
    assertThatThrownBy(() -> client.check(new float[3], 1, 3))
        .isInstanceOf(GuardClientException.class)
        .hasMessageContaining("[N, 1, 8, 8]");
  }

  @Test
  void aBusyServerIsAskedAgainUntilItAnswers() {
    ServerSettings small =
        ServedModel.settings().withBatching(1, Duration.ZERO).withLimits(2, 1 << 20, 8);
    try (GuardServer tight = GuardServer.start(small, "cpu")) {
      tight.guards().load("digits", bundle);
      GuardClient client =
          GuardClient.of(uri(tight))
              .retries(new Retries(20, Duration.ofMillis(20), Duration.ofSeconds(5)))
              .build();
      float[] two = Arrays.copyOf(rows, 128);
      List<CompletableFuture<List<org.outrigger.client.Verdict>>> answers =
          IntStream.range(0, 12).mapToObj(i -> client.checkAsync(two, 2, 1, 8, 8)).toList();
      answers.forEach(answer -> assertThat(answer.join()).hasSize(2));
    }
  }

  @Test
  void tokensAndTlsGoTogether(@TempDir Path own) throws Exception {
    Path keystore = own.resolve("server.p12");
    Process keytool =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "keytool").toString(),
                "-genkeypair",
                "-alias",
                "server",
                "-keyalg",
                "EC",
                "-dname",
                "CN=localhost",
                "-ext",
                "SAN=ip:127.0.0.1",
                "-storetype",
                "PKCS12",
                "-keystore",
                keystore.toString(),
                "-storepass",
                "secret-of-test")
            .redirectErrorStream(true)
            .start();
    keytool.getInputStream().readAllBytes();
    assertThat(keytool.waitFor()).isZero();
    String reader = Tokens.generate();
    String admin = Tokens.generate();
    Path tokens = own.resolve("tokens");
    Files.write(
        tokens,
        List.of(
            Tokens.line("app", Tokens.Role.INFER, reader),
            Tokens.line("ops", Tokens.Role.ADMIN, admin)));
    ServerSettings closed =
        ServedModel.settings().withTokens(tokens).withTls(keystore, "secret-of-test");
    try (GuardServer secure = GuardServer.start(closed, "cpu")) {
      secure.guards().load("digits", bundle);
      URI uri = URI.create("https://127.0.0.1:" + secure.port());
      GuardClient app =
          GuardClient.of(uri).token(reader).trustStore(keystore, "secret-of-test").build();
      assertThat(app.check(rows, ROWS, 1, 8, 8)).hasSize(ROWS);
      assertThatThrownBy(app::reload).hasMessageContaining("role admin");
      GuardClient ops =
          GuardClient.of(uri).token(admin).trustStore(keystore, "secret-of-test").build();
      assertThat(ops.reload()).isEqualTo("2");
      assertThat(ops.rollBack()).isEqualTo("1");
      assertThatThrownBy(
              () -> GuardClient.of(uri).trustStore(keystore, "secret-of-test").build().models())
          .hasMessageContaining("token(...)");
      assertThatThrownBy(() -> GuardClient.of(uri).token(reader).build().models())
          .hasMessageContaining("trustStore(...)");
    }
  }

  /** Triton's Java client over HTTP, from Maven Central. */
  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void tritonsJavaClientWorks(boolean binary) throws Exception {
    float[] eight = Arrays.copyOf(rows, 8 * 64);
    InferInput input = new InferInput("input", new long[] {8, 1, 8, 8}, DataType.FP32);
    input.setData(eight, binary);
    List<InferRequestedOutput> outputs =
        List.of(
            new InferRequestedOutput("logits", binary),
            new InferRequestedOutput("label", binary),
            new InferRequestedOutput("probability", binary),
            new InferRequestedOutput("unknown", binary));
    try (InferenceServerClient client =
        new InferenceServerClient("127.0.0.1:" + server.port(), 5000, 30000)) {
      InferResult result = client.infer("digits", List.of(input), outputs);
      assertThat(result.getOutputAsFloat("logits"))
          .containsExactly(Arrays.copyOf(expected.logits(), 80), ROUNDING);
      List<Verdict> verdicts = expected.verdicts().subList(0, 8);
      assertThat(result.getOutputAsLong("label"))
          .isEqualTo(verdicts.stream().mapToLong(Verdict::label).toArray());
      assertThat(result.getOutputAsDouble("probability"))
          .containsExactly(
              verdicts.stream().mapToDouble(Verdict::probability).toArray(), within(1e-6));
      boolean[] unknown = result.getOutputAsBool("unknown");
      for (int i = 0; i < 8; i++) {
        assertThat(unknown[i]).isEqualTo(verdicts.get(i).unknown());
      }
      assertThatThrownBy(() -> client.infer("nothing", List.of(input), outputs))
          .isInstanceOf(InferenceException.class)
          .hasMessageContaining("There is no guard of that name");
    }
  }

  @Test
  void curlWorks(@TempDir Path own) throws Exception {
    assumeTrue(curlIsHere(), "curl is not on this machine");
    Path body = Files.writeString(own.resolve("body.json"), ServedModel.request(rows, ROWS));
    Path small =
        Files.writeString(
            own.resolve("small.json"), ServedModel.request(Arrays.copyOf(rows, 64), 1));
    String infer = uri(server) + "/v2/models/digits/infer";
    var answer = Json.object("curl", curl(infer, "-d", "@" + small));
    assertThat(answer).containsEntry("model_name", "digits").containsEntry("id", "r1");
    assertThat(curl(infer, "-d", "@" + body)).contains("1 to 8");
    assertThat(curl(uri(server) + "/v2/health/ready")).contains("true");
  }

  private static boolean curlIsHere() throws InterruptedException {
    try {
      return new ProcessBuilder("curl", "--version")
              .redirectOutput(ProcessBuilder.Redirect.DISCARD)
              .start()
              .waitFor()
          == 0;
    } catch (IOException e) {
      return false;
    }
  }

  private static String curl(String... arguments) throws Exception {
    List<String> command = new java.util.ArrayList<>(List.of("curl", "-s", "--max-time", "30"));
    command.addAll(List.of(arguments));
    Process process = new ProcessBuilder(command).start();
    String out = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertThat(process.waitFor()).isZero();
    return out;
  }
}
