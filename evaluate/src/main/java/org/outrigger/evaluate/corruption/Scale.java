package org.outrigger.evaluate.corruption;

/** Which benchmark's table of strengths applies. */
public enum Scale {
  /** CIFAR-C: images of 32x32 and about that size. */
  CIFAR,
  /** ImageNet-C, and MNIST-C at 28x28, which uses the same strengths. */
  IMAGENET;

  /** The scale of an image size: ImageNet's from 64 pixels a side and at 28x28, else CIFAR's. */
  public static Scale of(long height, long width) {
    boolean mnist = height == 28 && width == 28;
    return mnist || Math.min(height, width) >= 64 ? IMAGENET : CIFAR;
  }
}
