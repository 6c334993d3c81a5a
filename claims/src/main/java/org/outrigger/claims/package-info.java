/**
 * Does each method keep its paper's promise? A {@link org.outrigger.claims.Claim} measures one
 * promise and states it as {@linkplain org.outrigger.claims.Inequality inequalities} that are fixed
 * before the run; {@link org.outrigger.claims.ClaimRegistry} lists all, {@link
 * org.outrigger.claims.ClaimRunner} runs them, {@link org.outrigger.claims.ClaimFiles} writes what
 * came out. The claims themselves are in one package a room. {@link org.outrigger.claims.Soak}
 * watches memory over long runs.
 */
@NullMarked
package org.outrigger.claims;

import org.jspecify.annotations.NullMarked;
