/**
 * How is a model measured under shift? {@link org.outrigger.evaluate.corruption} damages images in
 * the ways of CIFAR-C, ImageNet-C and MNIST-C, one tensor or a whole data set at a time; {@link
 * org.outrigger.evaluate.shift} leads models through distributions that keep moving; {@link
 * org.outrigger.evaluate.stream} makes the streams of test-time adaptation and measures on them.
 */
@NullMarked
package org.outrigger.evaluate;

import org.jspecify.annotations.NullMarked;
