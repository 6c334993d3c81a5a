/**
 * Recurrent cells in continuous time. A {@link org.outrigger.core.nn.liquid.LiquidCell} takes the
 * time that has passed with each input, so that sequences may be sampled irregularly: {@link
 * org.outrigger.core.nn.liquid.LtcCell} solves the liquid time-constant equation, {@link
 * org.outrigger.core.nn.liquid.CfcCell} has a closed form for it, {@link
 * org.outrigger.core.nn.liquid.WiredCfcCell} chains three of those along a neural circuit. {@link
 * org.outrigger.core.nn.liquid.Wiring} says which neuron reaches which, {@link
 * org.outrigger.core.nn.liquid.LiquidNetwork} adds an LSTM memory and an output layer. Names of
 * parameters are those of the {@code ncps} library.
 */
@NullMarked
package org.outrigger.core.nn.liquid;

import org.jspecify.annotations.NullMarked;
