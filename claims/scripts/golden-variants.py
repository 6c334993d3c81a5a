"""Writes golden cases of other shapes and parameters than those of the papers' code.

Independent transcriptions of the definitions with NumPy, SciPy and Pillow: they hold the suites to
every legitimate variant of a case (colour and gray, ties, absent classes, more features than rows).

    pip install numpy scipy pillow
    python claims/scripts/golden-variants.py claims/src/test/resources/golden-variants
"""

import io
import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter, map_coordinates, zoom
from scipy.special import logsumexp, softmax

OUT = Path(sys.argv[1])
rng = np.random.default_rng(5)


def tensor(values):
    values = np.asarray(values, dtype=float)
    data = [float(f"{v:.12g}") if np.isfinite(v) else str(v) for v in values.ravel()]
    return {"shape": list(values.shape), "data": data}


def save(slug, name, inputs, params, outputs, rtol=1e-6, atol=1e-8):
    folder = OUT / slug
    folder.mkdir(parents=True, exist_ok=True)
    case = {
        "method": slug,
        "case": name,
        "from": "claims/scripts/golden-variants.py",
        "inputs": {key: tensor(value) for key, value in inputs.items()},
        "params": params,
        "outputs": {key: tensor(value) for key, value in outputs.items()},
        "rtol": rtol,
        "atol": atol,
    }
    (folder / f"{name}.json").write_text(json.dumps(case) + "\n")


def picture(height, width, channels):
    """A smooth picture with some grain, [H, W] or [H, W, C] in whole numbers 0..255."""
    planes = []
    for _ in range(max(1, channels)):
        coarse = Image.fromarray(rng.integers(0, 256, (4, 4), dtype="uint8"))
        plane = np.asarray(coarse.resize((width, height), Image.BICUBIC), dtype=float)
        planes.append(np.clip(plane + rng.integers(-6, 7, plane.shape), 0, 255))
    return np.stack(planes, -1) if channels else planes[0]


# Corruptions ------------------------------------------------------------------------------------


def clipped_zoom(x, factor):
    n = x.shape[0]
    crop = int(np.ceil(n / factor))
    top = (n - crop) // 2
    factors = (factor, factor, 1)[: x.ndim]
    large = zoom(x[top : top + crop, top : top + crop], factors, order=1)
    trim = (large.shape[0] - n) // 2
    return large[trim : trim + n, trim : trim + n]


for name, side, channels in (("zoom_colour", 16, 3), ("zoom_gray", 28, 0)):
    image = picture(side, side, channels)
    factors = [np.arange(1, 1.06, 0.01), np.arange(1, 1.21, 0.02), np.arange(1, 1.33, 0.03)]
    outputs = {"single_zoom": clipped_zoom(image, 1.37)}
    for severity, each in enumerate(factors, 1):
        total = image + sum(clipped_zoom(image, f) for f in each)
        outputs[f"image_s{severity}"] = total / (len(each) + 1)
    params = {
        "severities": [1, 2, 3],
        "zoom_factors": [[float(f) for f in each] for each in factors],
        "single_zoom_factor": 1.37,
    }
    save("corruptions", name, {"image": image}, params, outputs)

image = picture(12, 20, 3)
factors = [0.95, 0.75, 0.5, 0.25]
outputs = {}
for severity, factor in enumerate(factors, 1):
    small = Image.fromarray(image.astype("uint8"))
    small = small.resize((int(20 * factor), int(12 * factor)), Image.BOX)
    outputs[f"image_s{severity}"] = np.asarray(small.resize((20, 12), Image.BOX))
params = {"severities": [1, 2, 3, 4], "factor": factors}
save("corruptions", "pixelate_oblong_colour", {"image": image}, params, outputs, 0, 1.01)

for name, channels in (("jpeg_oblong_gray", 0), ("jpeg_colour", 3)):
    image = picture(16, 24, channels)
    outputs = {}
    for quality in (80, 50, 25, 7):
        packed = io.BytesIO()
        Image.fromarray(image.astype("uint8")).save(packed, "JPEG", quality=quality)
        outputs[f"image_q{quality}"] = np.asarray(Image.open(packed))
    save("corruptions", name, {"image": image}, {"qualities": [80, 50, 25, 7]}, outputs, 0, 3.01)


def blurred(x, sigma):
    sigmas = (sigma, sigma, 0)[: x.ndim]
    return gaussian_filter(x, sigmas, mode="nearest", truncate=4)


image = picture(9, 11, 0)
settings = [(0.7, 1, 2), (1, 2, 3)]
inputs = {"image": image}
outputs = {"gaussian_blur_s1": blurred(image, 1), "gaussian_blur_s2": blurred(image, 3)}
for severity, (sigma, delta, rounds) in enumerate(settings, 1):
    moves = rng.integers(-delta, delta, (rounds * (9 - 2 * delta) * (11 - 2 * delta), 2))
    inputs[f"offsets_s{severity}"] = moves
    x = np.floor(blurred(image, sigma))
    visit = iter(moves)
    for _ in range(rounds):
        for row in range(9 - delta, delta, -1):
            for column in range(11 - delta, delta, -1):
                dx, dy = next(visit)
                there = (row + dy, column + dx)
                x[row, column], x[there] = x[there], x[row, column]
    outputs[f"glass_blur_s{severity}"] = blurred(x, sigma)
params = {
    "gaussian_sigma": [1, 3],
    "glass_severities": [1, 2],
    "glass_sigma_delta_iters": [list(each) for each in settings],
}
save("corruptions", "glass_gray", inputs, params, outputs, 1e-6, 1e-5)

for name, channels, mode in (("elastic_zeros", 0, "constant"), ("elastic_colour", 3, "reflect")):
    image = picture(12, 12, channels)
    draws = rng.uniform(-1, 1, (2, 12, 12))
    dx, dy = (gaussian_filter(u, 0.6, mode="reflect", truncate=3) * 7 for u in draws)
    rows, columns = np.meshgrid(np.arange(12), np.arange(12), indexing="ij")
    planes = image if channels else image[..., None]
    moved = [
        map_coordinates(planes[..., c], [rows + dy, columns + dx], order=1, mode=mode)
        for c in range(planes.shape[-1])
    ]
    params = {"alpha": 7, "sigma": 0.6, "truncate": 3, "map_mode": mode}
    outputs = {"dx": dx, "dy": dy, "image_out": np.stack(moved, -1).reshape(image.shape)}
    save("corruptions", name, {"image": image, "u_dx": draws[0], "u_dy": draws[1]}, params, outputs)

image = picture(6, 8, 0)
x = image / 255
normal = rng.normal(size=x.shape)
flip, salt = rng.random((2,) + x.shape)
counts = rng.poisson(12 * x)
inputs = {"image": image, "normal": normal, "u_flip": flip, "u_salt": salt}
inputs["poisson_counts_for_x_times_12"] = counts
outputs = {
    "gaussian_noise": x + 0.18 * normal,
    "speckle_noise": x + 0.35 * x * normal,
    "shot_noise": counts / 12,
    "impulse_noise": np.where(flip < 0.27, salt < 0.5, x),
}
outputs = {name: np.clip(each, 0, 1) * 255 for name, each in outputs.items()}
params = {"gaussian": 0.18, "speckle": 0.35, "shot": 12, "impulse": 0.27}
save("corruptions", "noise_gray", inputs, params, outputs)

# Detection metrics ------------------------------------------------------------------------------


def curve(positive, negative):
    """Recall, share of negatives, and precision, at every distinct threshold."""
    steps = np.unique(np.r_[positive, negative])[::-1]
    hits = np.array([(positive >= t).sum() for t in steps])
    misses = np.array([(negative >= t).sum() for t in steps])
    return hits / len(positive), misses / len(negative), hits / (hits + misses)


def aupr(positive, negative):
    recall, _, precision = curve(positive, negative)
    return np.trapezoid(np.r_[1, precision], np.r_[0, recall])


def fpr(positive, negative):
    recall, share, _ = curve(positive, negative)
    return share[np.argmax(recall >= 0.95)]


for name, known, unknown in (
    ("metrics_constant", np.ones(12), np.ones(7)),
    ("metrics_apart", rng.normal(size=30), rng.normal(size=20) + 50),
    ("metrics_reversed", rng.normal(size=30) + 50, rng.normal(size=20)),
    ("metrics_infinite", np.r_[rng.normal(size=30), -np.inf], np.r_[rng.normal(size=9), np.inf]),
    ("metrics_few_values", rng.integers(0, 4, 40), rng.integers(1, 5, 31)),
):
    wins = (unknown[:, None] > known).mean() + (unknown[:, None] == known).mean() / 2
    outputs = {
        "auroc": wins,
        "aupr_out": aupr(unknown, known),
        "aupr_in": aupr(-known, -unknown),
        "fpr95_ood_positive": fpr(unknown, known),
        "fpr95_id_positive": fpr(-known, -unknown),
    }
    save("ood-baselines", name, {"id_scores": known, "ood_scores": unknown}, {"tpr": 0.95}, outputs)

# Between the corners the middle point is on a straight line: a thinned curve leaves it out and has
# another first point with a recall of 0.95.
known = np.repeat([2, 1, 0], [46, 4, 50])
unknown = np.repeat([3, 2, 1], [50, 46, 4])
outputs = {
    "auroc": (unknown[:, None] > known).mean() + (unknown[:, None] == known).mean() / 2,
    "fpr95_ood_positive_nodrop": fpr(unknown, known),
    "fpr95_ood_positive": 0.5,
    "fpr95_id_positive_nodrop": fpr(-known, -unknown),
}
inputs = {"id_scores": known, "ood_scores": unknown}
save("ood-baselines", "metrics_thinned", inputs, {"tpr": 0.95}, outputs)

# Scores -----------------------------------------------------------------------------------------

logits = rng.normal(size=(7, 12)) * 30
p = softmax(logits, 1)
largest = -np.sort(-p, 1)
outputs = {
    "msp": -p.max(1),
    "energy_T0.5": -0.5 * logsumexp(logits / 0.5, 1),
    "energy_T1000": -1000 * logsumexp(logits / 1000, 1),
    "gen_gamma1_M100": (p * (1 - p)).sum(1),
    "gen_gamma0.01_M5": (largest**0.01 * (1 - largest) ** 0.01)[:, :5].sum(1),
    "mcm_tau0.01": -softmax(logits / 0.01, 1).max(1),
    "entropy": -(p * (logits - logsumexp(logits, 1, keepdims=True))).sum(1),
}
save("ood-baselines", "logits_saturated", {"logits": logits}, {}, outputs, 1e-4, 1e-5)


def features(name, rows, size, classes, favour=0):
    """A head that takes rows for the nearest centre, or with favour mostly for class 0."""
    y = np.arange(rows) % classes
    centre = np.abs(rng.normal(size=(classes, size))) * 3
    z = np.abs(centre[y] + rng.normal(size=(rows, size)))
    test = np.abs(rng.normal(size=(6, size)) * 3)
    w = centre / 2
    b = -(centre**2).sum(1) / 4
    b[0] += favour
    f, fz = test @ w.T + b, z @ w.T + b
    means = np.stack([z[y == c].mean(0) for c in range(classes)])
    cut = size * np.finfo(float).eps
    precision = np.linalg.pinv(np.cov((z - means[y]).T, bias=True), rcond=cut, hermitian=True)
    total = np.linalg.pinv(np.cov(z.T, bias=True), rcond=cut, hermitian=True)

    def distance(origin, inverse):
        return np.einsum("nd,de,ne->n", test - origin, inverse, test - origin)

    nearest = np.stack([distance(m, precision) for m in means], 1)
    right = fz.argmax(1) == y
    with np.errstate(invalid="ignore"):
        member = right & (y == np.arange(classes)[:, None])
        patterns = member @ z / member.sum(1, keepdims=True)
    guessed = fz.argmax(1)
    seen = np.eye(classes)
    for c in set(guessed):
        seen[c] = softmax(fz, 1)[guessed == c].mean(0)
    p = softmax(f, 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        divergence = np.where(p[:, None] > 0, p[:, None] * np.log(p[:, None] / seen), 0).sum(2)
    unit = lambda rows: rows / np.linalg.norm(rows, axis=1, keepdims=True)
    apart = ((unit(test)[:, None] - unit(z)) ** 2).sum(2)
    contribution = z.mean(0) * w
    threshold = np.percentile(contribution, 50)
    clip = np.percentile(z, 95)
    outputs = {
        "logits": f,
        "mahalanobis": nearest.min(1),
        "mahalanobis_precision": precision,
        "relative_mahalanobis": (nearest - distance(z.mean(0), total)[:, None]).min(1),
        "knn_sq_l2": np.sort(apart, 1)[:, 1],
        "she_patterns": patterns,
        "she_inner_product": -(test * patterns[f.argmax(1)]).sum(1),
        "gradnorm": -np.abs(classes * p - 1).sum(1) * test.sum(1),
        "kl_templates": seen,
        "kl_matching": divergence.min(1),
        "dice_threshold": threshold,
        "dice_energy": -logsumexp(test @ (w * (contribution > threshold)).T + b, 1),
        "react_threshold": clip,
        "react_energy": -logsumexp(np.minimum(test, clip) @ w.T + b, 1),
    }
    inputs = {"train_features": z, "train_labels": y, "W": w, "b": b, "test_features": test}
    params = {"num_classes": classes, "knn_K": 2, "dice_p": 50, "react_percentile": 95}
    save("ood-baselines", name, inputs, params, outputs, 1e-4, 1e-6)


features("features_fewer_rows_than_columns", 12, 16, 3)
features("features_more_classes_than_columns", 90, 4, 6)
features("features_class_never_right", 40, 4, 5, 40)

# Calibration ------------------------------------------------------------------------------------


def binned(r, c, bins):
    """Share, accuracy and confidence of each bin (b / B, (b + 1) / B] that is not empty."""
    index = np.clip(np.ceil(r * bins - 1e-12).astype(int) - 1, 0, bins - 1)
    each = [index == b for b in range(bins)]
    return np.array([(i.mean(), c[i].mean(), r[i].mean()) for i in each if i.any()]).T


def ece(r, c, bins):
    share, accuracy, confidence = binned(r, c, bins)
    return (share * np.abs(accuracy - confidence)).sum()


def calibration(name, p, y, bins):
    n, k = p.shape
    r, c = p.max(1), (p.argmax(1) == y).astype(float)
    share, accuracy, confidence = binned(r, c, bins)
    gap = np.abs(accuracy - confidence)
    up = np.argsort(r, kind="stable")
    down = np.argsort(-r, kind="stable")
    risk = np.cumsum(1 - c[down]) / np.arange(1, n + 1)
    e = 1 - c.mean()
    won, lost = r[c == 1], r[c == 0]
    auroc = np.nan
    if len(won) and len(lost):
        auroc = (won[:, None] > lost).mean() + (won[:, None] == lost).mean() / 2
    squared = ((p - np.eye(k)[y]) ** 2).sum(1).mean()
    groups = [g for g in np.array_split(up, bins) if len(g)]
    outputs = {
        "ece": (share * gap).sum(),
        "mce": gap.max(),
        "rmsce": np.sqrt((share * gap**2).sum()),
        "ace_unweighted_bins": gap.mean(),
        "ece_equal_mass_rank": sum(len(g) / n * abs(c[g].mean() - r[g].mean()) for g in groups),
        "classwise_ece": np.mean([ece(p[:, j], (y == j).astype(float), bins) for j in range(k)]),
        "ks_error": np.abs(np.cumsum(r[up] - c[up]) / n).max(),
        "brier_sum": squared,
        "brier_mean": squared / k,
        "nll": -np.log(np.maximum(p[np.arange(n), y], 1e-12)).mean(),
        "accuracy": c.mean(),
        "auroc_confidence": auroc,
        "risk_at_coverage": risk,
        "aurc": risk.mean(),
        "eaurc": risk.mean() - (e + ((1 - e) * np.log(1 - e) if e < 1 else 0)),
    }
    inputs = {"probs": p, "labels": y}
    save("calibration-baselines", name, inputs, {"n_bins": bins}, outputs)


p = softmax(rng.normal(size=(60, 5)) * 3, 1)
y = rng.integers(0, 5, 60)
saturated = p.copy()
saturated[:15] = np.eye(5)[rng.integers(0, 5, 15)]
saturated[15:30] = 0.2
calibration("metrics_saturated", saturated, y, 15)
calibration("metrics_all_right", p, p.argmax(1), 10)
calibration("metrics_all_wrong", p, (p.argmax(1) + 1) % 5, 10)
calibration("metrics_two_classes", softmax(rng.normal(size=(37, 2)), 1), rng.integers(0, 2, 37), 20)
calibration("metrics_fewer_rows_than_bins", p[:4], y[:4], 15)


def dirichlet(name, labels, proportions):
    """A stream ordered by class, from the draws as they are written into the case."""
    proportions = np.array([[float(f"{v:.12g}") for v in row] for row in proportions])
    classes, chunks = proportions.shape
    orders = np.array([rng.permutation(classes) for _ in range(chunks)])
    content = [[[] for _ in range(classes)] for _ in range(chunks)]
    for k in range(classes):
        rows = np.where(labels == k)[0]
        sizes = np.array([sum(map(len, chunk)) for chunk in content])
        shares = proportions[k] * (sizes < len(labels) / chunks)
        total = shares.sum()
        cuts = np.zeros(chunks, dtype=int)
        if total > 0:
            cuts = (np.cumsum(shares / total) * len(rows)).astype(int)
        for chunk, part in enumerate(np.split(rows, cuts[:-1])):
            content[chunk][k] = list(part)
    order = [i for chunk in range(chunks) for k in orders[chunk] for i in content[chunk][k]]
    inputs = {"labels": labels, "proportions": proportions, "class_order_per_chunk": orders}
    outputs = {"order": order, "ordered_labels": labels[order]}
    save("tta-baselines", name, inputs, {"chunks": chunks}, outputs, 0, 0)


rng = np.random.default_rng(6)
dirichlet("dirichlet_ten", rng.integers(0, 10, 797), rng.dirichlet([0.1] * 10, 10))
dirichlet("dirichlet_absent_class", rng.choice([0, 2, 3], 60), rng.dirichlet([1.0] * 4, 4))
dirichlet("dirichlet_fewer_chunks", rng.integers(0, 7, 200), rng.dirichlet([0.5] * 3, 7))
dirichlet("dirichlet_many_chunks", rng.integers(0, 12, 900), rng.dirichlet([0.02] * 130, 12))
dirichlet("dirichlet_full", np.repeat([0, 1, 2], 12), np.eye(4)[[0, 0, 0]])


def unmix(name, shape, components, spread, temperature, momentum, noise=None, affine=True):
    """One UnMix-TNS layer over a stream of batches [T, B, C, H, W]."""
    channels = shape[2]
    x = rng.normal(size=shape)
    mean, var = rng.normal(size=channels), rng.uniform(0.5, 2, channels)
    inputs = {"x": x, "source_mean": mean, "source_var": var}
    weight, bias = np.ones(channels), np.zeros(channels)
    if affine:
        weight, bias = rng.normal(size=channels), rng.normal(size=channels)
        inputs |= {"bn.weight": weight, "bn.bias": bias}
    means, variances = mean[None], var[None]
    if components > 1:
        noise = rng.normal(size=(components, channels)) if noise is None else noise
        inputs["init_noise"] = noise
        scale = np.sqrt(spread * components / (components - 1))
        means = mean + scale * np.sqrt(var) * noise
        variances = np.repeat((1 - spread) * var[None], components, 0)
    outputs = {"means_init": means, "vars_init": variances}
    ys = []
    for batch in x:
        a, q = batch.mean((2, 3)), batch.var((2, 3))
        unit = lambda v: v / np.maximum(np.linalg.norm(v, axis=1, keepdims=True), 1e-12)
        p = softmax(unit(a) @ unit(means).T / temperature, 1)[:, :, None]
        m = (1 - p) * means + p * a[:, None]
        v = ((1 - p) * variances + p * q[:, None]).mean(1) + (m**2).mean(1) - m.mean(1) ** 2
        wide = lambda s: s[..., None, None]
        y = (batch - wide(m.mean(1))) / np.sqrt(wide(v) + 1e-5)
        ys.append(y * wide(weight) + wide(bias))
        means = means + momentum * (p * (a[:, None] - means)).mean(0)
        variances = variances + momentum * (p * (q[:, None] - variances)).mean(0)
    outputs |= {"y": np.array(ys), "means_after": means, "vars_after": variances}
    params = {"K": components, "momentum": momentum, "temperature": temperature}
    save("unmix-tns", name, inputs, params | {"alpha_init": spread, "eps": 1e-5}, outputs)


rng = np.random.default_rng(7)
unmix("unmix_many", (4, 2, 3, 2, 5), 16, 0.5, 0.07, 0.1)
unmix("unmix_single_images", (3, 1, 4, 3, 3), 5, 0.3, 0.5, 0.3)
unmix("unmix_points_no_affine", (2, 4, 6, 1, 1), 3, 0.5, 0.07, 0.2, affine=False)
unmix("unmix_equal_components", (2, 3, 2, 3, 2), 4, 0.5, 0.07, 0.1, noise=np.zeros((4, 2)))


def mixtures(name, shape, alpha, momentum):
    """Source, mixed, batch and running statistics of one layer."""
    channels = shape[2]
    x = rng.normal(0.4, 1.3, size=shape)
    mean, var = rng.normal(size=channels), rng.uniform(0.5, 2, channels)
    inputs = {"x": x, "running_mean": mean, "running_var": var}
    normal = lambda b, m, v: (b - m[:, None, None]) / np.sqrt(v[:, None, None] + 1e-5)
    ys = {"y_source": [], "y_alpha": [], "y_batch": [], "y_ema": []}
    m, v = mean, var
    for b in x:
        bm, biased, unbiased = b.mean((0, 2, 3)), b.var((0, 2, 3)), b.var((0, 2, 3), ddof=1)
        m, v = m + momentum * (bm - m), v + momentum * (unbiased - v)
        ys["y_source"].append(normal(b, mean, var))
        ys["y_alpha"].append(normal(b, mean + alpha * (bm - mean), var + alpha * (unbiased - var)))
        ys["y_batch"].append(normal(b, bm, biased))
        ys["y_ema"].append(normal(b, m, v))
    outputs = {key: np.array(value) for key, value in ys.items()}
    outputs |= {"ema_mean_after": m, "ema_var_after": v}
    params = {"alpha": alpha, "momentum": momentum, "eps": 1e-5}
    save("tta-baselines", name, inputs, params, outputs)


mixtures("mixture_single_image", (2, 1, 3, 4, 2), 1 / 17, 0.1)
mixtures("mixture_points", (2, 5, 4, 1, 1), 0.7, 0.4)


def iabn(name, shape, k, momentum):
    """NOTE's layer in evaluation, training, and evaluation, and its loss."""
    channels, length = shape[1], shape[2] * shape[3]
    x = rng.normal(0.5, 2, size=shape) * rng.uniform(0.2, 3, size=(shape[0], channels, 1, 1))
    mean, var = rng.normal(size=channels), rng.uniform(0.5, 2, channels)
    logits = rng.normal(size=(6, 3)) * 4

    def layer(m, v):
        m, v = m[None, :], v[None, :]
        if length > 1:
            soft = lambda value, t: np.sign(value) * np.maximum(np.abs(value) - t, 0)
            own, spread = x.mean((2, 3)), x.var((2, 3), ddof=1)
            corrected = m + soft(own - m, k * np.sqrt((v + 1e-5) / length))
            wide = k * (v + 1e-5) * np.sqrt(2 / (length - 1))
            v = np.maximum(v + soft(spread - v, wide), 0)
            m = corrected
        return (x - m[..., None, None]) / np.sqrt(v[..., None, None] + 1e-5)

    outputs = {"y_eval": layer(mean, var)}
    bm, bv = x.mean((0, 2, 3)), x.var((0, 2, 3), ddof=1)
    outputs["y_train"] = layer(bm, bv)
    after = mean + momentum * (bm - mean), var + momentum * (bv - var)
    outputs |= {"running_mean_after": after[0], "running_var_after": after[1]}
    outputs["y_eval_after"] = layer(*after)
    p = softmax(logits, 1)
    outputs["note_entropy_loss"] = -(p * np.log(p + 1e-6)).mean()
    inputs = {"x": x, "running_mean": mean, "running_var": var, "logits": logits}
    params = {"k": k, "bn_momentum": momentum, "eps": 1e-5}
    save("tta-baselines", name, inputs, params, outputs)


iabn("iabn_tight", (4, 3, 3, 2), 0.5, 0.1)
iabn("iabn_points", (5, 2, 1, 1), 4, 0.01)


def memory(name, classes, capacity, offers, lambda_t, lambda_u):
    """RoTTA's memory, with ties in the uncertainty, and its layer."""
    labels = rng.integers(0, classes, offers)
    uncertainty = rng.integers(0, 4, offers) / 4 * np.log(classes)
    stored = [[] for _ in range(classes)]
    occupancy = []
    badness = lambda age, h: (
        lambda_t / (1 + np.exp(-age / capacity)) + lambda_u * h / np.log(classes)
    )
    for i, (label, h) in enumerate(zip(labels, uncertainty)):
        counts = [len(rows) for rows in stored]
        among = [label]
        if counts[label] < capacity / classes:
            among = []
            if sum(counts) == capacity:
                among = [c for c in range(classes) if counts[c] == max(counts)]
        place = True
        if among:
            rows = [(c, j) for c in among for j in range(len(stored[c]))]
            worst = max(
                range(len(rows)),
                key=lambda r: (badness(*stored[rows[r][0]][rows[r][1]][1:]), r),
            )
            c, j = rows[worst]
            place = badness(*stored[c][j][1:]) > badness(0, h)
            if place:
                stored[c].pop(j)
        if place:
            stored[label].append((i, 0, h))
        stored = [[(n, age + 1, u) for n, age, u in rows] for rows in stored]
        occupancy.append([len(rows) for rows in stored])
    flat = [row for rows in stored for row in rows]
    ages = np.array([age for _, age, _ in flat]) / capacity
    x = rng.normal(size=(3, 2, 2, 3, 2))
    mean, var, alpha = rng.normal(size=2), rng.uniform(0.5, 2, 2), 0.2
    normal = lambda b, m, v: (b - m[:, None, None]) / np.sqrt(v[:, None, None] + 1e-5)
    m, v, ys = mean, var, []
    for b in x:
        m = m + alpha * (b.mean((0, 2, 3)) - m)
        v = v + alpha * (b.var((0, 2, 3)) - v)
        ys.append(normal(b, m, v))
    inputs = {"pseudo_labels": labels, "uncertainty": uncertainty, "x": x}
    inputs |= {"running_mean": mean, "running_var": var}
    outputs = {
        "occupancy_after_each": occupancy,
        "final_sample_ids": [n for n, _, _ in flat],
        "final_ages_over_capacity": ages,
        "instance_weights": np.exp(-ages) / (1 + np.exp(-ages)),
        "rbn_train_y": np.array(ys),
        "rbn_mean_after": m,
        "rbn_var_after": v,
        "rbn_eval_y_first": normal(x[0], m, v),
    }
    params = {"capacity": capacity, "classes": classes, "rbn_alpha": alpha}
    save("tta-baselines", name, inputs, params | {"lambda_t": lambda_t, "lambda_u": lambda_u}, outputs)


memory("memory_uneven_shares", 3, 7, 60, 1, 1)
memory("memory_age_alone", 4, 6, 40, 1, 0)
memory("memory_barely_filled", 5, 64, 9, 0.5, 2)


def marginal(name, logits):
    """The entropy of the mean softmax, its parts and its gradient."""
    p = softmax(logits, 1)
    mean = p.mean(0)
    outer = -(np.log(mean) + 1) / len(p)
    outputs = {
        "loss": -(mean * np.log(mean)).sum(),
        "avg_log_prob": np.log(mean),
        "grad_logits": p * (outer - (p * outer).sum(1, keepdims=True)),
    }
    save("tta-baselines", name, {"logits": logits}, {}, outputs)


marginal("memo_one_view", rng.normal(size=(1, 5)))
marginal("memo_many_views", rng.normal(size=(33, 10)) * 3)
