"""The chart of the published networks: find a network by its name, or choose by family and training data."""

from __future__ import annotations

import pandas as pd
from IPython.display import HTML

from in9.book.blocks import rendered
from in9.plots.tables import download

CHART_WIDTH, CHART_HEIGHT = 640, 420  # of the drawing, in pixels
CHART_MARGINS = (56, 12, 12, 56)
"""Beside the axes, in pixels: left, right, above and below."""


def chart(networks: pd.DataFrame) -> HTML:
    """A drawing with a point for each network, and the line through those that are chosen; nothing is fetched.

    ``networks`` is as ``in9.experiments.benchmark_progress.published_networks`` gives it. Without JavaScript all
    points and the line through all of them stand still.
    """
    left, right, above, below = CHART_MARGINS
    table = networks.sort_values("imagenet", kind="stable")
    x, y = table["imagenet"].to_numpy(), table["value"].to_numpy()
    ticks = {"x": range(int(x.min()) // 10 * 10, int(x.max()) + 10, 10), "y": range(0, int(y.max()) + 5, 5)}
    spans = {axis: (min(marks), max(marks)) for axis, marks in ticks.items()}

    def across(accuracy: float) -> float:
        low, high = spans["x"]
        return round(left + (accuracy - low) / (high - low) * (CHART_WIDTH - left - right), 1)

    def down(gap: float) -> float:
        low, high = spans["y"]
        return round(CHART_HEIGHT - below - (gap - low) / (high - low) * (CHART_HEIGHT - above - below), 1)

    points = [
        {"name": row.model, "family": row.family, "data": row.data.partition(" (")[0], "setup": row.setup}
        | {"accuracy": row.imagenet, "gap": row.value, "x": across(row.imagenet), "y": down(row.value)}
        for row in table.itertuples()
    ]
    facts = {"points": points, "spans": spans, "box": [left, CHART_WIDTH - right, above, CHART_HEIGHT - below]}
    choices = {kind: sorted({str(point[kind]) for point in points}) for kind in ("family", "data")}
    box = {
        "width": CHART_WIDTH,
        "height": CHART_HEIGHT,
        "left": left,
        "right": CHART_WIDTH - right,
        "top": above,
        "bottom": CHART_HEIGHT - below,
    }
    html = rendered("published", facts=facts, choices=choices, box=box, ticks=ticks, across=across, down=down)
    return HTML(html + download(table, "published_networks.csv"))
