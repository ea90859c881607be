"""Masks and the size of objects: what the committed records say of the earlier mask rule and of ImageNet's sizes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from in9.data.published import MASKS_FILE, read_published
from in9.experiments import masks_and_sizes
from in9.experiments.masks_and_sizes import at_imagenet_sizes, gaps_by_size, mask_rules, object_sizes
from in9.experiments.why_pretrained import EARLIER_RULE
from in9.study.study import Study
from in9.study.workspace import Workspace, find_workspace

COMMITTED = find_workspace(Path(__file__).parents[2]).committed


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """The committed records in a workspace that has nothing else."""
    root = tmp_path_factory.mktemp("committed")
    (root / "records").symlink_to(COMMITTED)
    return Study("tiny", recorded=True, workspace=Workspace(root), progress=False)


def test_the_earlier_rule_splits_the_test_images_by_what_their_masks_cover(study: Study) -> None:
    frame = mask_rules(study).set_index("rule")
    published = read_published(COMMITTED / "tiny" / MASKS_FILE)
    low, high = EARLIER_RULE.mask_share
    kept = 0
    for name, image in published.images.items():
        mask = published.mask(name) if image.split.startswith("fold") and not image.rejected else None
        if mask is not None and image.box is not None:
            left, top, right, bottom = image.box
            kept += low <= mask.sum() / ((right - left) * (bottom - top)) <= high
    assert frame.loc["kept by it", "images"] == kept
    assert (
        frame.loc["all", "images"]
        == frame["images"].drop("all").sum()
        == len(study.answers("original").labels["original"])
    )
    assert frame.loc["all", "value"] == pytest.approx(study.answers("original").gap().in_percent().value)
    assert frame.loc["mask too small for it", "share"] < frame.loc["kept by it", "share"]


def test_the_gap_falls_with_the_size_of_the_object_and_imagenets_objects_are_smaller(study: Study) -> None:
    thirds = object_sizes(study)
    assert thirds["share"].is_monotonic_increasing and thirds["value"].is_monotonic_decreasing
    weighted = at_imagenet_sizes(study)
    assert weighted is not None and weighted.images == 198
    assert weighted.theirs < weighted.ours
    # Weighted towards small objects the gap is larger than all images give, and smaller than the smallest third gives.
    plain = study.answers("original").gap().in_percent().value
    assert plain < weighted.gap.in_percent().value < thirds["value"].max()
    assert weighted.gap.low < weighted.gap.value < weighted.gap.high


def test_every_test_image_has_a_size(study: Study) -> None:
    bins = gaps_by_size(study)
    assert (
        bins["images"].sum() == object_sizes(study)["images"].sum() == len(study.answers("original").labels["original"])
    )
    for row in bins.to_dict("records"):
        low, high = map(float, row["bin"].split(" to "))
        assert low <= row["share"] <= high
    assert bins["value"].iloc[0] > bins["value"].iloc[-1]


def test_without_published_masks_nothing_is_said(study: Study, tmp_path: Path) -> None:
    shutil.copytree(COMMITTED / "tiny", tmp_path / "records" / "tiny", ignore=shutil.ignore_patterns(MASKS_FILE))
    shutil.copytree(
        COMMITTED / "pretrained", tmp_path / "records" / "pretrained", ignore=shutil.ignore_patterns(MASKS_FILE)
    )
    bare = Study("tiny", recorded=True, workspace=Workspace(tmp_path), progress=False)
    assert mask_rules(bare).empty and at_imagenet_sizes(bare) is None
    assert list(mask_rules(bare).columns) == list(mask_rules(study).columns)
    assert masks_and_sizes.object_sizes(bare).equals(object_sizes(study))
