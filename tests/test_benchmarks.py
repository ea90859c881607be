"""The benchmarks run and say what they measured; how fast they were is nobody's test."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from in9.adversarial import all_pairs, untargeted
from in9.collection import Collection
from in9.export import export
from in9.variants import load_pool

HOME = Path(__file__).parents[1] / "benchmarks"

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(HOME))


def test_every_promise_gets_a_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Those that are measured have a positive figure within its spread, and a verdict that follows from it."""
    import run
    from promises import PROMISES

    from in9.records import Store

    path = run.main(
        ["--quick", "--device", "cpu", "--out", str(tmp_path), "--only", "all_pairs", "challenge", "variants"]
    )
    (record,) = Store(tmp_path).all("benchmark")
    assert path.parent == tmp_path and record.settings["quick"]
    rows = {row["name"]: row for row in record.results["rows"]}
    assert list(rows) == [one.name for one in PROMISES]
    for name in ("all_pairs", "challenge", "variants"):
        row = rows.pop(name)
        assert 0 < row["low"] <= row["value"] <= row["high"] < math.inf
        assert row["verdict"] == ("kept" if row["value"] >= row["asked"] else "not kept")
    assert {row["verdict"] for row in rows.values()} == {"not measured"}
    assert capsys.readouterr().out.count("not measured") == len(rows)


def test_an_unknown_promise_is_named() -> None:
    import run

    from in9.errors import In9Error

    with pytest.raises(In9Error, match="Did you mean 'variants'"):
        run.main(["--only", "varaints"])


def test_the_reference_algorithm_finds_the_same_foregrounds(
    collection: Collection, network: torch.nn.Module, tmp_path: Path
) -> None:
    import baselines

    pool = load_pool(collection, "test")
    rows = np.arange(len(pool))
    folder = export(collection, tmp_path / "exported", progress=False) / "only_bg_t" / "val"
    found, composites = baselines.reference_challenge(network.eval(), pool, rows, sorted(folder.glob("*/*.png")))
    matrix = all_pairs(network.eval(), pool, rows, rows)
    assert found.tolist() == untargeted(matrix, pool.labels.numpy()).tolist()
    assert len(rows) * 32 <= composites <= len(rows) ** 2


def test_the_exponent_of_a_power_law_is_found() -> None:
    from scaling import exponent

    numbers = [100, 200, 400, 800]
    assert exponent(numbers, [3 * one**1.5 for one in numbers]) == pytest.approx(1.5)
    assert exponent(numbers, [7.0] * 4) == pytest.approx(0)
