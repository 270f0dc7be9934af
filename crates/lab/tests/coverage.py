#!/usr/bin/env python3
"""How often intervals of the median hold the true one, by kind and size; the table of docs/statistics.md.

    python3 -m venv /tmp/scipy && /tmp/scipy/bin/pip install scipy==1.17.1
    /tmp/scipy/bin/python crates/lab/tests/coverage.py

All kinds come from the bootstrap distribution of the median in closed form.
"""

import numpy as np
from scipy import stats

RNG = np.random.default_rng(1)
SAMPLES = 20_000
SIZES = (5, 6, 7, 8, 9, 10, 11, 12, 15, 20)
Z = stats.norm.ppf(0.975)

# Each with a median of 0.
SHAPES = {
    "normal": lambda size: RNG.normal(size=size),
    "t3": lambda size: RNG.standard_t(3, size=size),
    "exponential": lambda size: RNG.exponential(size=size) - np.log(2),
    "Laplace": lambda size: RNG.laplace(size=size),
    "two humps": lambda size: RNG.normal(size=size) * 0.3 + RNG.choice([-1, 1], size=size),
}


def bootstrap(n):
    """Index pairs (i, j) of the values that a drawn median lies between, and the probability of each."""
    half = n // 2
    at_most = [stats.binom.sf(half - 1 + n % 2, n, i / n) for i in range(n + 1)]
    if n % 2:
        return np.array([(i, i, at_most[i + 1] - at_most[i]) for i in range(n)])
    ways = stats.binom.pmf(half, n, 0.5) * 2.0**n
    reach = [((i + 1) / n) ** half - (i / n) ** half for i in range(n)]
    rows = []
    for i in range(n):
        above = [(i, j, ways * reach[i] * reach[n - 1 - j]) for j in range(i + 1, n)]
        rows += above + [(i, i, at_most[i + 1] - at_most[i] - sum(row[2] for row in above))]
    return np.array(rows)


class Medians:
    """The distributions of drawn medians of many samples (rows in rising order)."""

    def __init__(self, samples, points):
        i, j, p = points[:, 0].astype(int), points[:, 1].astype(int), points[:, 2]
        values = (samples[:, i] + samples[:, j]) / 2
        order = np.argsort(values, axis=1)
        self.values = np.take_along_axis(values, order, 1)
        self.p = p[order]
        self.sums = np.cumsum(self.p, axis=1)

    def quantile(self, part):
        part = np.broadcast_to(part, (len(self.values),))
        at = (self.sums < part[:, None] - 1e-12).sum(1).clip(0, self.values.shape[1] - 1)
        return self.values[np.arange(len(self.values)), at]

    def holds(self, low, high):
        return float(((self.quantile(low) <= 0) & (self.quantile(high) >= 0)).mean())


def bca_ends(samples, medians):
    """Where BCa takes its ends."""
    n = samples.shape[1]
    middle = np.median(samples, axis=1)[:, None]
    below = (medians.p * (medians.values < middle - 1e-12)).sum(1)
    equal = (medians.p * (np.abs(medians.values - middle) <= 1e-12)).sum(1)
    bias = stats.norm.ppf((below + equal / 2).clip(1e-9, 1 - 1e-9))
    left = np.stack([np.median(np.delete(samples, i, axis=1), axis=1) for i in range(n)], 1)
    off = left.mean(1, keepdims=True) - left
    scale = (off**2).sum(1) ** 1.5
    skew = np.where(scale > 0, (off**3).sum(1) / 6 / np.where(scale > 0, scale, 1), 0)
    return [stats.norm.cdf(bias + (bias + z) / (1 - skew * (bias + z))) for z in (-Z, Z)]


def expanded(n):
    return stats.norm.cdf(stats.t.ppf(0.025, n - 1) * np.sqrt(n / (n - 1)))


print("| n | plain percentile | BCa | expanded percentile |")
print("|---:|---|---|---|")
for n in SIZES:
    points = bootstrap(n)
    found = {"plain": [], "bca": [], "expanded": []}
    for draw in SHAPES.values():
        samples = np.sort(draw((SAMPLES, n)), axis=1)
        medians = Medians(samples, points)
        found["plain"].append(medians.holds(0.025, 0.975))
        found["bca"].append(medians.holds(*bca_ends(samples, medians)))
        found["expanded"].append(medians.holds(expanded(n), 1 - expanded(n)))
    cells = " | ".join(f"{100 * min(shares):.1f} to {100 * max(shares):.1f} %" for shares in found.values())
    print(f"| {n} | {cells} |")
