package org.outrigger.evaluate.corruption;

/** Smooth colourful test images in 8-bit steps, as arrays [N, C, H, W]. */
final class Pictures {
  private Pictures() {}

  static float[] make(int n, int channels, int side) {
    float[] data = new float[n * channels * side * side];
    for (int i = 0; i < data.length; i++) {
      int x = i % side;
      int y = i / side % side;
      int c = i / (side * side) % channels;
      int k = i / (side * side * channels);
      double wave =
          Math.sin((x * (1 + k % 3) + 3 * c + k) * 12.0 / side)
              + Math.cos((y * (1 + k % 2) + 2 * c) * 9.0 / side);
      double box = x > side / 3 && x < side / 2 && y > side / 4 && y < 3 * side / 4 ? 0.3 : 0;
      data[i] = Math.round(255 * Math.max(0, Math.min(1, 0.45 + 0.2 * wave + box))) / 255f;
    }
    return data;
  }

  /** Images with detail at every size, as in nature, [N, C, H, W]; {@code side} a power of two. */
  static float[] clouds(int n, int channels, int side) {
    float[] data = new float[n * channels * side * side];
    for (int plane = 0; plane < n * channels; plane++) {
      double[] cloud = Weather.plasma(side, 1.7, new Draws(plane).uniforms(side * side - 1, -1, 1));
      for (int i = 0; i < cloud.length; i++) {
        data[plane * cloud.length + i] = (float) (0.05 + 0.6 * cloud[i]);
      }
    }
    return data;
  }
}
