"""The project's records on photographs: whole, made with today's recipes, and enough to redraw without data or GPU."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from trial_study import open_study, records_of

from in9.data.published import MASKS_FILE, read_published
from in9.evaluation.predictions import TEST_SETS
from in9.evaluation.records import RECORD_FORMAT, predictions_of, read
from in9.experiments.backgrounds_suffice import MATRIX, accuracies, gaps
from in9.experiments.controls import dial_profile
from in9.experiments.image_counts import outcomes
from in9.experiments.measuring import rerun
from in9.files import key_of
from in9.study.profile import load_profile
from in9.study.study import Study
from in9.study.workspace import Workspace, find_workspace
from in9.training.recipe import TRAINING_SETS

ROOT = Path(__file__).parents[2]


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """The committed records in a workspace that has nothing else."""
    (tmp_path / "records").symlink_to(find_workspace(ROOT).committed)
    return Study("tiny", recorded=True, workspace=Workspace(tmp_path))


def test_give_the_whole_matrix(study: Study) -> None:
    matrix = accuracies(MATRIX.read(study))
    assert len(matrix) == len(TRAINING_SETS) * len(TEST_SETS)
    assert matrix["accuracy"].between(0, 100).all()
    assert (matrix["low"] <= matrix["accuracy"]).all() and (matrix["accuracy"] <= matrix["high"]).all()


def test_give_the_gaps_and_the_sizes(study: Study) -> None:
    matrix = MATRIX.read(study)
    frame = gaps(matrix).set_index("train")
    cells = accuracies({"original": matrix["original"]}).set_index("test")["accuracy"]
    assert frame.loc["original", "gap"] == pytest.approx(cells["mixed_same"] - cells["mixed_rand"])
    assert set(outcomes(study)["split"]) == {"validation", *(f"fold{fold}" for fold in study.profile.seeds)}
    gap = matrix["original"].gap().in_percent()
    assert gap.high - gap.low < 2.2, "the headline gap has a half-width near one point"


def test_were_measured_on_one_data_set_and_say_how(study: Study) -> None:
    records = records_of(study, MATRIX.jobs(study.profile))
    assert len(records) == len(MATRIX.jobs(study.profile))
    assert len({record.data for record in records}) == 1
    published = read_published(find_workspace(ROOT).published("tiny"))
    tested = Counter(image.split for image in published.images.values() if not (image.reason or image.rejected))
    assert records[0].data == published.hash
    for record in records:
        assert len(predictions_of([record]).labels["original"]) == tested[f"fold{record.settings['recipe']['fold']}"]
    for record in records:
        facts = record.provenance
        assert facts["when"] and facts["seconds"] > 0 and facts["commit"] and facts["processor"]
        assert facts["evaluation_precision"] == "float32"


def test_are_whole_and_named_by_their_key() -> None:
    files = list(find_workspace(ROOT).committed.rglob("*.json"))
    assert len(files) > 100
    for path in files:
        record = read(path)
        text = path.read_text()
        assert path.name == record.filename and f'"format": {RECORD_FORMAT},' in text
        assert f'"digest": "{record.digest}",' in text
        if earlier := record.provenance.get("earlier_key"):  # of the first edition: it depended on every setting
            assert earlier == key_of({"kind": record.kind, **record.settings})


def test_hold_numbers_only() -> None:
    for path in find_workspace(ROOT).committed.rglob("*"):
        masks = path.name == MASKS_FILE and path.stat().st_size < 1_000_000
        small = path.suffix in (".json", ".csv") and path.stat().st_size < 300_000
        assert path.is_dir() or masks or small, path


def test_agree_with_a_small_rerun(tmp_path: Path) -> None:
    """Data drawn anew, a network trained anew with another seed: what comes out lies where the record says."""
    (tmp_path / "records").symlink_to(find_workspace(ROOT).committed)
    middle = dial_profile(load_profile("control"), 0.5)
    frame = rerun(open_study(Workspace(tmp_path), middle))
    assert len(frame) == len(TEST_SETS) + 1
    assert frame["agrees"].all(), frame.to_string()
