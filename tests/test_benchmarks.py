"""The benchmarks: that they run and say everything, that both sides do the same work, and that the sums are right.

Nothing here depends on how fast this machine is.
"""

from __future__ import annotations

import importlib
import os
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch

from in9.data.build import build
from in9.data.dataset import Dataset
from in9.data.export import export
from in9.data.sources import open_source
from in9.data.variants import VARIANTS, Pool, load_pool
from in9.errors import In9Error
from in9.evaluation.adversarial.pairs import all_pairs, start_search, untargeted
from in9.evaluation.records import read

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
baselines, photographs, promises, run, scaling = (
    importlib.import_module(name) for name in ("baselines", "photographs", "promises", "run", "scaling")
)

pytestmark = pytest.mark.usefixtures("one_thread")
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def pool(dataset: Dataset) -> Pool:
    return load_pool(dataset, "test")


@pytest.fixture(scope="module")
def files(dataset: Dataset, tmp_path_factory) -> list[Path]:
    """Only-BG-T of every test image, in the order of the authors' readers."""
    out = export(dataset, tmp_path_factory.mktemp("files") / "out", progress=False)
    return sorted((out / "only_bg_t" / "val").glob("*/*.png"))


# --- the whole script -------------------------------------------------------------------------------------------


def test_a_quick_run_has_a_row_for_every_promise(tmp_path: Path, monkeypatch, capsys) -> None:
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("IN9_HOME", str(tmp_path / "home"))
    record = read(run.main(["--quick", "--device", "cpu", "--workers", "1", "--out", str(tmp_path / "out")]))
    assert (record.kind, record.name) == ("benchmark", "promises") and len(record.data) == 16
    assert record.settings["sizes"] == asdict(promises.QUICK)
    assert record.provenance["device"] == "cpu" and record.provenance["threads"] == 1
    rows = {row["name"]: row for row in record.results["rows"]}
    assert list(rows) == [one.name for one in promises.PROMISES]
    printed = capsys.readouterr().out
    for name, row in rows.items():
        assert row["what"] in printed and row["verdict"] in printed
        if name.startswith("book"):
            assert row["verdict"] == run.NOT_MEASURED and row["value"] is None
        else:
            assert row["low"] <= row["value"] <= row["high"] and row["value"] > 0 and row["rounds"] == 1
            assert row["verdict"] == (run.KEPT if row["value"] >= row["asked"] else run.BROKEN)
    assert rows["evaluation"]["detail"]["images"] % len(VARIANTS) == 0
    for name in ("challenge", "challenge_sturdy"):
        detail = rows[name]["detail"]
        assert detail["must_be_met"] <= detail["ours_composites"] <= detail["pairs"]
        assert detail["must_be_met"] <= detail["theirs_composites"] and detail["at_most"] > 0
        assert f"at most {detail['at_most']:.1f} x can be had" in printed


def test_one_promise_alone_is_measured_and_the_others_are_named(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("IN9_HOME", str(tmp_path / "home"))
    record = read(run.main(["--quick", "--device", "cpu", "--only", "training"]))
    assert [path.parent for path in tmp_path.rglob("*.json")] == [tmp_path / "home" / "runs" / "records" / "bench"]
    verdicts = {row["name"]: row["verdict"] for row in record.results["rows"]}
    assert len(verdicts) == len(promises.PROMISES)
    assert {name for name, verdict in verdicts.items() if verdict != run.NOT_MEASURED} == {"training"}


def test_a_promise_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(In9Error, match=r"no promise 'trainnig'\. Did you mean 'training'"):
        run.main(["--quick", "--only", "trainnig"])


# --- the figures ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_a_figure_is_the_median_of_the_ratios_of_neighbours(monkeypatch, device: str) -> None:
    """On clocks of our own: theirs takes 2 s a thing, ours 1, 0.5 and 0.25; the first round, much slower, is left out.

    The core works half of the time at ours. A device that is no CPU stands for a GPU.
    """
    now = {"wall": 0.0, "core": 0.0}

    class Clock:
        @staticmethod
        def perf_counter() -> float:
            return now["wall"]

        @staticmethod
        def process_time() -> float:
            return now["core"]

    def pass_time(wall: float, core: float) -> None:
        now["wall"] += wall
        now["core"] += core

    order, waits = [], iter([100.0, 1.0, 0.5, 0.25])

    def theirs() -> int:
        order.append("theirs")
        pass_time(20.0, 20.0)
        return 10

    def ours() -> int:
        order.append("ours")
        wait = next(waits)
        pass_time(wait, wait / 2)
        return 1

    monkeypatch.setattr(promises, "time", Clock)
    figure = promises.in_turn(theirs, ours, 3, torch.device(device), {"images": 7})
    assert order == ["theirs", "ours"] * 4
    times = 2 if device == "cpu" else 1
    assert (figure.low, figure.value, figure.high) == pytest.approx((3 * times, 4 * times, 6 * times))
    assert figure.detail["by_the_wall_clock"] == pytest.approx(4) and figure.detail["images"] == 7
    assert figure.detail["theirs_per_second"] == pytest.approx(0.5)
    assert figure.detail["ours_per_second"] == pytest.approx(2 * times)
    waits = iter([1.0, 1.0])
    assert promises.in_turn(theirs, ours, 1, CPU, alone=False).value == pytest.approx(2)  # by the wall clock


@pytest.mark.parametrize(
    ("unit", "value", "verdict"),
    [("x", 0.9, "kept"), ("x", 0.89, "not kept"), ("minutes", 0.9, "kept"), ("minutes", 0.91, "not kept")],
)
def test_verdicts(unit: str, value: float, verdict: str) -> None:
    promise = promises.Promise("name", "what", "against", 0.9, unit)
    assert run.verdict(promise, promises.Figure(value, value, value, 1, {})) == verdict
    assert run.verdict(promise, None) == "not measured"


# --- both sides do the same -------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=pytest.mark.skipif(os.name == "nt", reason="no fork"))])
def test_the_references_challenge_finds_who_ours_finds(pool: Pool, network, files: list[Path], workers: int) -> None:
    rows = np.arange(len(pool))[:: 6 if workers else 1]
    found, composites = baselines.reference_challenge(network, pool, rows, files, workers)
    expected = untargeted(all_pairs(network, pool, rows, np.arange(len(pool))), pool.labels.numpy()[rows])
    assert np.array_equal(found, expected)
    search, answer = start_search(network, pool, rows, np.arange(len(pool)))
    assert np.array_equal(search.run(answer, "untargeted", 64), expected) and expected.any()
    for number in (search.composites, composites):
        assert len(rows) <= number <= len(rows) * len(pool)


def test_the_reference_leaves_at_the_end_of_the_batch_with_the_first_error(pool: Pool, files: list[Path]) -> None:
    """Right on the first 32 backgrounds of 36 and wrong on the rest, or wrong at once."""
    asked: list[int] = []

    class Late(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            asked.append(len(images))
            own = images.new_zeros(len(images), 9)
            own[:, 0 if len(asked) % 2 else 1] = 1
            return own

    assert pool.labels[0] == 0
    found, composites = baselines.reference_challenge(Late(), pool, np.array([0]), files)
    assert found.tolist() == [True] and asked == [32, 4] and composites == 36
    asked.append(0)
    found, composites = baselines.reference_challenge(Late(), pool, np.array([0]), files)
    assert found.tolist() == [True] and asked == [32, 4, 0, 32] and composites == 32


def test_the_bare_forward_pass_gives_the_networks_own_answers(pool: Pool, network) -> None:
    ready = baselines.network_input(network, pool.images)
    with torch.inference_mode():
        assert torch.allclose(network.network(ready), network(pool.images), atol=1e-5)
    assert baselines.forward(network, ready.split(10), 36) == 36
    assert baselines.forward(network, ready.split(10), 45) == 46  # goes round again


def test_the_bare_training_step_learns_its_batch(pool: Pool) -> None:
    recipe = promises.Bench(promises.QUICK, CPU, Path(), 1).recipe("original", 1)
    steps = baselines.training_step(recipe, pool)
    assert steps(100) == 96 and steps(5) == 32


def test_photographs_are_built_into_a_collection_with_grabcuts_masks(tmp_path: Path) -> None:
    drawn = open_source("synthetic", per_class=12, image_size=48)
    source = photographs.photographs(drawn, tmp_path / "files")
    examples = source.examples()
    assert [one.id for one in examples] == sorted(f"{one.id}.jpg" for one in drawn.examples())
    photo, original = source.read(examples[0]), drawn.read(drawn.examples()[12])
    assert examples[0].id == f"{drawn.examples()[12].id}.jpg" and photo.mask is None and photo.box == original.box
    assert np.abs(photo.image.astype(int) - original.image).mean() < 12  # a JPEG of it
    dataset = build(source, tmp_path / "out", workers=1, progress=False)
    assert len(dataset.table) == 108 and dataset.masks.any((1, 2)).mean() > 0.9
    assert baselines.grabcut_alone([(source.read(one), one.id) for one in examples[:5]]) == 5


# --- how cost grows ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0, 2.0])
def test_the_exponent_of_made_up_costs(power: float) -> None:
    numbers = np.array([100, 200, 400, 800])
    assert scaling.exponent(numbers, 3.0 * numbers**power) == pytest.approx(power)
    noisy = 3.0 * numbers**power * [1.1, 0.9, 1.1, 0.9]
    assert 0 < abs(scaling.exponent(numbers, noisy) - power) < 0.15


def test_fits_are_made_from_the_rows_of_their_work() -> None:
    rows = [{"work": "build", "number": n, "seconds": 2.0 * n, "megabytes": 5.0} for n in (1, 10, 100)]
    rows += [{"work": "challenge", "number": n, "seconds": float(n**2), "megabytes": 1.0 * n} for n in (1, 10, 100)]
    first, second = scaling.fit("build", rows), scaling.fit("challenge", rows)
    assert (first["work"], first["seconds"]) == ("build", pytest.approx(1))
    assert first["megabytes"] == pytest.approx(0, abs=1e-9)
    assert (second["seconds"], second["megabytes"]) == (pytest.approx(2), pytest.approx(1))


def test_the_table_and_the_record_of_scaling_hold_every_size(tmp_path: Path, monkeypatch, capsys) -> None:
    def grown(work: str, number: int, folder: object) -> dict[str, float]:
        costs = {"seconds": number / 9, "core_seconds": float(number**2), "megabytes": 5.0}
        return costs | ({"worker_megabytes": 7.0} if work == "build" else {})

    monkeypatch.setattr(scaling, "in_a_process", grown)
    record = read(scaling.main(["--only", "build", "challenge", "--out", str(tmp_path)]))
    assert [(row["work"], row["number"]) for row in record.results["rows"]] == [
        (work, number) for work in ("build", "challenge") for number in scaling.SIZES[work]
    ]
    heading, *rows, _, _, build, challenge, _ = capsys.readouterr().out.splitlines()
    assert heading.split()[0] == "images" and len(rows) == 8
    assert rows[0].split() == ["build", "576", "64.00", "331,776.00", "5.00", "7.00"]
    assert build.split() == ["build", "1.00", "2.00", "0.00", "0.00"]
    assert challenge.split()[:3] == ["challenge", "1.00", "2.00"] and len(challenge.split()) == 4


def test_every_kind_of_work_has_sizes_and_costs_something(tmp_path: Path) -> None:
    assert set(scaling.SIZES) | {"prepare"} == set(scaling.WORK)
    assert all(len(sizes) == 4 and list(sizes) == sorted(sizes) for sizes in scaling.SIZES.values())
    scaling.WORK["prepare"](144, tmp_path)
    for work, number in (("build", 108), ("evaluation", 45), ("challenge", 18), ("all_pairs", 30)):
        costs = scaling.cost(work, number, tmp_path)
        assert costs["seconds"] > 0 and costs["core_seconds"] >= 0 and costs["megabytes"] > 1
        assert ("worker_megabytes" in costs) == (work == "build")
    assert len(Dataset(tmp_path / "108").table) == 108
