package org.outrigger.core.zoo;

import org.outrigger.core.nn.Layer;

/**
 * A network that the zoo made; the receiver owns its root.
 *
 * @param root its layers
 * @param head the path of its last linear layer
 * @param architecture how to build it again
 */
public record Network(Layer root, String head, Architecture architecture) {}
