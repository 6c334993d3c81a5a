package org.outrigger.example.boot;

import org.springframework.boot.health.contributor.Health;
import org.springframework.boot.health.contributor.HealthIndicator;
import org.springframework.stereotype.Component;

/** Part of {@code /actuator/health}. */
@Component
public class GuardHealth implements HealthIndicator {
  private final Classifier classifier;

  public GuardHealth(Classifier classifier) {
    this.classifier = classifier;
  }

  @Override
  public Health health() {
    return (classifier.open() ? Health.up() : Health.down())
        .withDetail("model", classifier.info().model())
        .withDetail("classes", classifier.info().classNames().size())
        .build();
  }
}
