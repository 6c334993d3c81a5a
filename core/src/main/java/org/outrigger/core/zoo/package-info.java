/**
 * Architectures by name: {@link org.outrigger.core.zoo.Zoo} lists them and makes a {@link
 * org.outrigger.core.zoo.Network} with drawn weights. Listing loads no native library. Names of
 * parameters equal those of the usual PyTorch code, which each class names, so that its checkpoints
 * load. The towers of CLIP ({@link org.outrigger.core.zoo.ClipVision}, {@link
 * org.outrigger.core.zoo.ClipText}) take their sizes from a {@link
 * org.outrigger.core.zoo.ClipConfig}; {@link org.outrigger.core.model.DualEncoder} joins them.
 */
@NullMarked
package org.outrigger.core.zoo;

import org.jspecify.annotations.NullMarked;
