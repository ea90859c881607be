"""Folds: as many of each kind in each, near duplicates together, and the views of a dataset that they give."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from in9.data.build import build
from in9.data.dataset import Dataset
from in9.data.source import Example
from in9.data.sources import open_source
from in9.data.splits import Split, assign_splits, deal_into_folds, near_duplicates, thumbnail
from in9.errors import In9Error
from in9.taxonomy import CLASS_NAMES, NUM_CLASSES

FOLDS = 5


def images(count=900, seed=0):
    """A table of images before they are dealt: of each class some are rejected, not accepted, or for validation."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, NUM_CLASSES, count)
    accepted = rng.random(count) < 0.6
    return pd.DataFrame(
        {
            "id": [f"image {number}" for number in range(count)],
            "label": label,
            "fine": [f"{number}/{rng.integers(3)}" for number in label],
            "split": np.where(rng.random(count) < 0.1, "validation", "train"),
            "accepted": accepted,
            "rejected": np.where(accepted & (rng.random(count) < 0.2), "background kept", ""),
        }
    )


def unlike(count, seed=0):
    """Thumbnails of which no two are near duplicates: float32 [count, 256]."""
    drawn = np.random.default_rng(seed).standard_normal((count, 256)).astype(np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def dealt(table, thumbnails, folds=FOLDS, seed=0):
    table = table.copy()
    deal_into_folds(table, thumbnails, folds, seed)
    return table


def test_each_fold_has_as_many_of_each_kind():
    table = images()
    after = dealt(table, unlike(len(table)))
    for kind, mine in after[after["split"] != "validation"].groupby(["label", "accepted", "rejected"]):
        sizes = mine["split"].value_counts().reindex([f"fold{fold}" for fold in range(FOLDS)], fill_value=0)
        assert sizes.max() - sizes.min() <= 1, kind
    tested = after[after["accepted"] & (after["rejected"] == "") & (after["split"] != "validation")]
    for fine, mine in tested.groupby("fine"):
        sizes = mine["split"].value_counts()
        assert len(sizes) == FOLDS and sizes.max() - sizes.min() <= 1, fine


def test_images_for_validation_are_in_no_fold():
    table = images()
    after = dealt(table, unlike(len(table)))
    assert ((after["split"] == "validation") == (table["split"] == "validation")).all()
    assert after["split"].str.fullmatch(r"validation|fold[0-4]").all()
    assert after.drop(columns="split").equals(table.drop(columns="split"))


def test_folds_depend_on_ids_and_seed_alone():
    table, thumbnails = images(), unlike(900)
    thumbnails[100:200] = thumbnails[:100]  # near duplicates, of any class
    after = dealt(table, thumbnails).set_index("id")["split"]
    order = np.random.default_rng(1).permutation(len(table))
    shuffled = dealt(table.iloc[order].reset_index(drop=True), thumbnails[order]).set_index("id")["split"]
    assert shuffled.reindex(after.index).equals(after)
    assert not dealt(table, thumbnails, seed=1).set_index("id")["split"].equals(after)


def test_near_duplicates_share_a_fold():
    table, thumbnails = images(), unlike(900)
    rng = np.random.default_rng(2)
    noise = unlike(900, seed=3) * 0.1
    for start in (0, 300):
        thumbnails[start + 100 : start + 300] = np.tile(thumbnails[start : start + 100], (2, 1)) + noise[:200]
    thumbnails /= np.linalg.norm(thumbnails, axis=1, keepdims=True)
    order = rng.permutation(900)
    thumbnails, group = thumbnails[order], np.where(np.arange(900) < 600, np.arange(900) % 100, np.arange(900))[order]
    group = group + np.where((order >= 300) & (order < 600), 1000, 0)
    mine = near_duplicates(thumbnails)
    assert len(set(mine)) == len(set(group)) == len(set(zip(mine.tolist(), group.tolist(), strict=True)))
    after = dealt(table, thumbnails).assign(group=group)
    folds = after[after["split"] != "validation"].groupby("group")["split"].nunique()
    assert (folds == 1).all()


def test_a_thumbnail_knows_an_image_that_is_brighter_or_grainier():
    rng = np.random.default_rng(0)
    coarse = rng.integers(20, 180, (3, 8, 8, 3)).repeat(8, 1).repeat(8, 2).astype(np.uint8)
    grain = rng.integers(0, 20, coarse.shape, dtype=np.uint8)
    batch = np.concatenate([coarse, coarse + 30, coarse + grain])
    small = thumbnail(batch)
    assert small.shape == (9, 256) and small.dtype == np.float32
    assert np.allclose(small.mean(axis=1), 0, atol=1e-6) and np.allclose((small**2).sum(axis=1), 1, atol=1e-5)
    groups = near_duplicates(small)
    assert groups[:3].tolist() == groups[3:6].tolist() == groups[6:].tolist() and len(set(groups)) == 3
    assert not thumbnail(np.full((1, 64, 64, 3), 200, np.uint8)).any()  # of an even image nothing is known


def test_a_fold_without_an_image_of_a_class_is_an_error():
    table, thumbnails = images(), unlike(900)
    birds = table.index[(table["label"] == 1) & (table["split"] == "train")]
    table.loc[birds, ["accepted", "rejected"]] = [False, ""]
    table.loc[birds[:4], "accepted"] = True
    with pytest.raises(In9Error, match=r"^Fold 4 has no image of bird to test; give more images, or take fewer folds"):
        dealt(table, thumbnails)
    table.loc[birds[:5], "accepted"] = True
    dealt(table, thumbnails)
    table.loc[birds[0], "rejected"] = "object missed"
    with pytest.raises(In9Error, match=r"^Fold 4 has no image of bird to test"):
        dealt(table, thumbnails)


@pytest.mark.parametrize("folds", [-1, 1])
def test_a_number_of_folds_that_cannot_be(folds):
    with pytest.raises(In9Error, match=f"at least 2 folds, or 0 for none; got folds = {folds}"):
        Split(test=0.0, folds=folds)
    with pytest.raises(In9Error, match=r"tests all of them: set test = 0 \(it is 0.2\)"):
        Split(folds=5)


def test_a_source_that_says_what_is_for_testing_has_no_folds():
    examples = [Example("a", 0, "kind"), Example("b", 0, "kind", split="test")]
    with pytest.raises(In9Error, match=r"says itself which images are for testing.*5 folds; build it without folds"):
        assign_splits(examples, 0, Split(test=0.0, folds=5))


# ---- a dataset in folds ----------------------------------------------------------------------------------------------


class LookedAt:
    """A control set at whose masks somebody has looked: some are rejected, and one of each class was not looked at."""

    def __init__(self):
        self.source = open_source("synthetic", per_class=20, image_size=32)
        self.name, self.image_size, self.resizes = "synthetic", 32, False
        self.rule, self.settings, self.read = self.source.rule, self.source.settings, self.source.read
        self.examples = self.source.examples
        numbers = {example.id: int(example.id[-2:]) for example in self.examples()}
        self.verdicts = {id_: "box wrong" if number % 6 == 1 else "good" for id_, number in numbers.items() if number}


@pytest.fixture(scope="module")
def in_folds(tmp_path_factory) -> Dataset:
    split = Split(test=0.0, validation=0.2, folds=3)
    return build(LookedAt(), tmp_path_factory.mktemp("folds") / "out", workers=1, split=split, progress=False)


def test_a_dataset_in_folds(in_folds):
    table = in_folds.table
    assert in_folds.folds == 3 and in_folds.fold is None
    assert set(table["split"]) == {"validation", "fold0", "fold1", "fold2"}
    assert table["rejected"].value_counts().to_dict() == {"": 15 * 9, "box wrong": 4 * 9, "not looked at": 9}
    assert table["accepted"].all()
    reopened = Dataset(in_folds.path)
    assert reopened.folds == 3 and reopened.settings["split"] == {"test": 0.0, "validation": 0.2, "folds": 3}


def test_the_view_of_a_fold(in_folds):
    table, tested = in_folds.table, []
    for fold in range(3):
        view = in_folds.of_fold(fold)
        assert view.fold == fold and view.hash == in_folds.hash and in_folds.fold is None
        train, validation, test = (set(view.indices(split)) for split in ("train", "validation", "test"))
        assert not train & test and not train & validation and not test & validation
        assert (table.loc[list(test), "split"] == f"fold{fold}").all() and (
            table.loc[list(test), "rejected"] == ""
        ).all()
        assert set(table.loc[list(train), "split"]) == {f"fold{other}" for other in range(3) if other != fold}
        others = table["split"].str.startswith("fold") & (table["split"] != f"fold{fold}")
        assert train == set(table.index[others]) and "box wrong" in set(table.loc[list(train), "rejected"])
        assert np.unique(table.loc[list(test), "label"]).tolist() == list(range(NUM_CLASSES))
        whole = [set(view.indices(split, accepted=False)) for split in ("train", "validation", "test")]
        assert set.union(*whole) == set(range(len(table))) and sum(map(len, whole)) == len(table)
        assert whole[0] == train and whole[2] == set(table.index[table["split"] == f"fold{fold}"]) > test
        tested += sorted(test)
    assert len(set(tested)) == len(tested)
    good = table[(table["split"] != "validation") & (table["rejected"] == "")]
    assert sorted(tested) == good.index.tolist()
    assert (
        in_folds.indices("test").tolist()
        == in_folds.of_fold(0).of_fold(None).indices("test").tolist()
        == sorted(tested)
    )
    assert len(in_folds.indices("train")) == (table["split"] != "validation").sum()


@pytest.mark.parametrize("fold", [-1, 3])
def test_a_fold_that_is_not_there(in_folds, dataset, fold):
    with pytest.raises(In9Error, match=f"has 3 folds, and fold {fold} was asked for; build it with more"):
        in_folds.of_fold(fold)
    with pytest.raises(In9Error, match=f"has 0 folds, and fold {fold} was asked for"):
        dataset.of_fold(fold)


def test_a_dataset_without_folds_is_its_own_view(dataset):
    assert dataset.folds == 0
    assert dataset.of_fold(None).indices("train").tolist() == dataset.indices("train").tolist()


def test_folds_that_cannot_be_leave_nothing(tmp_path):
    source = LookedAt()
    source.verdicts = {id_: verdict for id_, verdict in source.verdicts.items() if not id_.startswith("fish")}
    with pytest.raises(In9Error, match="Fold 0 has no image of fish to test"):
        build(source, tmp_path / "out", workers=1, split=Split(test=0.0, folds=3), progress=False)
    with pytest.raises(In9Error, match=r"test split has no accepted example of fish \(an image whose mask nobody has"):
        build(source, tmp_path / "out", workers=1, progress=False)
    assert not list(tmp_path.iterdir()) and CLASS_NAMES[-1] == "fish"
