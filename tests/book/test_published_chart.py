"""The chart of the published networks: what it holds, and that a strange name cannot act."""

from __future__ import annotations

import json
import re

import numpy as np
import pandas as pd

from in9.book.published_chart import chart
from in9.experiments.benchmark_progress import published_networks


def facts_of(html: str) -> dict:
    (text,) = re.findall(r'<script type="application/json">(.*?)</script>', html, re.DOTALL)
    return json.loads(text)


def test_a_point_for_each_network_where_its_numbers_are() -> None:
    networks = published_networks()
    html = chart(networks).data
    facts = facts_of(html)
    assert sorted(point["name"] for point in facts["points"]) == sorted(networks["model"])
    assert html.count("<circle class=") == len(networks)
    assert not re.search(r'(src|href)=(?!"data:text/csv;base64,)|https?://', html), "it asks nobody"
    frame = pd.DataFrame(facts["points"])
    left, right, above, below = facts["box"]
    assert frame["x"].between(left, right).all() and frame["y"].between(above, below).all()
    for numbers, places, sign in (("accuracy", "x", 1), ("gap", "y", -1)):
        assert np.corrcoef(frame[numbers], frame[places])[0, 1] * sign > 0.9999
    low, high = facts["spans"]["y"]
    heights = below - (frame["gap"] - low) / (high - low) * (below - above)
    assert np.allclose(heights, frame["y"], atol=0.06)


def test_a_name_from_a_table_is_text() -> None:
    networks = published_networks().head(3).assign(model="</script><img src=x onerror=alert(1)>")
    html = chart(networks).data
    assert "<img" not in html and len(facts_of(html)["points"]) == 3
