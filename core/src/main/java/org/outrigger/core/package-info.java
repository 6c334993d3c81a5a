/**
 * The floor everything stands on: native runtime, layers, models, data, optimisers, metrics, files.
 */
@NullMarked
package org.outrigger.core;

import org.jspecify.annotations.NullMarked;
