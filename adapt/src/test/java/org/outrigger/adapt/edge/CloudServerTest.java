package org.outrigger.adapt.edge;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.io.InputStream;
import java.net.InetAddress;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.outrigger.adapt.Adapters;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.model.Output;
import org.outrigger.core.torch.Tensors;
import org.outrigger.core.torch.Torch;

/** Devices and a cloud over TCP. */
class CloudServerTest {
  private static final Duration SOON = Duration.ofSeconds(20);
  private static final String CEMA =
      "cema:entHighMargin=2:threshold=static:cloudBatch=8:replayStart=16:replay=64";

  private PointerScope scope;
  private NeuralModel model;
  private NeuralModel teacher;
  private List<Tensor> stream;

  @BeforeEach
  void open() {
    Torch.start();
    scope = new PointerScope();
    model = EdgeWorld.model(5, 1);
    teacher = EdgeWorld.model(9, 2);
    stream = EdgeWorld.stream(5, 16);
  }

  @AfterEach
  void close() {
    model.close();
    teacher.close();
    scope.close();
  }

  private static Cema.Settings cema() {
    return ((Cema) Adapters.parse(CEMA)).settings();
  }

  private CloudSession session(String method) {
    return switch (method) {
      case "cema" -> new CemaCloud(cema(), model, teacher);
      case "u-vpa" -> new UVpaCloud(UVpa.Settings.defaults(), model, teacher);
      default -> throw new OutriggerException("There is no " + method + " here.");
    };
  }

  private CloudServer server(CloudServer.Options options) {
    return new CloudServer(this::session, options, text -> {});
  }

  private static TcpLink link(EdgeDevice device, CloudServer server) {
    return new TcpLink(device, TcpLink.Options.of("127.0.0.1", server.port(), "here"));
  }

  /** One batch after the other, each answered before the next. */
  private List<float[]> run(EdgeDevice device, TcpLink link, List<Tensor> batches) {
    List<float[]> logits = new ArrayList<>();
    for (Tensor batch : batches) {
      try (PointerScope inner = new PointerScope();
          Output output = device.predict(batch)) {
        logits.add(Tensors.floats(output.logits()));
        link.send(device.choose(batch, output));
        assertThat(link.await(SOON)).as(String.valueOf(link.problem())).isTrue();
        take(device, link);
      }
    }
    return logits;
  }

  private static void take(EdgeDevice device, TcpLink link) {
    Message answer = link.receive();
    while (answer != null) {
      device.receive(answer);
      answer = link.receive();
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"cema", "u-vpa"})
  void overANetworkItDoesTheSameAsInMemory(String method) {
    List<float[]> expected = new ArrayList<>();
    CloudLink.Traffic inMemory;
    try (EdgeAdapter<?, ?> adapter =
        (EdgeAdapter<?, ?>) Adapters.parse(method.equals("cema") ? CEMA : method)) {
      adapter.teachWith(teacher);
      adapter.start(model, null);
      for (Tensor batch : stream) {
        try (Output output = adapter.adapt(batch)) {
          expected.add(Tensors.floats(output.logits()));
        }
      }
      inMemory = adapter.traffic();
    }
    try (CloudServer server = server(CloudServer.Options.defaults());
        EdgeDevice device =
            method.equals("cema")
                ? new CemaDevice(cema(), model)
                : new UVpaDevice(UVpa.Settings.defaults(), model);
        TcpLink link = link(device, server)) {
      List<float[]> logits = run(device, link, stream);
      for (int i = 0; i < expected.size(); i++) {
        assertThat(logits.get(i)).as("batch " + i).isEqualTo(expected.get(i));
      }
      CloudLink.Traffic traffic = link.traffic();
      assertThat(traffic.uploads()).isEqualTo(inMemory.uploads());
      assertThat(traffic.lost()).isZero();
      // The greeting comes on top.
      assertThat(traffic.sent() - inMemory.sent()).isBetween(100L, 1000L);
      assertThat(traffic.received() - inMemory.received()).isBetween(20L, 1000L);
    }
  }

  @Test
  void theDeviceGoesOnWhileTheCloudIsAwayAndFindsItAgain() {
    try (CemaDevice device = new CemaDevice(cema(), model)) {
      CloudServer first = server(CloudServer.Options.defaults());
      int port = first.port();
      try (TcpLink link = link(device, first)) {
        run(device, link, stream.subList(0, 2));
        long version = device.version();
        assertThat(version).isPositive();
        first.close();
        float[] here;
        try (PointerScope inner = new PointerScope();
            Output output = device.predict(stream.get(2))) {
          here = Tensors.floats(output.logits());
          link.send(device.choose(stream.get(2), output));
        }
        take(device, link);
        assertThat(device.version()).isEqualTo(version);
        assertThat(Tensors.floats(device.predict(stream.get(2)).logits())).isEqualTo(here);
        try (CloudServer second = server(CloudServer.Options.defaults().withPort(port))) {
          run(device, link, stream.subList(3, 5));
          // A cloud that starts anew counts on, or its updates would be taken for old ones.
          assertThat(device.version()).isGreaterThan(version);
        }
      }
    }
  }

  @Test
  void whatTheCloudLearnedStaysThereWhileADeviceIsAway() {
    try (CloudServer server = server(CloudServer.Options.defaults())) {
      long version;
      try (CemaDevice device = new CemaDevice(cema(), model);
          TcpLink link = link(device, server)) {
        run(device, link, stream.subList(0, 3));
        version = device.version();
      }
      try (CemaDevice again = new CemaDevice(cema(), model);
          TcpLink link = link(again, server)) {
        assertThat(link.await(SOON)).isTrue();
        take(again, link);
        assertThat(again.version()).isEqualTo(version);
      }
    }
  }

  @Test
  void aFullQueueDropsTheOldestUploads() {
    try (CemaDevice device = new CemaDevice(cema(), model);
        TcpLink link =
            new TcpLink(device, TcpLink.Options.of("127.0.0.1", 1, "here").withQueue(2))) {
      for (Tensor batch : stream) {
        try (Output output = device.predict(batch)) {
          link.send(device.choose(batch, output));
        }
      }
      assertThat(link.traffic().lost()).isEqualTo(3);
      assertThat(link.await(Duration.ofMillis(50))).isFalse();
      assertThat(link.connected()).isFalse();
      assertThat(link.receive()).isNull();
    }
  }

  private void refused(CloudServer server, EdgeDevice device, TcpLink.Options options, String why) {
    try (TcpLink link = new TcpLink(device, options)) {
      assertThat(link.await(SOON)).isFalse();
      assertThatThrownBy(link::receive)
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining(why);
    }
    assertThat(server.session(device.method(), options.device())).isNull();
  }

  @Test
  void devicesThatDoNotBelongHereAreToldWhy() {
    try (CloudServer server = server(CloudServer.Options.defaults().withToken("s3cret"));
        CemaDevice device = new CemaDevice(cema(), model)) {
      TcpLink.Options options = TcpLink.Options.of("127.0.0.1", server.port(), "here");
      refused(server, device, options, "token is wrong");
      refused(server, device, options.withToken("s3cres"), "token is wrong");
      TcpLink.Options named = TcpLink.Options.of("127.0.0.1", server.port(), "no name");
      refused(server, device, named.withToken("s3cret"), "name has 1 to 64");
      try (TcpLink link = new TcpLink(device, options.withToken("s3cret"))) {
        assertThat(link.await(SOON)).isTrue();
      }
    }
    try (CloudServer server = server(CloudServer.Options.defaults());
        CemaDevice other = new CemaDevice(cema(), teacher);
        TcpLink link = link(other, server)) {
      assertThat(link.await(SOON)).isFalse();
      assertThatThrownBy(link::receive).hasMessageContaining("another model");
    }
  }

  @Test
  void thereIsRoomForSoManyDevices() {
    try (CloudServer server = server(CloudServer.Options.defaults().withDevices(1));
        CemaDevice device = new CemaDevice(cema(), model);
        CemaDevice second = new CemaDevice(cema(), model);
        TcpLink link = link(device, server)) {
      assertThat(link.await(SOON)).isTrue();
      refused(server, second, TcpLink.Options.of("127.0.0.1", server.port(), "second"), "serves 1");
    }
  }

  @Test
  void garbageEndsItsOwnConnectionOnly() throws IOException {
    try (CloudServer server = server(CloudServer.Options.defaults().withMostBytes(1 << 17));
        CemaDevice device = new CemaDevice(cema(), model);
        TcpLink link = link(device, server)) {
      run(device, link, stream.subList(0, 1));
      byte[] huge = Frames.encode(Message.of(Message.Kind.HELLO, Map.of()));
      huge[12] = 0x70;
      byte[] early = Frames.encode(Message.of(Message.Kind.UPLOAD, Map.of()));
      byte[][] sent = {
        "GET / HTTP/1.1\r\n\r\n".getBytes(StandardCharsets.US_ASCII), huge, early, {0x4F}, {}
      };
      for (byte[] garbage : sent) {
        try (Socket socket = new Socket(InetAddress.getLoopbackAddress(), server.port())) {
          socket.setSoTimeout(20_000);
          socket.getOutputStream().write(garbage);
          socket.shutdownOutput();
          InputStream in = socket.getInputStream();
          byte[] answer = in.readAllBytes();
          if (garbage.length > 1) {
            assertThat(Frames.decode(answer).kind()).isEqualTo(Message.Kind.ERROR);
          }
        }
      }
      run(device, link, stream.subList(1, 3));
      assertThat(link.traffic().uploads()).isEqualTo(3);
    }
  }

  @Test
  void anUploadThatIsRefusedLeavesTheConnectionOpen() {
    try (CloudServer server = server(CloudServer.Options.defaults());
        CemaDevice device = new CemaDevice(cema(), model);
        TcpLink link = link(device, server)) {
      link.send(
          new Message(
              Message.Kind.UPLOAD, Map.of(), Map.of("samples", stream.get(0).narrow(2, 0, 2))));
      assertThat(link.await(SOON)).isTrue();
      assertThat(link.problem()).contains("refused an upload", "[16, 1, 2, 6]");
      run(device, link, stream.subList(0, 2));
      assertThat(link.connected()).isTrue();
    }
  }

  @Test
  void aPortThatIsTakenIsNamed() {
    try (CloudServer server = server(CloudServer.Options.defaults())) {
      assertThatThrownBy(() -> server(CloudServer.Options.defaults().withPort(server.port())))
          .isInstanceOf(OutriggerException.class)
          .hasMessageContaining("--port");
    }
  }
}
