package org.outrigger.stream.memory;

import org.bytedeco.pytorch.Tensor;

/**
 * What a memory holds near each query; the tensors belong to the enclosing scope.
 *
 * @param scores float64 [N, k], larger is nearer: a similarity, or the density of a bucket
 * @param labels float64 [N, k], in [0, 1]; 0 where there is nothing
 * @param base float64 [N, k], what the model predicted for them; 0 where there is nothing
 * @param filled bool [N, k], whether there is something
 */
public record Neighbours(Tensor scores, Tensor labels, Tensor base, Tensor filled) {}
