"""Ways to train, levels and the calibration: tidy frames, records left alone, nothing trained twice."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import test_study
import torch

mpl.use("Agg")

from in9.data.dataset import Dataset
from in9.data.variants import load_pool
from in9.errors import In9Error
from in9.evaluation.estimates import Estimate
from in9.experiments import controls, trainings
from in9.plots import curves
from in9.study.profile import Profile, profile_named
from in9.study.study import EVALUATION, TEST_SEED, Answers, Study
from in9.study.workspace import Workspace
from in9.training.loop import train
from in9.training.recipe import Recipe
from in9.training.trained import trained_classifier, weights_file

PROFILE = replace(
    test_study.PROFILE,
    seeds=(0,),
    recipe=replace(test_study.PROFILE.recipe, architecture="small_resnet_w8_b1_pool"),
    dial=(0.0, 1.0),
    dial_seeds=(0,),
    fine_levels=(1, 2),
    fractions=(0.5, 1.0),
)


def furnished(workspace: Workspace, dataset: Dataset) -> Workspace:
    """The workspace, with data for ``PROFILE`` and for each position of its dial."""
    shutil.copytree(dataset.path, workspace.data / "trial")
    for rho in PROFILE.dial:  # the small dataset stands in where building is not the point
        name = controls.dial_profile(PROFILE, rho).name
        shutil.copytree(dataset.path, workspace.data / name)
        manifest = workspace.data / name / "manifest.json"
        manifest.write_text(manifest.read_text().replace('"rho": 0.8', f'"rho": {rho}'))
    return workspace


@pytest.fixture(scope="module")
def workspace(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return furnished(Workspace(tmp_path_factory.mktemp("experiments")), dataset)


def open_study(workspace: Workspace, profile: Profile = PROFILE, compute: bool = True) -> Study:
    return Study(profile, device="cpu", jobs=1, workspace=workspace, progress=False, compute=compute)


@pytest.fixture
def trained_recipes(monkeypatch: pytest.MonkeyPatch) -> list[Recipe]:
    """The recipes that were trained, in order."""
    done: list[Recipe] = []

    def counted(recipe: Recipe, *arguments: object, **options: object) -> object:
        done.append(recipe)
        return train(recipe, *arguments, **options)

    monkeypatch.setattr("in9.training.loop.train", counted)
    return done


# --- calibration --------------------------------------------------------------------------------------------------


def test_the_dial_has_every_quantity_at_every_position(workspace: Workspace) -> None:
    study = open_study(workspace)
    dial = controls.dial(study)
    assert list(dial) == [0.0, 1.0]
    quantities = ["original", "only_bg_t", "gap", "mean_gap", "control", "paste", "towards", "elsewhere", "pull"]
    assert all(list(found) == quantities for found in dial.values())
    frame = controls.frame(dial)
    assert list(frame.columns) == ["rho", "series", "value", "low", "high"]
    assert len(frame) == 2 * len(quantities)
    assert ((frame["low"] <= frame["value"]) & (frame["value"] <= frame["high"])).all()
    for found in dial.values():
        assert found["pull"].value == pytest.approx(found["towards"].value - found["elsewhere"].value)
    names = {path.name for path in (workspace.runs / "records").iterdir()}
    assert {"trial-rho-0", "trial-rho-1"} <= names


def test_photographs_are_calibrated_on_the_control_set() -> None:
    control = profile_named("control")
    chosen = controls.dial_profile(profile_named("tiny"), 0.25)
    assert chosen.name == "control-rho-0.25" and chosen.source == "synthetic"
    assert dict(chosen.source_options) == {**control.source_options, "rho": 0.25}
    assert chosen.recipe == replace(control.recipe, epochs=control.dial_epochs)
    assert chosen.seeds == control.dial_seeds


def test_further_draws_leave_evaluations_alone(workspace: Workspace) -> None:
    study = open_study(workspace)
    (first,) = study.evaluations(study.recipes(["original"]))
    controls.calibration(study)
    (second,) = study.measure(controls.MORE_DRAWS, study.recipes(["original"]), test_seeds=controls.MORE_SEEDS)
    assert first.settings["options"] == {"test_seed": TEST_SEED}
    assert first.key != second.key and second.kind == controls.MORE_DRAWS
    assert [one.key for one in study.evaluations(study.recipes(["original"]))] == [first.key]
    assert set(second.results["predictions"]) == {"mixed_same", "mixed_rand"}
    assert second.results["labels"]["in9"] == first.results["labels"]["in9"]
    draws = second.results["backgrounds"]["mixed_rand"]
    assert len(set(draws)) == len(controls.MORE_SEEDS)
    assert {len(one) for one in draws} == {len(first.results["labels"]["in9"])}


def test_a_classifier_that_names_the_background_is_drawn_towards_it(workspace: Workspace, dataset: Dataset) -> None:
    study = open_study(workspace)
    (record,) = study.measure(controls.MORE_DRAWS, study.recipes(["original"]), test_seeds=controls.MORE_SEEDS)
    backgrounds = record.results["backgrounds"]["mixed_rand"]
    answers = {"mixed_same": backgrounds, "mixed_rand": backgrounds}
    fooled = replace(record, results={**record.results, "predictions": answers})
    other = replace(study.profile, name="fooled")
    shutil.copytree(dataset.path, workspace.data / "fooled", dirs_exist_ok=True)
    tricked = open_study(workspace, other)
    for one in (fooled, study.evaluations(study.recipes(["original"]))[0]):
        tricked.store.write(replace(one, name="fooled"))
    found = controls.calibration(tricked)
    assert found["towards"].value == 1 and found["elsewhere"].value == 0 and found["pull"].value == 1


def test_zero_within_an_interval() -> None:
    assert controls.holds_zero(Estimate(0.01, -0.02, 0.04))
    assert controls.holds_zero(Estimate(0.01, 0.0, 0.04))
    assert not controls.holds_zero(Estimate(0.02, 0.01, 0.04))


# --- ways to train -------------------------------------------------------------------------------------------------


def test_remedies_train_each_model_once_and_share_the_base(workspace: Workspace, trained_recipes: list[Recipe]) -> None:
    study = open_study(workspace, replace(PROFILE, remedy_seeds=(0, 1)))
    models = trainings.remedies(study)
    assert list(models) == ["original", "mixed_rand", "half", "head"]
    assert all(len(one.records) == 2 for one in models.values())
    # Seed 0 on Original may have been trained by another test; the last layers need no training of their own.
    assert all(recipe.head_on is None for recipe in trained_recipes)
    wanted = [(name, seed) for name in ("original", "mixed_rand", "original+mixed_rand") for seed in (0, 1)]
    done = [(recipe.train_on, recipe.seed) for recipe in trained_recipes]
    assert len(done) == len(set(done)) and set(done) <= set(wanted)
    assert set(wanted) - set(done) <= {("original", 0), ("mixed_rand", 0)}
    whole, head = trainings.seconds(models["head"]), trainings.seconds(models["head"], "head_seconds")
    assert whole is not None and head is not None and whole >= head
    assert trainings.seconds(models["original"], "head_seconds") is None
    trained_recipes.clear()
    trainings.remedies(study)
    assert trained_recipes == []


def test_a_last_layer_is_the_same_with_and_without_the_stored_base(
    dataset: Dataset, tmp_path: Path, trained_recipes: list[Recipe]
) -> None:
    recipe = replace(PROFILE.recipe, head_on="mixed_rand")
    whole = replace(recipe, head_on=None)
    cpu = torch.device("cpu")
    alone, facts = trained_classifier(recipe, dataset, weights_file(tmp_path / "a", recipe, dataset), cpu)
    assert facts["head_seconds"] <= facts["seconds"]
    trained_classifier(whole, dataset, weights_file(tmp_path / "b", whole, dataset), cpu)
    assert len(trained_recipes) == 2
    shared, _ = trained_classifier(recipe, dataset, weights_file(tmp_path / "b", recipe, dataset), cpu)
    assert len(trained_recipes) == 2
    plain, _ = train(recipe, load_pool(dataset, "train"))
    for name, tensor in alone.state_dict().items():
        assert torch.equal(tensor, shared.state_dict()[name]) and torch.equal(tensor, plain.state_dict()[name])


def test_trainings_as_frames(workspace: Workspace) -> None:
    study = open_study(workspace)
    names = ("original", "mixed_rand", "mixed_rand_once")
    models = trainings.trained(study, names)
    cells = trainings.by_test(models, ["original", "mixed_next"])
    assert list(cells.columns) == ["training", "test", "accuracy", "low", "high"]
    assert list(zip(cells["training"], cells["test"], strict=True)) == [
        (name, test) for name in names for test in ("original", "mixed_next")
    ]
    points = trainings.tradeoff(models)
    assert list(points["training"]) == list(names)
    for row in points.itertuples():
        assert row.accuracy_low <= row.accuracy <= row.accuracy_high and row.gap_low <= row.gap <= row.gap_high
    assert trainings.gain(models, "original", "original").value == 0
    expected = models["mixed_rand"].gap().value - models["original"].gap().value
    assert trainings.gap_change(models["mixed_rand"], models["original"]).value == pytest.approx(expected)
    once = models["mixed_rand_once"].records[0].settings["recipe"]
    assert once["train_on"] == "mixed_rand" and once["fresh_backgrounds"] is False
    with pytest.raises(In9Error, match="no way to train 'mixed'"):
        trainings.trained(study, ["mixed"])


def test_the_papers_points_are_table_5() -> None:
    points = trainings.published_tradeoff().set_index("training")
    assert list(points.columns) == list(trainings.tradeoff({}).columns[1:])
    assert points.loc["original", "accuracy"] == pytest.approx(85.95)
    assert points.loc["original", "gap"] == pytest.approx(20.22)
    assert points.loc["mixed_rand_once", "gap"] == pytest.approx(-0.20)
    assert set(points.index) <= set(trainings.TRAININGS) and set(curves.TRAININGS) <= set(trainings.TRAININGS)


# --- levels ---------------------------------------------------------------------------------------------------------


def test_levels_of_classes_and_of_data(workspace: Workspace) -> None:
    study = open_study(workspace)
    finer, smaller = trainings.finer(study), trainings.smaller(study)
    assert list(finer) == [9, 18] and list(smaller) == [0.5, 1.0]
    assert finer[9].records[0].key == smaller[1.0].records[0].key == study.answers("original").records[0].key
    half = smaller[0.5].records[0]
    assert half.settings["recipe"]["epochs"] == 2
    assert half.results["training"]["images"] * 2 == smaller[1.0].records[0].results["training"]["images"]
    assert set(np.unique(finer[18].predictions("original"))) <= set(range(9))
    frame = trainings.level_frame(finer)
    assert list(frame.columns) == ["level", "quantity", "value", "low", "high"]
    assert list(zip(frame["level"], frame["quantity"], strict=True)) == [
        (level, quantity) for level in (9, 18) for quantity in ("original", "gap")
    ]


def test_what_is_not_recorded_is_left_out(workspace: Workspace, tmp_path: Path) -> None:
    empty = Study(PROFILE, recorded=True, workspace=Workspace(tmp_path), progress=False)
    assert trainings.remedies(empty) == {} and trainings.finer(empty) == {} and trainings.smaller(empty) == {}
    assert controls.calibration(empty) == {}
    assert list(tmp_path.iterdir()) == []
    assert trainings.level_frame({}).empty and trainings.tradeoff({}).empty and controls.frame({}).empty
    study = open_study(workspace)
    study.evaluations(study.recipes(["original"]))
    shutil.copytree(workspace.runs / "records", tmp_path / "records")
    for path in (tmp_path / "records" / "trial").glob("*.json"):
        if not path.name.startswith(f"{EVALUATION}_original_seed0"):
            path.unlink()
    reader = Study(PROFILE, recorded=True, workspace=Workspace(tmp_path), progress=False)
    assert list(trainings.trained(reader, ["original", "in9l"])) == ["original"]


# --- figures --------------------------------------------------------------------------------------------------------


@pytest.fixture
def drawn() -> Iterator[list]:
    """Figures put in here are drawn to a file in the end, so that whatever goes wrong while drawing shows."""
    from matplotlib import pyplot as plt

    with mpl.rc_context():
        kept: list = []
        yield kept
        for figure in kept:
            figure.savefig(io.BytesIO(), format="svg")
        assert plt.get_fignums() == []


def test_lines_have_one_panel_for_each_quantity(drawn: list) -> None:
    frame = pd.DataFrame(
        {"rho": [0, 1, 0, 1], "series": ["gap", "gap", "control", "control"], "value": [0.0, 30, 0, 1],
         "low": [-2.0, 27, -1, None], "high": [2.0, 33, 1, None]}
    )  # fmt: skip
    figure = curves.lines({"points": frame, "%": frame}, "rho", "rho", curves.QUANTITIES, {"%": [curves.chance()]})
    drawn.append(figure)
    assert len(figure.axes) == 2 and figure.axes[1].get_xlabel() == "rho"
    words = [text.get_text() for text in figure.axes[1].texts]
    assert words == ["BG-Gap", curves.QUANTITIES["control"]["label"], "chance"]
    drawn.append(curves.lines({"points": frame.assign(rho=[9, 36, 9, 36])}, "rho", "classes", curves.QUANTITIES,
                              logarithmic=True))  # fmt: skip


def test_names_do_not_overlap(drawn: list) -> None:
    heights = curves._apart([1.0, 1.0, 1.1, 5.0], [1.0, 1.0, 2.0, 1.0])
    order = sorted(zip(heights, [1.0, 1.0, 2.0, 1.0], strict=True))
    gaps = [high[0] - low[0] - (high[1] + low[1]) / 2 for low, high in pairwise(order)]
    assert min(gaps) > -1e-6
    assert curves._apart([1.0, 5.0], [1.0, 1.0]) == [1.0, 5.0]
    figure = curves.tradeoff({"The paper": trainings.published_tradeoff()})
    drawn.append(figure)
    assert [text.get_text().replace("\n", " ") for text in figure.axes[0].texts] == [
        curves.TRAININGS[name]["label"] for name in trainings.published_tradeoff()["training"]
    ]


# --- seeds and architectures --------------------------------------------------------------------------------------


def test_further_architectures_have_a_recipe_of_their_own(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    names, changes = ("alexnet", "small_resnet_w16_b1_pool"), MappingProxyType({"epochs": 2, "weight_decay": 0.25})
    study = open_study(workspace, replace(PROFILE, architectures=names, architecture_recipe=changes), compute=False)
    asked: list[Recipe] = []
    monkeypatch.setattr("in9.experiments.trainings.evaluated", lambda study, recipes: bool(asked.extend(recipes)))
    assert trainings.architectures(study) == {}
    own, alexnet, other = asked
    assert own == study.recipe("in9l")
    assert other == replace(own, architecture=names[1], **changes)
    assert alexnet == replace(other, architecture="alexnet", learning_rate=own.learning_rate * 0.1)


def test_models_are_compared_on_the_seeds_that_both_have(workspace: Workspace) -> None:
    study = open_study(workspace)
    recipes = [study.recipe("original", seed) for seed in (0, 1, 2)]
    every = Answers(study.evaluations(recipes))
    last, other = Answers(study.evaluations(recipes[2:])), study.answers("mixed_rand")
    assert every.seeds == [0, 1, 2] and every.of_seeds([2, 0]).seeds == [2, 0]
    models = {"every": every, "last": last, "other": other}
    same = trainings.gain(models, "last", "original", over="every")
    assert (same.value, same.low, same.high) == (0, 0, 0)
    first = trainings.gain({"first": every.of_seeds([0]), "other": other}, "first", "original", over="other")
    assert trainings.gain(models, "every", "original", over="other") == first
    assert trainings.gap_change(every, last).value == 0
    with pytest.raises(ValueError, match=r"no seed in common: \[2\] and \[0\]"):
        trainings.gain(models, "last", "original", over="other")


def test_what_was_measured_with_some_seeds_only_is_shown_with_those(workspace: Workspace) -> None:
    profile = replace(PROFILE, level_seeds=(0, 7), fine_levels=(1,))
    assert trainings.finer(open_study(workspace, profile, compute=False))[9].seeds == [0]
    assert trainings.finer(open_study(workspace, replace(profile, level_seeds=(8, 9)), compute=False)) == {}
