/**
 * Golden vectors: inputs and outputs that were computed with the papers' own code. A {@link
 * org.outrigger.claims.golden.GoldenSuite} knows one slug; {@link
 * org.outrigger.claims.golden.GoldenRunner} runs every file of a folder.
 */
@NullMarked
package org.outrigger.claims.golden;

import org.jspecify.annotations.NullMarked;
