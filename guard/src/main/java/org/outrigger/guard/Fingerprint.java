package org.outrigger.guard;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import org.bytedeco.pytorch.Tensor;
import org.outrigger.core.data.Batch;
import org.outrigger.core.torch.Scopes;
import org.outrigger.core.torch.Tensors;

/** SHA-256 over the inputs, labels and ids of a data set in order, whatever the batch size. */
final class Fingerprint {
  private final MessageDigest inputs = sha256();
  private final MessageDigest labels = sha256();
  private final MessageDigest ids = sha256();

  void add(Batch batch) {
    Scopes.run(
        () -> {
          bytes(inputs, batch.inputs());
          if (batch.labels() != null) {
            bytes(labels, batch.labels());
          }
        });
    for (String id : batch.ids()) {
      ids.update(id.getBytes(StandardCharsets.UTF_8));
      ids.update((byte) 0);
    }
  }

  private static void bytes(MessageDigest digest, Tensor tensor) {
    ByteBuffer view = Tensors.bytes(tensor.detach().cpu().contiguous());
    digest.update(view);
  }

  String hex() {
    MessageDigest all = sha256();
    all.update(inputs.digest());
    all.update(labels.digest());
    all.update(ids.digest());
    return HexFormat.of().formatHex(all.digest());
  }

  private static MessageDigest sha256() {
    try {
      return MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException(e);
    }
  }
}
