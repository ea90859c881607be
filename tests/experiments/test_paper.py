"""The paper's tables: their shapes, single values read off the paper, and sums that must come out."""

import math

import numpy as np
import pandas as pd
import pytest

from in9 import taxonomy
from in9.errors import In9Error
from in9.experiments import paper
from in9.taxonomy import TITLES

SHAPES = {
    "train_test_matrix": (81, ["train", "test", "accuracy"]),
    "models": (65, ["model", "training", "test", "accuracy"]),
    "readme": (33, ["model", "training", "test", "accuracy"]),
    "adversarial": (54, ["target", "measure", "rank", "value"]),
    "attack": (13, ["model", "training", "rule", "measure", "value"]),
    "fine_grained": (5, ["category", "full", "foreground", "background"]),
    "published_networks": (326, ["model", "family", "data", "setup", "imagenet_accuracy", "bg_gap"]),
    "newer_models": (25, ["model", "training", "imagenet_accuracy", "bg_gap"]),
    "other_results": (71, ["study", "model", "training", "test", "accuracy"]),
    "sizes": (20, ["data", "split", "measure", "value"]),
    "facts": (89, ["key", "value", "unit"]),
}
MEASURED = {"accuracy", "value", "imagenet_accuracy", "bg_gap"}


def pick(name: str, column: str, **where: object) -> float:
    """The one value of a table's column in the row that matches."""
    rows = paper.table(name)
    for key, value in where.items():
        rows = rows[rows[key] == value]
    assert len(rows) == 1
    return rows[column].item()


@pytest.mark.parametrize("name", paper.TABLES)
def test_shape_and_provenance(name: str) -> None:
    rows = paper.table(name)
    length, columns = SHAPES[name]
    assert list(rows.columns) == [*columns, "where", "trust", "note", *(["protocol"] if name == "facts" else [])]
    assert len(rows) == length
    assert (rows["where"].str.len() > 0).all()
    assert set(rows["trust"]) <= {"high", "medium", "derived"}
    for column in MEASURED & set(columns):
        assert pd.api.types.is_numeric_dtype(rows[column])
        assert np.isfinite(rows[column]).all()
    keys = [one for one in columns if one not in MEASURED] + ["where"]
    # Hesse et al. list some networks several times, trained by recipes that the table does not tell apart.
    assert not rows.duplicated(subset=list(columns) if name == "published_networks" else keys).any()
    for column in [*keys, "note"]:
        if not pd.api.types.is_numeric_dtype(rows[column]):
            assert (rows[column] == rows[column].str.strip()).all()


def test_every_shape_is_listed() -> None:
    assert set(SHAPES) == set(paper.TABLES)


@pytest.mark.parametrize("name", ["train_test_matrix", "models", "readme", "other_results", "adversarial", "attack"])
def test_percentages_are_in_percent(name: str) -> None:
    column = "value" if name in {"adversarial", "attack"} else "accuracy"
    values = paper.table(name)[column]
    assert values.between(0, 100).all()
    assert values.max() > 1


def test_matrix_spot_checks() -> None:
    matrix = paper.train_test_matrix()
    assert list(matrix.index) == list(matrix.columns) == list(TITLES)
    assert matrix.shape == (9, 9)
    assert matrix.notna().all().all()
    assert matrix.loc["original", "original"] == 85.95
    assert matrix.loc["original", "mixed_rand"] == 53.58
    assert matrix.loc["mixed_rand", "mixed_next"] == 71.09
    assert matrix.loc["mixed_next", "mixed_rand"] == 53.28
    assert matrix.loc["no_fg", "no_fg"] == 70.91
    assert matrix.loc["only_bg_t", "only_fg"] == 19.19
    assert matrix.loc["in9l", "in9l"] == 94.61


def test_matrix_accuracies_are_counts_of_4050() -> None:
    """Every test set but IN-9L has 4,050 images, so each printed accuracy is a whole number of them."""
    values = paper.train_test_matrix().drop(columns="in9l").to_numpy().ravel()
    counts = np.round(values / 100 * 4050)
    assert np.abs(counts / 4050 * 100 - values).max() < 0.0051


def test_models_spot_checks() -> None:
    assert pick("models", "accuracy", model="resnet50", training="imagenet", test="imagenet") == 77.6
    assert pick("models", "accuracy", model="resnet50", training="in9l", test="only_bg_t") == 43.6
    assert pick("models", "accuracy", model="vgg16_bn", test="bg_gap") == 13.0
    models = paper.table("models")
    assert set(models[models["test"] == "imagenet"]["training"]) == {"imagenet"}
    assert models.groupby("training")["model"].nunique().to_dict() == {"imagenet": 5, "in9l": 5}


def test_readme_spot_checks() -> None:
    assert pick("readme", "accuracy", model="resnet152", test="mixed_rand") == 83.5
    assert pick("readme", "accuracy", model="resnet50", training="in9l", test="challenge") == 12.0
    assert pick("readme", "accuracy", test="only_bg_t", where="student project") == 15.9
    assert pick("readme", "accuracy", test="mixed_rand", where="issue 5") == 84.32


@pytest.mark.parametrize("name", ["models", "readme"])
def test_printed_gap_is_the_difference(name: str) -> None:
    rows = paper.table(name)
    wide = rows.pivot(index=["model", "training", "where"], columns="test", values="accuracy")
    printed = wide.dropna(subset="bg_gap")
    assert len(printed) == {"models": 10, "readme": 6}[name]
    assert ((printed["mixed_same"] - printed["mixed_rand"]) - printed["bg_gap"]).abs().max() <= 0.11


def test_bg_gap_frame() -> None:
    gaps = paper.bg_gap()
    assert len(gaps) == 9 + 10 + 7
    assert not gaps.duplicated(subset=["model", "training", "where"]).any()
    assert np.allclose(gaps["mixed_same"] - gaps["mixed_rand"], gaps["bg_gap"], atol=0.0051)
    matrix = gaps[gaps["where"] == "table 5"].set_index("training")["bg_gap"]
    assert matrix["original"] == 20.22
    assert matrix["mixed_rand"] == -0.2


def test_adversarial_shares_are_counts_of_3600() -> None:
    """Shares of the 3,600 foregrounds of the other classes, cut (not rounded) to two decimals."""
    rows = paper.table("adversarial")
    shares = rows[rows["measure"] == "fooled_any"].set_index("target")["value"]
    assert list(shares.index) == list(taxonomy.CLASS_NAMES)
    for share in shares:
        count = math.ceil(round(share * 36, 6))
        assert 0 <= count / 36 - share < 0.01
    assert math.ceil(shares["insect"] * 36) == 2396
    assert round(shares.mean(), 1) == 63.9 == paper.fact("mean_fooled_any").value


def test_best_backgrounds_fall_and_stay_below_any() -> None:
    rows = paper.table("adversarial").set_index("target")
    for name in taxonomy.CLASS_NAMES:
        one = rows.loc[name]
        best = one[one["measure"] == "best_background"].sort_values("rank")["value"]
        assert len(best) == 5
        assert best.is_monotonic_decreasing
        assert best.iloc[0] < one[one["measure"] == "fooled_any"]["value"].item()
    assert pick("adversarial", "value", target="insect", rank=1) == 52


def test_attack_spot_checks() -> None:
    assert pick("attack", "value", where="adversarial backgrounds", measure="vulnerable") == 87.5
    attack = paper.table("attack")
    untargeted = attack[(attack["rule"] == "untargeted") & (attack["where"] == "README")]
    wide = untargeted.pivot(index="training", columns="measure", values="value")
    assert np.allclose(wide["challenge"] + wide["vulnerable"], 100)


def test_fine_grained_definitions() -> None:
    rows = paper.table("fine_grained").set_index("category")
    assert rows.loc["bg_required", ["full", "foreground", "background"]].tolist() == ["yes", "no", "yes"]
    assert rows.loc["bg_fg_fools", ["full", "foreground", "background"]].tolist() == ["no", "yes", "yes"]
    assert rows.loc["bg_irrelevant", "full"] == rows.loc["bg_irrelevant", "foreground"] == "same"


def test_newer_models_and_other_results() -> None:
    assert pick("newer_models", "bg_gap", model="siglip2_l_16") == 1.9
    assert pick("newer_models", "imagenet_accuracy", model="convnext_large", training="supervised_in21k") == 86.6
    assert pick("other_results", "accuracy", training="ibot_linear", test="mixed_next") == 80.3
    assert pick("other_results", "accuracy", study="cgn", training="imagenet_and_cgn", test="bg_gap") == 3.3
    studies = paper.table("other_results")
    assert set(studies["trust"]) == {"medium"}
    cgn = studies[studies["study"] == "cgn"].pivot(index="training", columns="test", values="accuracy")
    assert ((cgn["mixed_same"] - cgn["mixed_rand"]) - cgn["bg_gap"]).abs().max() <= 0.11


def test_sizes_agree_with_the_taxonomy() -> None:
    for one in taxonomy.CLASSES:
        assert pick("sizes", "value", data=one.name) == len(one.indices)
    total = pick("sizes", "value", measure="imagenet_classes_mapped")
    assert total == sum(len(one.indices) for one in taxonomy.CLASSES)
    for split in ("train", "test"):
        images = pick("sizes", "value", data="in9", split=split, measure="images")
        assert images == 9 * pick("sizes", "value", data="in9", split=split, measure="images_per_class")


def test_facts_follow_from_the_matrix() -> None:
    matrix = paper.train_test_matrix()

    def between(first: tuple[str, str], second: tuple[str, str]) -> float:
        return round(float(matrix.loc[first] - matrix.loc[second]), 2)

    original = ("original", "mixed_next")
    assert paper.fact("mixed_rand_gain_next").value == between(("mixed_rand", "mixed_next"), original) == 22.32
    gain = between(("mixed_rand", "mixed_rand"), ("original", "mixed_rand"))
    assert paper.fact("mixed_rand_gain_rand").value == gain == 17.95
    loss = between(("original", "original"), ("mixed_rand", "original"))
    assert paper.fact("mixed_rand_loss_original").value == loss
    foreground = matrix.loc["mixed_rand", ["original", "only_fg", "mixed_same", "mixed_rand", "mixed_next"]]
    assert paper.fact("mixed_rand_spread").value == pytest.approx(foreground.max() - foreground.min())
    for train in ("in9l", "original"):
        for background in ("only_bg_b", "only_bg_t"):
            value = between((train, "no_fg"), (train, background))
            assert paper.fact(f"{train}_no_fg_over_{background}").value == value
    for train in ("original", "mixed_rand", "in9l"):
        gap = between((train, "mixed_same"), (train, "mixed_rand"))
        assert paper.fact(f"bg_gap_{train}").value == gap
    share = between(("original", "original"), ("original", "mixed_rand"))
    assert paper.fact("required_minus_fools").value == share
    background = ["only_bg_b", "only_bg_t", "no_fg"]
    own = [matrix.loc[one, one] for one in background]
    assert [round(min(own)), round(max(own))] == [paper.fact(f"bg_only_{end}").value for end in ("low", "high")]
    on_original = matrix.loc[background, "original"]
    ends = [paper.fact(f"bg_only_on_original_{end}").value for end in ("low", "high")]
    assert [round(on_original.min()), round(on_original.max())] == ends


def test_slopes_follow_from_table_2() -> None:
    models = paper.table("models")
    wide = models[models["training"] == "imagenet"].pivot(index="model", columns="test", values="accuracy")
    for test in ("original", "in9l", "only_bg_t", "mixed_same", "mixed_rand", "bg_gap"):
        slope = np.polyfit(wide["imagenet"], wide[test], 1)[0]
        correlation = np.corrcoef(wide["imagenet"], wide[test])[0, 1]
        assert paper.fact(f"slope_{test}").value == pytest.approx(slope, abs=0.0051)
        assert paper.fact(f"correlation_{test}").value == pytest.approx(correlation, abs=0.0051)


def test_protocol_differences_follow_from_the_tables() -> None:
    theirs = paper.table("newer_models")
    theirs = theirs[theirs["training"] == "supervised_in1k"].set_index("model")["bg_gap"]
    ours = paper.table("readme")
    ours = ours[(ours["test"] == "bg_gap") & (ours["training"] == "imagenet") & (ours["where"] == "README")]
    differences = (ours.set_index("model")["accuracy"] - theirs).dropna()
    assert sorted(differences.index) == ["resnet152", "resnet50", "vgg16_bn"]
    assert round(differences.min(), 1) == paper.fact("protocol_gap_low").value
    assert round(differences.max(), 1) == paper.fact("protocol_gap_high").value


def test_fine_grainedness() -> None:
    low, drop, high = (paper.fact(key).value for key in ("finest_bg_gap", "finest_below_coarsest", "coarsest_bg_gap"))
    assert (low, drop) == (13.3, 2.3)
    assert low + drop == pytest.approx(high)


def test_mismatches_between_prose_and_table_are_noted() -> None:
    rows = paper.table("train_test_matrix").set_index(["train", "test"])["note"]
    assert "17.3" in rows["mixed_rand", "mixed_rand"]
    assert "13" in rows["in9l", "no_fg"]
    assert rows["original", "no_fg"]


def test_fact_carries_its_provenance() -> None:
    one = paper.fact("vulnerable")
    assert (one.value, one.unit, one.trust) == (87.5, "percent", "high")
    assert one.where


def test_unknown_names() -> None:
    with pytest.raises(In9Error, match="Did you mean 'models'"):
        paper.table("model")
    with pytest.raises(In9Error, match="no fact of the paper 'vulnerible'"):
        paper.fact("vulnerible")


def test_a_table_is_a_copy() -> None:
    mine = paper.table("models")
    mine["accuracy"] = 0.0
    assert paper.table("models")["accuracy"].max() > 90
