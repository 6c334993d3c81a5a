"""LogME, H-score and TMI with NumPy, to measure SelectBenchmark against.

The same order of operations: an eigen-decomposition of X^T X in float64, class sums in place of
one-hot targets, neighbours in blocks. Usage: numpy_scores.py [ROWS] [DIMENSION] [CLASSES] [THREADS]
"""
import os
import sys
import time

if len(sys.argv) > 4:
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = sys.argv[4]
import numpy as np  # noqa: E402 (the number of threads is read on import)


def spectrum(x, y, classes):
    """Squared singular values of x, and U^T times the one-hot labels."""
    values, vectors = np.linalg.eigh(x.T @ x)
    keep = values > values.max() * len(values) * np.finfo(float).eps
    sums = np.zeros((classes, x.shape[1]))
    for c in range(classes):
        sums[c] = x[y == c].sum(0)
    sigma = values[keep]
    return sigma, (vectors[:, keep].T @ sums.T) / np.sqrt(sigma)[:, None]


def logme(x, y, classes):
    n = len(x)
    sigma, projections = spectrum(x, y, classes)
    counts = np.bincount(y, minlength=classes)
    total = 0.0
    for c in range(classes):
        square = projections[:, c] ** 2
        outside = max(counts[c] - square.sum(), 0)
        a = b = 1.0
        for _ in range(11):
            ratio = a / b
            gamma = (sigma / (sigma + ratio)).sum()
            length = (sigma * square / (ratio + sigma) ** 2).sum()
            residual = (square / (1 + sigma / ratio) ** 2).sum() + outside
            a = gamma / (length + 1e-5)
            b = (n - gamma) / (residual + 1e-5)
            if abs(a / b - ratio) / ratio <= 1e-3:
                break
        total += (len(sigma) / 2 * np.log(a) + n / 2 * np.log(b)
                  - np.log(a + b * sigma).sum() / 2 - b / 2 * residual - a / 2 * length
                  - n / 2 * np.log(2 * np.pi)) / n
    return total / classes


def hscore(x, y, classes):
    _, projections = spectrum(x - x.mean(0), y, classes)
    return (projections ** 2 / np.bincount(y, minlength=classes)).sum()


def digamma(x):
    shift = 0.0
    while x < 6:
        shift -= 1 / x
        x += 1
    f = 1 / (x * x)
    return shift + np.log(x) - 0.5 / x - f * (1 / 12 - f * (1 / 120 - f / 252))


def tmi(x, y, classes, k=3, floor=1.0, block=16):
    total = 0.0
    for c in range(classes):
        rows = x[y == c]
        n = len(rows)
        kth = np.empty(n)
        for start in range(0, n, block):
            apart = np.abs(rows[start:start + block, None, :] - rows[None]).max(-1)
            kth[start:start + block] = np.partition(apart, k, 1)[:, k]
        logs = np.log(2 * np.maximum(kth, floor)).mean()
        total += n / len(x) * (digamma(n) - digamma(k) + x.shape[1] * logs)
    return total / classes


def main():
    rows, dimension, classes = (int(a) for a in (sys.argv[1:4] + ["50000", "1024", "100"][len(sys.argv) - 1:])[:3])
    rng = np.random.default_rng(1)
    y = np.arange(rows) % classes
    x = rng.normal(size=(classes, dimension))[y] + rng.normal(size=(rows, dimension))
    x = np.maximum(x, 0).astype(np.float32)
    for score in (logme, hscore, tmi):
        start = time.perf_counter()
        value = score(x.astype(np.float64), y, classes)
        print(f"{score.__name__:8} {1000 * (time.perf_counter() - start):10.0f} ms   {value:.6f}", flush=True)


if __name__ == "__main__":
    main()
