package org.outrigger.example.boot;

import jakarta.validation.Valid;
import jakarta.validation.constraints.NotEmpty;
import org.outrigger.core.OutriggerException;
import org.outrigger.guard.Verdict;
import org.springframework.http.HttpStatus;
import org.springframework.http.ProblemDetail;
import org.springframework.web.ErrorResponseException;
import org.springframework.web.bind.annotation.ExceptionHandler;
import org.springframework.web.bind.annotation.PostMapping;
import org.springframework.web.bind.annotation.RequestBody;
import org.springframework.web.bind.annotation.RestController;

/** Answers what the model knows, and refuses the rest. */
@RestController
public class ClassifyController {
  private final Classifier classifier;

  public ClassifyController(Classifier classifier) {
    this.classifier = classifier;
  }

  /** One input, in row-major order. */
  public record Input(@NotEmpty float[] values) {}

  /** What the model says about it. */
  public record Answer(int label, String className, double probability, boolean unknown) {}

  @PostMapping("/classify")
  public Answer classify(@Valid @RequestBody Input input) {
    Verdict verdict = classifier.classify(input.values());
    if (verdict.unknown()) {
      throw unknown(verdict);
    }
    return new Answer(verdict.label(), verdict.className(), verdict.probability(), false);
  }

  private ErrorResponseException unknown(Verdict verdict) {
    ProblemDetail problem = ProblemDetail.forStatus(HttpStatus.UNPROCESSABLE_CONTENT);
    problem.setTitle("Unknown input");
    problem.setDetail(
        "The model was not made for such inputs, so its answer would be a guess: a person should"
            + " look at this one.");
    problem.setProperty("unknown", true);
    problem.setProperty("detector", verdict.detector());
    problem.setProperty("score", verdict.score());
    problem.setProperty("threshold", classifier.info().threshold().value());
    return new ErrorResponseException(HttpStatus.UNPROCESSABLE_CONTENT, problem, null);
  }

  @ExceptionHandler
  ProblemDetail doesNotFit(OutriggerException e) {
    return ProblemDetail.forStatusAndDetail(HttpStatus.BAD_REQUEST, e.firstLine());
  }
}
