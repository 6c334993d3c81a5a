/**
 * Models that run in ONNX Runtime: {@link org.outrigger.onnx.OnnxModel} predicts, gives features
 * and inner values, and shows its linear head where its graph has one.
 */
@NullMarked
package org.outrigger.onnx;

import org.jspecify.annotations.NullMarked;
