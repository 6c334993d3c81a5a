/** What several claims share: small images and the networks of the pilot runs. */
@NullMarked
package org.outrigger.claims.setup;

import org.jspecify.annotations.NullMarked;
