/** What a method is: its card, its hyper-parameters, its saved state, and the registry of all. */
@NullMarked
package org.outrigger.core.method;

import org.jspecify.annotations.NullMarked;
