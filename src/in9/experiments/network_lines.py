"""Lines through networks: how accuracy on a test set goes with accuracy on ImageNet (paper, figure 8)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from in9.evaluation.clusters import LEVEL
from in9.evaluation.estimates import Estimate
from in9.experiments.benchmark_progress import GAP, top1_of
from in9.scoring.score import STRICT, Score

FEWEST_NETWORKS = 3  # for a line: any line through two points is perfect


def fits(frame: pd.DataFrame, scored: Sequence[Score] = (), rule: str = STRICT) -> pd.DataFrame:
    """Least squares of value on ImageNet accuracy for each test set: test, networks, slope, low, high, r.

    Slopes are in points per point of ImageNet accuracy; low and high are the ends of the 95 % interval. It says how the
    networks scatter about the line and, where ``scored`` has the scores by that rule that the frame is of, also how the
    slope would change with other test images, which all networks share. A test set with fewer than three networks, or
    whose networks are all equally good on ImageNet, has no row; r is NaN where all values are the same.
    """
    rows = []
    for test, part in _lines(frame):
        line = stats.linregress(part["imagenet"], part["value"])
        half = float(np.hypot(_quantile(len(part)) * _error(line, part), _half_width_by_images(scored, test, rule)))
        rows.append((test, len(part), line.slope, line.slope - half, line.slope + half, line.rvalue))
    return pd.DataFrame(rows, columns=["test", "networks", "slope", "low", "high", "r"])


def _half_width_by_images(scored: Sequence[Score], test: str, rule: str) -> float:
    """Half of the 95 % interval of a test set's slope over other test images, for the same networks; 0 without scores.

    The slope is a sum of the networks' accuracies, each with a weight that follows from its accuracy on ImageNet.
    """
    if not scored:
        return 0.0
    first, _, second = ("mixed_same", "", "mixed_rand") if test == GAP else test.partition(" minus ")
    apart = np.array([top1_of(score.record) for score in scored])
    apart -= apart.mean()
    terms = []
    for score, weight in zip(scored, apart / (apart**2).sum(), strict=True):
        models = score.predictions(rule)
        terms += [models.term(first, weight)] + ([models.term(second, -weight)] if second else [])
    slope = models.sum_of(terms, first).in_percent()
    return (slope.high - slope.low) / 2


def slopes(frame: pd.DataFrame, scored: Sequence[Score] = (), rule: str = STRICT) -> dict[str, Estimate]:
    """The slopes of ``fits`` by test set, as estimates: a hundredth, so that their text is in points per point."""
    lines = fits(frame, scored, rule).itertuples()
    return {fit.test: Estimate(fit.slope / 100, fit.low / 100, fit.high / 100) for fit in lines}


def bands(frame: pd.DataFrame, points: int = 41) -> pd.DataFrame:
    """The lines of ``fits`` to plot, from the worst to the best network: test, imagenet, value, low, high.

    Low and high are the ends of the line's 95 % interval at that ImageNet accuracy.
    """
    parts = []
    for test, part in _lines(frame):
        x = part["imagenet"].to_numpy()
        line = stats.linregress(x, part["value"])
        across = np.linspace(x.min(), x.max(), points)
        # The line turns about the mean of x, where its height has the standard error of a mean.
        error = _error(line, part) * np.sqrt(np.var(x) + (across - x.mean()) ** 2)
        value, half = line.intercept + line.slope * across, _quantile(len(x)) * error
        parts.append(pd.DataFrame({"test": test, "imagenet": across, "value": value, "low": value - half,
                                   "high": value + half}))  # fmt: skip
    if not parts:  # numbers all the same, so that it goes with others
        return pd.DataFrame({"test": [], "imagenet": [], "value": [], "low": [], "high": []}).astype({"test": str})
    return pd.concat(parts, ignore_index=True)


def _lines(frame: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """The rows of each test set that a line can be fitted to."""
    for test, part in frame.groupby("test", sort=False):
        if len(part) >= FEWEST_NETWORKS and part["imagenet"].nunique() > 1:
            yield str(test), part.astype({"imagenet": float, "value": float})


def _error(line: Any, part: pd.DataFrame) -> float:
    """The standard error of a slope; SciPy has none where all values are the same."""
    return float(line.stderr) if part["value"].nunique() > 1 else 0.0


def _quantile(networks: int) -> float:
    """How many standard errors the interval reaches to either side, with two parameters fitted."""
    return float(stats.t.ppf(0.5 + LEVEL / 2, networks - 2))
