"""Writes golden cases of adapters that correct outputs, of other shapes and parameters.

Independent transcriptions of the definitions with NumPy: LAME, AdaNPC, T3A and the label shift
adapter with single rows, few rows, absent classes, thresholds that let all or none pass.

    pip install numpy
    python claims/scripts/golden-variants-outputs.py claims/src/test/resources/golden-variants
"""

import json
import sys
from pathlib import Path

import numpy as np

OUT = Path(sys.argv[1])
rng = np.random.default_rng(7)


def tensor(values):
    values = np.asarray(values, dtype=float)
    return {"shape": list(values.shape), "data": [float(f"{v:.12g}") for v in values.ravel()]}


def save(slug, name, inputs, params, outputs):
    folder = OUT / slug
    folder.mkdir(parents=True, exist_ok=True)
    case = {
        "method": slug,
        "case": name,
        "from": "claims/scripts/golden-variants-outputs.py",
        "inputs": {key: tensor(value) for key, value in inputs.items()},
        "params": params,
        "outputs": {key: tensor(value) for key, value in outputs.items()},
        "rtol": 1e-6,
        "atol": 1e-8,
    }
    (folder / f"{name}.json").write_text(json.dumps(case) + "\n")


def draw(*shape):
    return np.round(rng.normal(size=shape), 4)


def softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def unit(rows):
    return rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-12)


# LAME -------------------------------------------------------------------------------------------


def lame(name, rows, width, classes, affinity, knn, symmetric, bound, steps):
    features = draw(rows, width)
    probs = np.array([[float(f"{v:.12g}") for v in row] for row in softmax(draw(rows, classes))])
    f = unit(features)
    distance = np.sqrt(((f[:, None] - f[None]) ** 2).sum(-1))
    if affinity == "kNN":
        kernel = np.zeros((rows, rows))
        for i in range(rows):
            others = [j for j in np.argsort(distance[i]) if j != i]
            kernel[i, others[:knn]] = 1
    elif affinity == "rbf":
        sigma = np.sort(distance, 1)[:, min(knn, rows) - 1].mean()
        kernel = np.exp(-(distance**2) / (2 * sigma**2))
    else:
        kernel = f @ f.T
    w = (kernel + kernel.T) / 2 if symmetric else kernel
    unary = -np.log(probs + 1e-10)
    y = softmax(-unary)
    energies = []
    for n in range(steps):
        pull = bound * w @ y
        y = softmax(-unary + pull)
        terms = unary * y - bound * pull * y + y * np.log(np.maximum(y, 1e-20))
        energies.append(terms.sum())
        if n > 1 and abs(energies[-1] - energies[-2]) <= 1e-8 * abs(energies[-2]):
            break
    params = {
        "affinity": affinity,
        "knn": knn,
        "force_symmetry": symmetric,
        "bound_lambda": bound,
        "max_steps": steps,
        "prob_eps": 1e-10,
        "energy_clip": 1e-20,
        "rel_tol": 1e-8,
    }
    outputs = {"features_normalized": f, "kernel": kernel, "Y": y, "energies": energies}
    outputs["prediction"] = y.argmax(1)
    save("lame", name, {"features": features, "probs": probs}, params, outputs)


lame("rbf_symmetric", 9, 3, 4, "rbf", 3, True, 1, 100)
lame("knn_symmetric", 14, 6, 3, "kNN", 4, True, 1, 7)
lame("knn_more_than_rows", 4, 5, 2, "kNN", 5, False, 1, 100)
lame("knn_single_row", 1, 5, 3, "kNN", 5, False, 1, 100)
lame("linear_strong", 6, 2, 2, "linear", 5, False, 0.4, 100)


# AdaNPC -----------------------------------------------------------------------------------------


def votes(x, memory, labels, classes, k, temperature, ball):
    similarity = unit(x) @ memory.T
    scores = np.zeros((len(x), classes))
    within = similarity.max(1).min() > ball
    for i, row in enumerate(similarity):
        chosen = np.where(row >= ball)[0] if within else np.argsort(-row, kind="stable")[:k]
        weights = softmax(row[chosen] / temperature)
        for j, weight in zip(chosen, weights):
            scores[i, labels[j]] += weight
    return np.minimum(scores + 1e-5, 1)


def adanpc(name, rows, width, classes, batches, k, temperature, beta, ball=1.1):
    features, labels = draw(rows, width), rng.integers(0, classes, rows)
    x = draw(*batches, width)
    memory, known = unit(features), labels.copy()
    outputs = {"scores": [], "confidence": [], "memory_size_after": []}
    for batch in x:
        scores = votes(batch, memory, known, classes, k, temperature, ball)
        confidence = softmax(scores).max(1)
        sure = confidence >= beta
        memory = np.concatenate([memory, unit(batch)[sure]])
        known = np.concatenate([known, scores.argmax(1)[sure]])
        outputs["scores"].append(scores)
        outputs["confidence"].append(confidence)
        outputs["memory_size_after"].append(len(memory))
    outputs["memory_labels_after"] = known
    outputs["last_memory_rows"] = memory[-2:]
    params = {"k": k, "temperature": temperature, "beta": beta, "classes": classes}
    if ball <= 1:
        params["eps_ball"] = ball
    inputs = {"memory_features": features, "memory_labels": labels, "x": x}
    save("adanpc", name, inputs, params, outputs)


adanpc("more_neighbours_than_rows", 4, 3, 3, (3, 2), 9, 0.1, 0.0)
adanpc("nothing_joins", 10, 4, 5, (2, 3), 1, 0.5, 1.1)
adanpc("two_classes_threshold", 12, 3, 2, (4, 3), 5, 0.25, 0.65)
adanpc("radius", 20, 2, 4, (3, 4), 3, 0.1, 0.3, 0.2)


# T3A --------------------------------------------------------------------------------------------


def t3a(name, classes, width, batches, keep):
    weight, bias, z = draw(classes, width), draw(classes), draw(*batches, width)

    def entries(rows):
        p = softmax(rows @ weight.T + bias)
        return [(r, q.argmax(), -(q * np.log(q)).sum()) for r, q in zip(rows, p)]

    supports = entries(weight)
    scores, sizes = [], []
    for batch in z:
        supports = supports + entries(batch)
        kept, prototypes = [], []
        for c in range(classes):
            own = sorted((s for s in supports if s[1] == c), key=lambda s: s[2])
            own = own if keep == -1 else own[:keep]
            kept += own
            total = sum((unit(s[0]) for s in own), np.zeros(width))
            prototypes.append(unit(total))
        supports = kept
        scores.append(batch @ np.array(prototypes).T)
        sizes.append(len(supports))
    outputs = {
        "scores": scores,
        "num_supports_after": sizes,
        "support_labels_after": [s[1] for s in supports],
        "support_entropy_after": [s[2] for s in supports],
    }
    inputs = {"weight": weight, "bias": bias, "z": z}
    save("tta-baselines", name, inputs, {"filter_K": keep}, outputs)


t3a("t3a_keeps_all", 4, 3, (3, 6), -1)
t3a("t3a_one_each", 6, 2, (4, 5), 1)


# Label shift adapter ----------------------------------------------------------------------------


def label_shift(name, counts, width, hidden, rows, tau, alpha):
    classes = len(counts)
    n = np.array(counts, dtype=float) + (min(counts) == 0)
    prior = n / n.sum()
    log = np.log(prior) - np.log(prior).mean()
    m = log / ((prior - 1 / classes) @ log)
    pi = rng.dirichlet(np.ones(classes))
    pi = np.array([float(f"{v:.12g}") for v in pi])
    size = 2 * width + classes * width + classes
    w, b, h = draw(classes, width), draw(classes), draw(rows, width)
    y = rng.integers(0, classes, rows)
    a1, c1, a2, c2 = draw(hidden, 1), draw(hidden), 0.3 * draw(size, hidden), 0.3 * draw(size)
    a2, c2 = np.round(a2, 6), np.round(c2, 6)
    stream = softmax(draw(3, rows, classes))
    stream = np.array([float(f"{v:.12g}") for v in stream.ravel()]).reshape(stream.shape)
    s = m @ (pi - 1 / classes)
    active = np.maximum(a1[:, 0] * s + c1, 0)

    def forward(matrix, offset):
        o = matrix @ active + offset
        gamma, beta = 1 + o[:width], o[width : 2 * width]
        dw = o[2 * width : 2 * width + classes * width].reshape(classes, width)
        db = o[2 * width + classes * width :]
        logits = (h * gamma + beta) @ (w + dw).T + b + db
        adjusted = logits + tau * (np.log(prior) - np.log(pi))
        top = adjusted.max(1, keepdims=True)
        logp = adjusted - top - np.log(np.exp(adjusted - top).sum(1, keepdims=True))
        return gamma, beta, dw, db, logits, -logp[np.arange(rows), y].mean()

    gamma, beta, dw, db, logits, loss = forward(a2, c2)
    step = 1e-5
    grad_c2 = np.zeros(size)
    for i in range(size):
        e = np.zeros(size)
        e[i] = step
        # Fourth order, so that the difference is exact far beyond the tolerance.
        near = forward(a2, c2 + e)[-1] - forward(a2, c2 - e)[-1]
        far = forward(a2, c2 + 2 * e)[-1] - forward(a2, c2 - 2 * e)[-1]
        grad_c2[i] = (8 * near - far) / (12 * step)
    mix, mixes = np.full(classes, 1 / classes), []
    for batch in stream:
        mix = (1 - alpha) * mix + alpha * batch.mean(0)
        mixes.append(mix)
    outputs = {
        "p_source": prior,
        "m": m,
        "s": s,
        "gamma": gamma,
        "beta": beta,
        "delta_W": dw,
        "delta_b": db,
        "logits": logits,
        "loss": loss,
        "grad_A2": np.outer(grad_c2, active),
        "grad_c2": grad_c2,
        "pi_estimates": mixes,
        "s_estimates": [m @ (q - 1 / classes) for q in mixes],
    }
    inputs = {"source_counts": counts, "pi": pi, "W": w, "b": b, "h": h, "y": y}
    inputs |= {"A1": a1, "c1": c1, "A2": a2, "c2": c2, "stream_probs": stream}
    params = {"tau": tau, "alpha": alpha, "hidden": hidden}
    save("label-shift-adapter", name, inputs, params, outputs)


label_shift("two_classes", [9, 1], 4, 3, 5, 1.5, 0.3)
label_shift("missing_class", [0, 7, 2, 30, 5], 2, 6, 4, 1.0, 0.05)
