"""Measuring a whole profile: nothing twice, kept where the book reads it, and compared with a new training."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import trial_study
from trial_study import PROFILE, furnished, records_of

from in9.data.dataset import Dataset
from in9.errors import In9Error
from in9.evaluation.records import Record, Store
from in9.experiments.measuring import EXPERIMENTS, experiments_named, experiments_of, keep, measure, rerun
from in9.experiments.verdicts import NO_RECORD, judge_all
from in9.study.engines import ENGINES, run_in_processes
from in9.study.jobs import Job, evaluations
from in9.study.workspace import Workspace
from in9.training.recipe import TRAINING_SETS

TRIAL = replace(
    PROFILE,
    architectures=("small_resnet_w16_b1_pool",),
    adversarial_foregrounds=1,
    adversarial_backgrounds=1,
    saliency_per_class=1,
    trials={"smoother": {"label_smoothing": 0.1}},
)
ON_ORIGINAL = evaluations(TRIAL, TRIAL.recipes_on(["original"]))
open_study = partial(trial_study.open_study, profile=TRIAL)


@pytest.fixture(scope="module")
def said() -> list[str]:
    return []


@pytest.fixture(scope="module")
def workspace(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory, said: list[str]) -> Workspace:
    """A project in which everything was measured."""
    workspace = furnished(Workspace(tmp_path_factory.mktemp("measuring")), dataset)
    measure(open_study(workspace), experiments_named(), said.append)
    return workspace


def copy_of(workspace: Workspace, tmp_path: Path) -> Workspace:
    shutil.copytree(workspace.root, tmp_path / "project")
    return Workspace(tmp_path / "project")


def test_every_experiment_is_measured_once(workspace: Workspace, said: list[str], idle: None) -> None:
    assert [line.split(":")[0] for line in said] == ["round 1", "round 2"]
    records = list(workspace.measured.glob("*/*.json"))
    assert sum(int(line.split()[2]) for line in said) == len(records)
    study = open_study(workspace, compute=False)
    for name, experiment in EXPERIMENTS.items():
        assert experiment.read(study).keys() == experiment.groups(TRIAL).keys(), name
        assert study.missing(experiment.jobs(TRIAL)) == [], name
        again: list[str] = []
        measure(open_study(workspace), [experiment], again.append)
        assert again == ["nothing to measure: every record is there"], name
    assert len(list(workspace.measured.glob("*/*.json"))) == len(records)


@pytest.fixture
def rounds(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[Job], set[Path]]]:
    """What the engine is given in each round: the jobs, and the weights that are there when it begins."""
    given: list[tuple[list[Job], set[Path]]] = []

    def watched(jobs: list[Job], workspace: Workspace, device: str, workers: int) -> Iterator[tuple[Job, Record]]:
        given.append((list(jobs), set(workspace.trained.glob("*.safetensors"))))
        yield from run_in_processes(jobs, workspace, device, workers)

    monkeypatch.setitem(ENGINES, "local", watched)
    return given


def test_the_first_round_trains_every_network_once_and_the_second_measures_the_rest(
    dataset: Dataset, tmp_path: Path, rounds: list[tuple[list[Job], set[Path]]]
) -> None:
    workspace = furnished(Workspace(tmp_path), dataset)
    experiments = experiments_named(["matrix", "calibration", "adversarial", "remedies"])
    said: list[str] = []
    measure(open_study(workspace), experiments, said.append)
    (first, before), (second, between) = rounds
    assert [int(line.split()[2]) for line in said] == [len(first), len(second)]
    trained = [job.weights(workspace) for job in first]
    assert before == set() and set(trained) == between and len(between) == len(trained)
    assert {job.recipe.train_on for job in first} == {*TRAINING_SETS, "original+mixed_rand"}
    assert not any(job.recipe.head_on for job in first)
    assert not first[0].recipe.uses_masks and all(job.recipe.uses_masks for job in first[1:])  # the largest set starts
    assert {job.kind for job in second} == {"adversarial", "evaluation"}
    assert all(job.weights(workspace) in between for job in second if not job.recipe.head_on)
    wanted = {job.key for experiment in experiments for job in experiment.jobs(TRIAL)}
    assert sorted(wanted) == sorted(job.key for job in (*first, *second))
    measure(open_study(workspace), experiments, said.append)
    assert len(rounds) == 2 and said[2:] == ["nothing to measure: every record is there"]


def test_last_layers_wait_for_their_network_and_for_no_other(
    dataset: Dataset, tmp_path: Path, rounds: list[tuple[list[Job], set[Path]]]
) -> None:
    workspace = furnished(Workspace(tmp_path), dataset)
    whole, head, more, alone = evaluations(
        TRIAL,
        [
            TRIAL.recipe_on("original"),
            TRIAL.recipe_on("original", head_on="mixed_rand"),
            TRIAL.recipe_on("original", head_on="mixed_next"),
            TRIAL.recipe_on("only_fg", head_on="mixed_rand"),  # nobody asks for its network
        ],
    )
    assert open_study(workspace).measure([head, whole, alone, more]) == 2
    assert [jobs for jobs, _ in rounds] == [[whole, alone], [head, more]]
    assert whole.weights(workspace) in rounds[1][1]


def test_data_that_is_missing_is_built_before_a_round(tmp_path: Path) -> None:
    study = open_study(Workspace(tmp_path))
    groups = EXPERIMENTS["dial"].groups(TRIAL)
    jobs = [group[0] for group in groups.values()][:1] + EXPERIMENTS["dataset"].jobs(TRIAL)
    assert study.measure(jobs) == 1
    assert {path.name for path in (tmp_path / "data").iterdir()} == {"trial", "trial-rho-0"}
    assert all(study.find(job) is not None for job in jobs)


def test_every_claim_can_then_be_judged(workspace: Workspace, idle: None) -> None:
    reasons = {verdict.reason for verdict in judge_all(open_study(workspace, compute=False)) if verdict.reason}
    assert not any(reason.startswith("run chapter") for reason in reasons if "chapter 08" not in reason), reasons


def test_one_experiment(dataset: Dataset, tmp_path: Path) -> None:
    workspace = furnished(Workspace(tmp_path), dataset)
    said: list[str] = []
    measure(open_study(workspace), experiments_named(["finer"]), said.append)
    assert len(said) == 1 and said[0].startswith("round 1: 2 new records in ")


def test_experiments_are_chosen_by_name_or_by_chapter() -> None:
    assert experiments_named() == list(EXPERIMENTS.values())
    assert [experiment.name for experiment in experiments_named(["finer", "matrix"])] == ["matrix", "finer"]
    with pytest.raises(In9Error, match=r"no part 'matrx'\. Did you mean 'matrix'"):
        experiments_named(["matrx"])
    assert [experiment.name for experiment in experiments_of(["10"])] == ["robust", "smaller", "finer"]
    assert experiments_of(["99"]) == []
    for name, experiment in EXPERIMENTS.items():
        assert all(experiment in experiments_of([chapter]) for chapter in experiment.chapters), name


def test_kept_records_are_all_that_the_book_needs(workspace: Workspace, tmp_path: Path, idle: None) -> None:
    here = copy_of(workspace, tmp_path)
    before = {path.name for path in keep(open_study(here, compute=False))}
    assert before == {path.name for path in here.measured.glob("*/*.json")}
    assert keep(open_study(here, compute=False)) == []
    shutil.rmtree(here.data)
    shutil.rmtree(here.runs)
    recorded = open_study(here, recorded=True)
    for name, experiment in EXPERIMENTS.items():
        assert experiment.read(recorded).keys() == experiment.groups(TRIAL).keys(), name
    assert NO_RECORD not in {verdict.reason for verdict in judge_all(recorded) if verdict.claim.chapter != "08"}


def test_keeping_removes_what_nobody_reads_and_leaves_what_was_not_measured_here(
    workspace: Workspace, tmp_path: Path
) -> None:
    here = copy_of(workspace, tmp_path)
    keep(open_study(here, compute=False))
    (theirs,) = (here.committed / "trial").glob("adversarial_in9l_*.json")
    for path in (here.measured / "trial" / theirs.name, here.committed / "trial" / theirs.name):
        content = path.read_text()
        path.unlink()  # the experiment is incomplete now; its other records are still read
    assert keep(open_study(here, compute=False)) == []
    theirs.write_text(content)
    record = Store(here.committed / "trial").all("evaluation")[0]
    stale = Store(here.committed / "trial").write(
        replace(record, settings={**record.settings, "options": {"test_seed": 99}})
    )
    assert keep(open_study(here, compute=False)) == [stale]
    assert theirs.is_file() and not stale.is_file()
    for study in (open_study(here), open_study(here, recorded=True)):
        with pytest.raises(ValueError, match="compute=False"):
            keep(study)


def test_a_rerun_agrees_with_its_record_and_not_with_another(workspace: Workspace, tmp_path: Path) -> None:
    here = copy_of(workspace, tmp_path)
    keep(open_study(here, compute=False))
    frame = rerun(open_study(here))
    assert list(frame["quantity"])[-1] == "gap" and len(frame) == 10
    assert frame["agrees"].all()
    store = Store(here.committed / "trial")
    (own,) = records_of(open_study(here), ON_ORIGINAL)
    labels = own.results["labels"]["in9"]
    wrong = "".join(map(_next, labels))
    predictions = own.results["predictions"] | {"mixed_same": [labels] * 2, "mixed_rand": [wrong] * 2}
    store.write(replace(own, results=own.results | {"predictions": predictions}))
    agrees = rerun(open_study(here)).set_index("quantity")["agrees"]
    assert not agrees["mixed_same"] and not agrees["gap"] and agrees["original"]


def test_a_rerun_is_of_the_same_photographs_or_of_the_same_drawings(workspace: Workspace, tmp_path: Path) -> None:
    here = copy_of(workspace, tmp_path)
    keep(open_study(here, compute=False))
    store = Store(here.committed / "trial")
    (own,) = records_of(open_study(here), ON_ORIGINAL)
    store.write(replace(own, data="another rounding"))
    assert rerun(open_study(here))["agrees"].all()  # another processor rounds a drawing otherwise
    photographs = open_study(here, profile=replace(TRIAL, real=True))
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
