#!/usr/bin/env python3
"""Writes scipy.json: what scipy and statsmodels say of samples, for tests/stats.rs to agree with.

    python3 -m venv /tmp/scipy && /tmp/scipy/bin/pip install scipy==1.17.1 statsmodels==0.15.0
    /tmp/scipy/bin/python crates/lab/tests/scipy_vectors.py > crates/lab/tests/scipy.json
"""

import itertools
import json

import numpy as np
import scipy
import statsmodels
from scipy import stats
from statsmodels.stats.multitest import multipletests

RNG = np.random.default_rng(20261126)


def plain(values):
    return [float(value) for value in values]


def samples():
    """One sample each, of many shapes."""
    for n in (1, 2, 3, 5, 10, 11, 20, 57):
        yield RNG.lognormal(0, 0.3, n)
        yield RNG.normal(0, 1000, n)
    yield np.array([0.0, 0.0, 0.0, 1.0, 0.0])
    yield np.array([-1.0, 1.0])
    yield np.array([1e-300, 1e300, 2.5])
    yield np.full(10, 3.25)


def describe(x):
    return {
        "values": plain(x),
        "median": float(np.median(x)),
        "quantiles": [[q, float(np.quantile(x, q))] for q in (0, 0.05, 0.25, 0.5, 0.77, 0.95, 1)],
        "mad": float(stats.median_abs_deviation(x)),
    }


def pairs():
    """Two samples each, with and without ties."""
    for n, m in ((1, 1), (1, 7), (3, 3), (5, 5), (5, 12), (10, 10), (15, 15), (20, 11), (50, 50), (60, 51)):
        for shift in (0, 0.5, 2):
            yield RNG.normal(0, 1, n), RNG.normal(shift, 1, m)
            # Rounded: some values are equal.
            yield np.round(RNG.normal(0, 1, n), 1), np.round(RNG.normal(shift, 1, m), 1)
    yield np.array([0.0] * 8 + [1.0, 2.0]), np.array([0.0] * 5 + [1.0] * 5)
    yield np.full(10, 1.0), np.full(10, 2.0)


def rank_test(x, y):
    ties = len(np.unique(np.concatenate([x, y]))) < len(x) + len(y)
    result = stats.mannwhitneyu(x, y, alternative="two-sided", method="asymptotic")
    entry = {"first": plain(x), "second": plain(y), "u": float(result.statistic), "asymptotic": float(result.pvalue)}
    if not ties:
        exact = stats.mannwhitneyu(x, y, alternative="two-sided", method="exact")
        entry["exact"] = float(exact.pvalue)
    return entry


def signed():
    """Differences of pairs: all different, and then with ties and zeros, counted by brute force."""
    for n in (1, 2, 5, 9, 10, 15, 40, 60):
        for shift in (0, 0.4):
            yield RNG.normal(shift, 1, n)
    for n in (4, 8, 10, 12):
        yield np.round(RNG.normal(0.5, 1, n), 0)


def signed_rank(d):
    entry = signed_rank_p(d)
    # All on one side: nothing of the same sizes can have less.
    of_sizes = signed_rank_p(np.abs(d))
    entry["least"] = of_sizes["asymptotic"] or of_sizes["exact"]
    return entry


def signed_rank_p(d):
    kept = d[d != 0]
    entry = {"values": plain(d), "asymptotic": None, "exact": None}
    if len(np.unique(np.abs(kept))) == len(kept):
        if len(kept) > 50:
            entry["asymptotic"] = float(stats.wilcoxon(kept, correction=True, method="asymptotic").pvalue)
        entry["exact"] = float(stats.wilcoxon(kept, method="exact").pvalue)
    else:
        ranks = stats.rankdata(np.abs(kept))
        up = float(ranks[kept > 0].sum())
        greater = max(up, float(ranks.sum()) - up)
        sums = [float(np.dot(ranks, signs)) for signs in itertools.product((0, 1), repeat=len(kept))]
        entry["exact"] = min(1.0, 2 * float(np.mean(np.array(sums) >= greater - 1e-9)))
    return entry


def families():
    yield np.array([0.04])
    yield np.array([0.01, 0.04, 0.03, 0.005])
    yield np.array([0.2, 0.2, 0.2, 1.0])
    for n in (7, 30, 100):
        yield RNG.random(n) ** 3


def median_bootstrap(x):
    """The distribution of the bootstrap's medians, by scipy's own drawing: agreement is to its noise."""
    draws = stats.bootstrap(
        (x,), np.median, n_resamples=200_000, method="percentile", rng=np.random.default_rng(1)
    ).bootstrap_distribution
    levels = (0.01, 0.1, 0.25, 0.6, 0.9, 0.98)
    return {"values": plain(x), "at_most": [[float(v), float(np.mean(draws <= v + 1e-9))] for v in np.quantile(draws, levels)]}


def ends(n):
    """Which share of the bootstrap's medians lies beyond each end at 95 %: the expanded percentile."""
    t = stats.t.ppf(0.025, n - 1)
    return [n, float(stats.norm.cdf(t * np.sqrt(n / (n - 1))))]


document = {
    "scipy": scipy.__version__,
    "statsmodels": statsmodels.__version__,
    "numpy": np.__version__,
    "samples": [describe(x) for x in samples()],
    "rank_tests": [rank_test(x, y) for x, y in pairs()],
    "signed_rank_tests": [signed_rank(d) for d in signed()],
    "holm": [[plain(p), plain(multipletests(p, method="holm")[1])] for p in families()],
    "bootstraps": [median_bootstrap(RNG.lognormal(0, 0.5, n)) for n in (2, 5, 10, 13, 20)],
    "ends": [ends(n) for n in (2, 3, 5, 10, 20, 100)],
}


def lines(value):
    """One entry a line."""
    if not isinstance(value, list):
        return json.dumps(value)
    return "[\n" + ",\n".join(json.dumps(entry) for entry in value) + "\n]"


print("{\n" + ",\n".join(f"{json.dumps(key)}: {lines(value)}" for key, value in document.items()) + "\n}")
