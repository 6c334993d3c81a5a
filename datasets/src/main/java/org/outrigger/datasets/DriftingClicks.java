package org.outrigger.datasets;

import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.outrigger.core.data.TensorDataset;
import org.outrigger.core.method.HyperParameter;
import org.outrigger.core.torch.Rng;
import org.outrigger.core.torch.Scopes;

/**
 * Clicks of users on items whose tastes change at once. A user clicks with probability {@code
 * sigmoid(p_u q_i + b_i - 1)}; later half of the users have opposite tastes and a third of the
 * items the opposite of twice their popularity. Inputs are the ids [user, item], the label says
 * whether there was a click.
 */
public final class DriftingClicks {
  /** How many users there are. */
  public static final int USERS = 60;

  /** How many items there are. */
  public static final int ITEMS = 80;

  private static final int FACTORS = 6;
  private static final double FACTOR_SCALE = 0.7;
  private static final double POPULARITY_SCALE = 0.6;

  private DriftingClicks() {}

  /** Clicks before the change. */
  public static TensorDataset before(int rows, long seed) {
    return make(rows, false, "before", seed);
  }

  /** Clicks of the same users on the same items after it. */
  public static TensorDataset after(int rows, long seed) {
    return make(rows, true, "after", seed);
  }

  /** Clicks that follow those of {@link #before} without a change. */
  public static TensorDataset unchanged(int rows, long seed) {
    return make(rows, false, "unchanged", seed);
  }

  private static TensorDataset make(int rows, boolean drifted, String part, long seed) {
    HyperParameter.atLeast("rows", rows, 1);
    return Scopes.scoped(
        () -> {
          try (Rng world = Rng.named(seed, "clicks");
              Rng rng = Rng.named(seed, "clicks " + part)) {
            Tensor users = world.normal(USERS, FACTORS).mul(new Scalar(FACTOR_SCALE));
            Tensor items = world.normal(ITEMS, FACTORS).mul(new Scalar(FACTOR_SCALE));
            Tensor popularity = world.normal(ITEMS).mul(new Scalar(POPULARITY_SCALE));
            Tensor flipped = world.permutation(USERS).narrow(0, 0, USERS / 2);
            Tensor moved = world.permutation(ITEMS).narrow(0, 0, ITEMS / 3);
            if (drifted) {
              users.index_copy_(0, flipped, users.index_select(0, flipped).neg());
              popularity.index_copy_(
                  0, moved, popularity.index_select(0, moved).mul(new Scalar(-2.0)));
            }
            Tensor user = draw(rng, rows, USERS);
            Tensor item = draw(rng, rows, ITEMS);
            Tensor logit =
                users
                    .index_select(0, user)
                    .mul(items.index_select(0, item))
                    .sum(1)
                    .add(popularity.index_select(0, item))
                    .sub(new Scalar(1.0));
            Tensor clicked = rng.uniform(rows).lt(logit.sigmoid()).to(ScalarType.Long);
            return TensorDataset.builder(
                    torch.stack(new TensorVector(user, item), 1).to(ScalarType.Float))
                .labels(clicked)
                .name("Clicks " + part)
                .build();
          }
        });
  }

  private static Tensor draw(Rng rng, int rows, int among) {
    return rng.uniform(ScalarType.Double, rows)
        .mul(new Scalar((double) among))
        .floor()
        .to(ScalarType.Long);
  }
}
