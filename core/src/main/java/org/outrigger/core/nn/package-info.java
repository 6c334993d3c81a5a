/**
 * Layers that can be swapped. {@link org.outrigger.core.nn.Layer} is a node of a tree with names
 * that equal PyTorch's state dicts; {@link org.outrigger.core.nn.ForwardContext} says how one pass
 * runs (training or evaluation, other weights, which inner outputs to keep) without changing any
 * layer, so that passes may run concurrently. Leaves: {@link org.outrigger.core.nn.Linear}, {@link
 * org.outrigger.core.nn.Conv1d}, {@link org.outrigger.core.nn.Conv2d}, the norms, {@link
 * org.outrigger.core.nn.Embedding}, {@link org.outrigger.core.nn.EmbeddingTables}, {@link
 * org.outrigger.core.nn.MultiheadAttention}, pooling, {@link org.outrigger.core.nn.Activation},
 * {@link org.outrigger.core.nn.Dropout}; containers: {@link org.outrigger.core.nn.Sequential} and
 * the residual blocks. What takes the place of a layer for good is {@link
 * org.outrigger.core.nn.Rebuildable}, so that model files can name it: {@link
 * org.outrigger.core.nn.TemperatureHead}, {@link org.outrigger.core.nn.WeightNormLinear}, {@link
 * org.outrigger.core.nn.BottleneckHead}. {@link org.outrigger.core.nn.Init} draws starting weights
 * as PyTorch does.
 */
@NullMarked
package org.outrigger.core.nn;

import org.jspecify.annotations.NullMarked;
