package org.outrigger.core.nn;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.outrigger.core.OutriggerException;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Tensors;

class MultiheadAttentionTest {
  private static final int SIZE = 8;
  private static final int HEADS = 2;

  private PointerScope scope;
  private Rng rng;
  private MultiheadAttention layer;

  @BeforeEach
  void open() {
    org.outrigger.core.torch.Torch.start();
    scope = new PointerScope();
    rng = new Rng(3);
    layer = new MultiheadAttention(SIZE, HEADS, rng);
    layer.tensor("in_proj_bias").detach().copy_(rng.normal(3 * SIZE));
  }

  @AfterEach
  void close() {
    layer.close();
    rng.close();
    scope.close();
  }

  /** softmax(q k^T / sqrt d + mask) v for each row and head, one at a time. */
  private Tensor explicit(Tensor query, Tensor key, Tensor value, @Nullable Tensor[][] masks) {
    Tensor w = layer.tensor("in_proj_weight");
    Tensor b = layer.tensor("in_proj_bias");
    int d = SIZE / HEADS;
    Tensor[] rows = new Tensor[(int) query.size(0)];
    for (int n = 0; n < rows.length; n++) {
      Tensor[] heads = new Tensor[HEADS];
      for (int h = 0; h < HEADS; h++) {
        Tensor q = project(query.select(0, n), w, b, h * d);
        Tensor k = project(key.select(0, n), w, b, SIZE + h * d);
        Tensor v = project(value.select(0, n), w, b, 2 * SIZE + h * d);
        Tensor scores = torch.matmul(q, k.t()).mul(new Scalar(1 / Math.sqrt(d)));
        Tensor mask = masks[n][h];
        if (mask != null) {
          scores = scores.add(mask);
        }
        heads[h] = torch.matmul(scores.softmax(-1), v);
      }
      rows[n] = torch.cat(new TensorVector(heads), 1);
    }
    Tensor joined = torch.stack(new TensorVector(rows), 0);
    return layer.get("out_proj").forward(joined);
  }

  private static Tensor project(Tensor x, Tensor w, Tensor b, long from) {
    int d = SIZE / HEADS;
    return torch.matmul(x, w.narrow(0, from, d).t()).add(b.narrow(0, from, d));
  }

  private static void assertClose(Tensor actual, Tensor expected) {
    assertThat(actual.shape()).containsExactly(expected.shape());
    assertThat(actual.sub(expected).abs().max().item_double()).isLessThan(1e-5);
  }

  private static Tensor minusInfinityWhere(Tensor mask) {
    return torch.zeros(mask.shape()).masked_fill_(mask, new Scalar(Double.NEGATIVE_INFINITY));
  }

  @Test
  void namesArePyTorchs() {
    assertThat(layer.stateDict().keySet())
        .containsExactly("in_proj_weight", "in_proj_bias", "out_proj.weight", "out_proj.bias");
  }

  @Test
  void selfAttentionIsTheFormula() {
    Tensor x = rng.normal(3, 5, SIZE);
    assertClose(layer.forward(x), explicit(x, x, x, new Tensor[3][HEADS]));
  }

  @Test
  void crossAttentionWithPaddingIsTheFormula() {
    Tensor q = rng.normal(2, 4, SIZE);
    Tensor k = rng.normal(2, 3, SIZE);
    Tensor v = rng.normal(2, 3, SIZE);
    Tensor padding = Tensors.of(new long[] {0, 0, 1, 0, 1, 0}, 2, 3).to(ScalarType.Bool);
    Tensor[][] masks = new Tensor[2][HEADS];
    for (int n = 0; n < 2; n++) {
      masks[n][0] = minusInfinityWhere(padding.select(0, n));
      masks[n][1] = masks[n][0];
    }
    assertClose(layer.attend(q, k, v, padding, null), explicit(q, k, v, masks));
  }

  @Test
  void causalMaskHidesTheFuture() {
    Tensor x = rng.normal(1, 4, SIZE);
    Tensor causal = MultiheadAttention.causalMask(4);
    Tensor full = layer.attend(x, x, x, null, causal);
    Tensor mask = minusInfinityWhere(causal);
    assertClose(full, explicit(x, x, x, new Tensor[][] {{mask, mask}}));
    Tensor start = x.narrow(1, 0, 2);
    assertClose(
        full.narrow(1, 0, 2),
        layer.attend(start, start, start, null, MultiheadAttention.causalMask(2)));
  }

  @Test
  void additiveMasksForEachHeadJoinWithPadding() {
    Tensor x = rng.normal(2, 3, SIZE);
    Tensor added = rng.normal(2 * HEADS, 3, 3);
    Tensor padding = Tensors.of(new long[] {0, 0, 1, 0, 0, 0}, 2, 3).to(ScalarType.Bool);
    Tensor[][] masks = new Tensor[2][HEADS];
    for (int n = 0; n < 2; n++) {
      for (int h = 0; h < HEADS; h++) {
        masks[n][h] = added.select(0, n * HEADS + h).add(minusInfinityWhere(padding.select(0, n)));
      }
    }
    assertClose(layer.attend(x, x, x, padding, added), explicit(x, x, x, masks));
  }

  @Test
  void dropoutActsInTrainingOnlyAndIsSeeded() {
    MultiheadAttention a = new MultiheadAttention(SIZE, HEADS, true, 0.5, 9, new Rng(1));
    MultiheadAttention b = new MultiheadAttention(SIZE, HEADS, true, 0.5, 9, new Rng(1));
    Tensor x = rng.normal(2, 5, SIZE);
    Tensor first = a.forward(x);
    assertClose(b.forward(x), first);
    a.eval();
    Tensor quiet = a.forward(x);
    assertClose(a.forward(x), quiet);
    assertThat(quiet.sub(first).abs().max().item_double()).isGreaterThan(1e-4);
  }

  @Test
  void wrongShapesAreNamed() {
    assertThatThrownBy(() -> layer.forward(rng.normal(2, 3, SIZE + 1)))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("[2, 3, 9]");
    Tensor x = rng.normal(2, 3, SIZE);
    assertThatThrownBy(
            () -> layer.attend(x, x, x, Tensors.of(new long[4], 2, 2).to(ScalarType.Bool), null))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("padding mask");
    assertThatThrownBy(() -> new MultiheadAttention(8, 3, rng))
        .isInstanceOf(OutriggerException.class)
        .hasMessageContaining("heads");
  }
}
