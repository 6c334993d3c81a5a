package org.outrigger.adapt.edge;

import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Arrays;
import java.util.HexFormat;
import org.bytedeco.javacpp.PointerScope;
import org.outrigger.core.model.NeuralModel;
import org.outrigger.core.torch.Tensors;

/** Whether both sides hold the same network. */
final class ModelDigest {
  private ModelDigest() {}

  /** SHA-256 over the names, shapes and bytes of all parameters and buffers. */
  static String of(NeuralModel model) {
    MessageDigest digest;
    try {
      digest = MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException e) {
      throw new AssertionError(e);
    }
    model
        .root()
        .stateDict()
        .forEach(
            (name, tensor) -> {
              try (PointerScope scope = new PointerScope()) {
                String head = name + Arrays.toString(tensor.shape());
                digest.update(head.getBytes(StandardCharsets.UTF_8));
                digest.update(Tensors.bytes(tensor.detach().cpu().contiguous()));
              }
            });
    return HexFormat.of().formatHex(digest.digest());
  }
}
