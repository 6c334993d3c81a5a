@NullMarked
package org.outrigger.onnx;

import org.jspecify.annotations.NullMarked;
