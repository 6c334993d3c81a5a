/**
 * Architectures by name: {@link org.outrigger.core.zoo.Zoo} lists them and makes a {@link
 * org.outrigger.core.zoo.Network} with drawn weights. Listing loads no native library. Names of
 * parameters equal those of the usual PyTorch code, which each class names, so that its checkpoints
 * load.
 */
@NullMarked
package org.outrigger.core.zoo;

import org.jspecify.annotations.NullMarked;
