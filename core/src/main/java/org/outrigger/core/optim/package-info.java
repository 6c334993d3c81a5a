/**
 * Training: an {@link org.outrigger.core.optim.Objective} says what is minimised (a {@link
 * org.outrigger.core.optim.StepObjective} runs the network itself, an {@link
 * org.outrigger.core.optim.OutlierChoice} picks its outliers), an {@link
 * org.outrigger.core.optim.Optimiser} ({@link org.outrigger.core.optim.Sgd}, {@link
 * org.outrigger.core.optim.Adam}, {@link org.outrigger.core.optim.AdamW}, {@link
 * org.outrigger.core.optim.TensorFlowAdam}) how, a {@link org.outrigger.core.optim.Schedule} at
 * what pace, {@link org.outrigger.core.optim.Ema} averages weights, an {@link
 * org.outrigger.core.optim.Augmentation} changes inputs, {@link org.outrigger.core.optim.Lbfgs}
 * fits few parameters to high accuracy, and {@link org.outrigger.core.optim.Trainer} puts them
 * together. Update rules are PyTorch's to the letter; state can be dropped per parameter, saved and
 * restored exactly.
 */
@NullMarked
package org.outrigger.core.optim;

import org.jspecify.annotations.NullMarked;
