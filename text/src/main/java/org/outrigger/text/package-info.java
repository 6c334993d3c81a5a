/**
 * Texts to tokens: {@link org.outrigger.text.HuggingFaceText} reads a {@code tokenizer.json}. It is
 * a module of its own because its native library, bundled for Linux, macOS and Windows, is of use
 * to models of texts alone.
 */
@NullMarked
package org.outrigger.text;

import org.jspecify.annotations.NullMarked;
