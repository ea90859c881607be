"""Measuring a whole profile: nothing twice, kept where the book reads it, and compared with a new training."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pytest
from test_experiments import PROFILE, furnished

from in9.data.dataset import Dataset
from in9.errors import In9Error
from in9.evaluation.records import Store
from in9.experiments import measuring
from in9.experiments.measuring import keep, measure, parts_named, rerun
from in9.experiments.verdicts import NO_RECORD, findings
from in9.study import study as study_module
from in9.study.study import Study
from in9.study.workspace import Workspace
from in9.training.recipe import TRAINING_SETS

TRIAL = replace(
    PROFILE,
    architectures=("small_resnet_w16_b1_pool",),
    adversarial_foregrounds=1,
    adversarial_backgrounds=1,
    saliency_per_class=1,
    trials=MappingProxyType({"smoother": {"label_smoothing": 0.1}}),
)


def open_study(workspace: Workspace, compute: bool = True, recorded: bool = False) -> Study:
    return Study(TRIAL, device="cpu", jobs=1, workspace=workspace, progress=False, compute=compute, recorded=recorded)


@pytest.fixture(scope="module")
def said() -> list[str]:
    return []


@pytest.fixture(scope="module")
def workspace(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory, said: list[str]) -> Workspace:
    """A project in which everything was measured."""
    workspace = furnished(Workspace(tmp_path_factory.mktemp("measuring")), dataset)
    measure(open_study(workspace), say=said.append)
    return workspace


@pytest.fixture
def idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing may be trained or measured."""

    def refuse(*arguments: object, **options: object) -> Iterator[object]:
        raise AssertionError("this should have been found among the records")

    monkeypatch.setattr(study_module, "run_units", refuse)


def copy_of(workspace: Workspace, tmp_path: Path) -> Workspace:
    shutil.copytree(workspace.root, tmp_path / "project")
    return Workspace(tmp_path / "project")


def test_every_part_is_measured_once(workspace: Workspace, said: list[str], idle: None) -> None:
    assert [line.split(":")[0] for line in said] == [f"round {place}" for place in range(1, len(said) + 1)]
    records = [path.name for path in (workspace.runs / "records").glob("*/*.json")]
    measured = [name for name in records if not name.startswith("dataset")]
    assert sum(int(line.split()[2]) for line in said) == len(measured) == len(records) - 1
    for name, part in measuring.PARTS.items():
        assert len(part(open_study(workspace, compute=False))), name
        again: list[str] = []
        measure(open_study(workspace), [name], again.append)
        assert again == ["nothing to measure: every record is there"], name


def test_the_first_round_trains_every_network_once_and_the_second_measures_the_rest(
    dataset: Dataset, tmp_path: Path
) -> None:
    workspace = furnished(Workspace(tmp_path), dataset)
    parts = parts_named(["matrix", "calibration", "adversarial", "remedies"])
    first = measuring._planned(open_study(workspace), parts)
    trained = [unit.weights(Dataset(unit.dataset)) for unit in first]
    assert len(set(trained)) == len(trained)
    assert {unit.recipe.train_on for unit in first} == {*TRAINING_SETS, "original+mixed_rand"}
    assert not any(unit.recipe.head_on for unit in first)
    for _ in open_study(workspace).run(first, "trainings"):
        pass
    second = measuring._planned(open_study(workspace), parts)
    assert {unit.kind for unit in second} == {"adversarial", "more_draws", "evaluation"}
    assert all(unit.recipe.head_on or unit.weights(Dataset(unit.dataset)).is_file() for unit in second)
    for _ in open_study(workspace).run(second, "the rest"):
        pass
    assert measuring._planned(open_study(workspace), parts) == []


def test_every_claim_can_then_be_judged(workspace: Workspace, idle: None) -> None:
    reasons = {one.reason for one in findings(open_study(workspace, compute=False)) if one.reason}
    assert not any(reason.startswith("run chapter") for reason in reasons if "chapter 08" not in reason), reasons


def test_one_part(dataset: Dataset, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    shutil.copytree(dataset.path, workspace.data / "trial")
    said: list[str] = []
    measure(open_study(workspace), ["finer"], said.append)
    assert len(said) == 1 and said[0].startswith("round 1: 2 new records in ")
    with pytest.raises(In9Error, match=r"matrx.*matrix"):
        parts_named(["matrx"])


def test_kept_records_are_all_that_the_book_needs(workspace: Workspace, tmp_path: Path, idle: None) -> None:
    here = copy_of(workspace, tmp_path)
    before = {path.name for path in keep(open_study(here, compute=False))}
    assert before == {path.name for path in (here.runs / "records").glob("*/*.json")}
    assert keep(open_study(here, compute=False)) == []
    shutil.rmtree(here.data)
    shutil.rmtree(here.runs)
    recorded = open_study(here, recorded=True)
    for part in measuring.PARTS.values():
        assert part(recorded) is not None
    assert NO_RECORD not in {one.reason for one in findings(recorded) if one.claim.chapter != "08"}


def test_keeping_removes_what_nobody_reads_and_leaves_what_was_not_measured_here(
    workspace: Workspace, tmp_path: Path
) -> None:
    here = copy_of(workspace, tmp_path)
    keep(open_study(here, compute=False))
    (theirs,) = (here.committed / "trial").glob("adversarial_in9l_*.json")
    for path in (here.runs / "records" / "trial" / theirs.name, here.committed / "trial" / theirs.name):
        content = path.read_text()
        path.unlink()  # the part is incomplete now; its other records are still read
    assert keep(open_study(here, compute=False)) == []
    theirs.write_text(content)
    record = Store(here.committed / "trial").all("evaluation")[0]
    stale = Store(here.committed / "trial").write(
        replace(record, settings={**record.settings, "options": {"test_seed": 99}})
    )
    assert keep(open_study(here, compute=False)) == [stale]
    assert theirs.is_file() and not stale.is_file()
    with pytest.raises(ValueError, match="compute=False"):
        keep(open_study(here))


def test_a_rerun_agrees_with_its_record_and_not_with_another(workspace: Workspace, tmp_path: Path) -> None:
    here = copy_of(workspace, tmp_path)
    keep(open_study(here, compute=False))
    frame = rerun(open_study(here))
    assert list(frame["quantity"])[-1] == "gap" and len(frame) == 10
    assert frame["agrees"].all()
    store = Store(here.committed / "trial")
    own = open_study(here).evaluations(open_study(here).recipes(["original"]))[0]
    labels = own.results["labels"]["in9"]
    predictions = own.results["predictions"] | {"mixed_same": labels, "mixed_rand": "".join(map(_next, labels))}
    store.write(replace(own, results=own.results | {"predictions": predictions}))
    agrees = rerun(open_study(here)).set_index("quantity")["agrees"]
    assert not agrees["mixed_same"] and not agrees["gap"] and agrees["original"]


def test_a_rerun_is_of_the_same_photographs_or_of_the_same_drawings(workspace: Workspace, tmp_path: Path) -> None:
    here = copy_of(workspace, tmp_path)
    keep(open_study(here, compute=False))
    store = Store(here.committed / "trial")
    (own,) = open_study(here).evaluations(open_study(here).recipes(["original"]))
    store.write(replace(own, data="another rounding"))
    assert rerun(open_study(here))["agrees"].all()  # another processor rounds a drawing otherwise
    photographs = open_study(here)
    photographs.profile = replace(TRIAL, real=True)
    with pytest.raises(In9Error, match=r"test images here \(.*\) are not those of the record \(another rounding\)"):
        rerun(photographs)
    labels = own.results["labels"]["in9"]
    others = {"in9": labels[1:] + labels[0], "in9l": own.results["labels"]["in9l"]}
    store.write(replace(own, results=own.results | {"labels": others}))
    with pytest.raises(In9Error, match=r"test images here \(.*\) are not those of the record"):
        rerun(open_study(here))


def _next(digit: str) -> str:
    return str((int(digit) + 1) % 9)


def test_a_rerun_needs_a_record_and_another_seed(workspace: Workspace, tmp_path: Path) -> None:
    with pytest.raises(In9Error, match="no record of training on original"):
        rerun(open_study(workspace))
    here = copy_of(workspace, tmp_path)
    keep(open_study(here, compute=False))
    with pytest.raises(In9Error, match="has seed 0 already"):
        rerun(open_study(here), seed=0)
