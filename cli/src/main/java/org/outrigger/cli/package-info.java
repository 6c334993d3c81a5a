/**
 * One command for all of it: {@code outrigger ...}. {@link org.outrigger.cli.Main} holds the tree
 * of commands; each command is one file that reads its options and calls the house.
 */
@NullMarked
package org.outrigger.cli;

import org.jspecify.annotations.NullMarked;
