package org.outrigger.serve.store;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.charset.StandardCharsets;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.outrigger.serve.protocol.Refusal;

class PostedLabelTest {
  private static final List<String> NAMES = List.of("cat", "dog", "7");

  private static List<PostedLabel> read(String json) {
    return PostedLabel.read(json.getBytes(StandardCharsets.UTF_8), NAMES);
  }

  @Test
  void labelsAreIndicesOrNamesAndTheLastOfARowCounts() {
    assertThat(
            read(
                "{\"x\": [1, {\"y\": 2}], \"labels\": [{\"id\": \"a\", \"label\": 2},"
                    + " {\"id\": \"b\", \"row\": 3, \"label\": \"dog\", \"why\": {}},"
                    + " {\"id\": \"a\", \"label\": \"7\"}, {\"id\": \"a\", \"label\": 0}]}"))
        .containsExactly(new PostedLabel("b", 3, 1), new PostedLabel("a", 0, 0));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "",
        "[]",
        "null",
        "{}",
        "{\"labels\": 3}",
        "{\"labels\": []}",
        "{\"labels\": [3]}",
        "{\"labels\": [{}]}",
        "{\"labels\": [{\"id\": \"a\"}]}",
        "{\"labels\": [{\"label\": 1}]}",
        "{\"labels\": [{\"id\": 5, \"label\": 1}]}",
        "{\"labels\": [{\"id\": \"\", \"label\": 1}]}",
        "{\"labels\": [{\"id\": \"a\\u0000\", \"label\": 1}]}",
        "{\"labels\": [{\"id\": \"a\", \"label\": 3}]}",
        "{\"labels\": [{\"id\": \"a\", \"label\": -1}]}",
        "{\"labels\": [{\"id\": \"a\", \"label\": 1.5}]}",
        "{\"labels\": [{\"id\": \"a\", \"label\": null}]}",
        "{\"labels\": [{\"id\": \"a\", \"label\": 99999999999999}]}",
        "{\"labels\": [{\"id\": \"a\", \"label\": 999999999999999999999999999999}]}",
        "{\"labels\": [{\"id\": \"a\", \"label\": \"bird\"}]}",
        "{\"labels\": [{\"id\": \"a\", \"row\": -1, \"label\": 1}]}",
        "{\"labels\": [{\"id\": \"a\", \"row\": 1000000, \"label\": 1}]}",
        "{\"labels\": [{\"id\": \"a\", \"id\": \"b\", \"label\": 1}]}",
        "{\"labels\": [{\"id\": \"a\", \"label\": 1}]",
        "{\"labels\": [{\"id\": \"a\", \"label\": 1}]} {}",
        "{\"labels\": [[[[[[[[[[[[]]]]]]]]]]]]}",
      })
  void whatIsNoneIsRefused(String json) {
    assertThatThrownBy(() -> read(json))
        .isInstanceOf(Refusal.class)
        .satisfies(e -> assertThat(((Refusal) e).status()).isEqualTo(400));
  }

  @Test
  void tooManyAreRefused() {
    String one = "{\"id\": \"a\", \"label\": 1}";
    String many = String.join(",", java.util.Collections.nCopies(PostedLabel.MOST + 1, one));
    assertThatThrownBy(() -> read("{\"labels\": [" + many + "]}")).hasMessageContaining("in parts");
  }
}
