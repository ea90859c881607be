"""What a dry run says: the jobs without a record, how long each takes, and what nothing has to be done for."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from trial_study import PROFILE, furnished, open_study

from in9.data.dataset import Dataset
from in9.experiments.measuring import EXPERIMENTS, experiments_named, measure
from in9.experiments.planning import describe, plan, scale
from in9.study.profile import load_profile
from in9.study.study import Study
from in9.study.workspace import Workspace
from in9.training.recipe import TRAINING_SETS


def test_only_what_has_no_record_is_planned(dataset: Dataset, tmp_path: Path) -> None:
    workspace = furnished(Workspace(tmp_path), dataset)
    parts = experiments_named(["finer", "remedies"])
    study = open_study(workspace, compute=False)
    planned = plan(study, parts)
    assert {each.job.key for each in planned} == {job.key for part in parts for job in part.jobs(PROFILE)}
    assert {each.part for each in planned} == {"finer", "remedies"}
    assert all(each.seconds > 0 for each in planned)
    said = describe(study, planned)
    assert f"\n{len(planned)} jobs: about " in said and "with 1 side by side" in said and "36 to train on" in said
    assert not (tmp_path / "runs").exists(), "a dry run leaves nothing"
    finer = experiments_named(["finer"])
    measure(open_study(workspace), finer, lambda line: None)
    rest = plan(study, parts)
    assert {each.part for each in rest} == {"remedies"} and len(rest) < len(planned)
    assert describe(study, plan(study, finer)) == "nothing to measure: every record is there"


def test_a_job_of_two_parts_is_planned_once(tmp_path: Path) -> None:
    study = open_study(Workspace(tmp_path), compute=False)
    planned = plan(study, list(EXPERIMENTS.values()))
    keys = [(each.job.profile.name, each.job.key) for each in planned]
    assert len(keys) == len(set(keys))
    wanted = {(job.profile.name, job.key) for part in EXPERIMENTS.values() for job in part.jobs(PROFILE)}
    assert set(keys) == wanted, "without data everything is planned"


def test_the_page_for_clusters_names_every_part_and_every_training_set() -> None:
    page = (Path(__file__).parents[2] / "book" / "scale_out.md").read_text("utf8")
    arrays = {name: words.split() for name, words in re.findall(r"^(\w+)=\(([^)]*)\)", page, re.M)}
    assert arrays == {"parts": list(EXPERIMENTS), "sets": arrays["sets"]}
    assert set(arrays["sets"]) == set(TRAINING_SETS)
    lasts = [int(last) for last in re.findall(r"--array=0-(\d+)", page)]
    assert lasts == [len(arrays["parts"]) - 1, len(arrays["sets"]) - 1]
    rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    assert sorted(re.findall(r"`(\w+)`", "".join(rows))) == sorted(EXPERIMENTS), "each is explained once"


@pytest.mark.slow
def test_the_cost_of_imagenet_is_known_without_it(tmp_path: Path) -> None:
    study = Study(load_profile("paper"), compute=False, device="cpu", workspace=Workspace(tmp_path), progress=False)
    table = scale(study).splitlines()
    assert len(table) == 5 and "a machine for each job" in table[0]
    for line, work in zip(
        table[1:], ("build", "9 trainings of a resnet50", "their evaluation", "adversarial"), strict=True
    ):
        assert line.strip().startswith(work) and (" days" in line or " h" in line), line
    assert "expected of this source" in describe(study, plan(study, experiments_named(["saliency"])))
