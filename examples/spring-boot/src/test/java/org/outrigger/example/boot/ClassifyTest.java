package org.outrigger.example.boot;

import static org.assertj.core.api.Assertions.assertThat;
import static org.springframework.test.web.servlet.request.MockMvcRequestBuilders.get;
import static org.springframework.test.web.servlet.request.MockMvcRequestBuilders.post;
import static org.springframework.test.web.servlet.result.MockMvcResultMatchers.jsonPath;
import static org.springframework.test.web.servlet.result.MockMvcResultMatchers.status;

import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.springframework.beans.factory.annotation.Autowired;
import org.springframework.boot.test.context.SpringBootTest;
import org.springframework.boot.webmvc.test.autoconfigure.AutoConfigureMockMvc;
import org.springframework.http.MediaType;
import org.springframework.test.web.servlet.MockMvc;
import org.springframework.test.web.servlet.ResultActions;

@SpringBootTest
@AutoConfigureMockMvc
class ClassifyTest {
  private static final float[] SETOSA = {5.1f, 3.5f, 1.4f, 0.2f};

  @Autowired private MockMvc web;
  @Autowired private Classifier classifier;
  @Autowired private MeterRegistry meters;

  private ResultActions classify(String body) throws Exception {
    return web.perform(post("/classify").contentType(MediaType.APPLICATION_JSON).content(body));
  }

  @Test
  void aFlowerGetsItsNameAndAProbability() throws Exception {
    classify("{\"values\": [5.1, 3.5, 1.4, 0.2]}")
        .andExpect(status().isOk())
        .andExpect(jsonPath("$.label").value(0))
        .andExpect(jsonPath("$.unknown").value(false))
        .andExpect(jsonPath("$.probability").isNumber());
  }

  @Test
  void whatTheModelDoesNotKnowIsRefusedWithAReasonAndCounted() throws Exception {
    double before = meters.counter("classifier.rows", "unknown", "true").count();
    classify("{\"values\": [50, 0, 90, -7]}")
        .andExpect(status().is(422))
        .andExpect(jsonPath("$.title").value("Unknown input"))
        .andExpect(jsonPath("$.score").isNumber())
        .andExpect(jsonPath("$.threshold").isNumber());
    assertThat(meters.counter("classifier.rows", "unknown", "true").count()).isEqualTo(before + 1);
  }

  @Test
  void whatDoesNotFitIsABadRequestThatSaysWhy() throws Exception {
    classify("{\"values\": [1, 2]}")
        .andExpect(status().isBadRequest())
        .andExpect(jsonPath("$.detail").value("The input has 2 values: send 4."));
    classify("{\"values\": []}").andExpect(status().isBadRequest());
    classify("{").andExpect(status().isBadRequest());
  }

  @Test
  void manyThreadsGetTheSameAnswer() {
    double expected = classifier.classify(SETOSA).probability();
    assertThat(
            IntStream.range(0, 400)
                .parallel()
                .mapToDouble(i -> classifier.classify(SETOSA).probability()))
        .containsOnly(expected);
  }

  @Test
  void healthTellsOfTheGuard() throws Exception {
    web.perform(get("/actuator/health"))
        .andExpect(status().isOk())
        .andExpect(jsonPath("$.components.guardHealth.status").value("UP"));
  }

  @Test
  void aClosedGuardIsNotHealthy() {
    Classifier own =
        new Classifier(new ClassifierProperties(null, 1), new SimpleMeterRegistry());
    GuardHealth health = new GuardHealth(own);
    assertThat(health.health().getStatus().getCode()).isEqualTo("UP");
    own.close();
    assertThat(health.health().getStatus().getCode()).isEqualTo("DOWN");
  }
}
