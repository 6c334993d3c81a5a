/** Training: objectives, optimisers, schedules, averages of weights, and the trainer. */
@NullMarked
package org.outrigger.core.optim;

import org.jspecify.annotations.NullMarked;
