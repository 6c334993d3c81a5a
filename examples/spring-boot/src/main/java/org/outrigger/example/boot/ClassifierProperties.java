package org.outrigger.example.boot;

import jakarta.validation.constraints.Max;
import jakarta.validation.constraints.Min;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;
import org.springframework.boot.context.properties.ConfigurationProperties;
import org.springframework.boot.context.properties.bind.DefaultValue;
import org.springframework.validation.annotation.Validated;

/**
 * What can be configured.
 *
 * @param bundle a saved guard; without it a small one is trained on flowers at the start
 * @param threads that one forward pass may use: few, where many requests come at once
 */
@Validated
@ConfigurationProperties("classifier")
public record ClassifierProperties(
    @Nullable Path bundle, @DefaultValue("1") @Min(1) @Max(256) int threads) {}
