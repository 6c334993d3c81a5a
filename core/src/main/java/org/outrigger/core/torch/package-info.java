/**
 * What makes libtorch pleasant from Java, and nothing more: {@link org.outrigger.core.torch.Torch}
 * starts the native runtime, {@link org.outrigger.core.torch.Scopes} frees native memory, {@link
 * org.outrigger.core.torch.Tensors} converts, {@link org.outrigger.core.torch.Shapes} checks shapes
 * by named dimensions, {@link org.outrigger.core.torch.Gradients} differentiates, {@link
 * org.outrigger.core.torch.Rng} is a seeded generator, and {@link
 * org.outrigger.core.torch.RowDraws} draws by a row's content. The tensor type of every signature
 * is {@code org.bytedeco.pytorch.Tensor}; there is no wrapper class.
 */
@NullMarked
package org.outrigger.core.torch;

import org.jspecify.annotations.NullMarked;
