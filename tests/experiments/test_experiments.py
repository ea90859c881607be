"""Experiments: declared by profile, their frames tidy, records left alone, nothing trained twice."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import torch
from trial_study import PROFILE, furnished, open_study, records_of

mpl.use("Agg")

from in9.data.dataset import Dataset
from in9.data.sources.synthetic import Synthetic
from in9.data.variants import load_pool
from in9.evaluation.predictions import Predictions, gain, gap_change
from in9.evaluation.records import Store, from_digits, predictions_of, to_digits
from in9.experiments import controls, paper
from in9.experiments.bg_gap import ARCHITECTURES
from in9.experiments.controls import CALIBRATION, DIAL, DIAL_DRAWS
from in9.experiments.experiment import told
from in9.experiments.measuring import EXPERIMENTS
from in9.experiments.mixed_rand_training import WAYS, gains, published_gains, published_tradeoff, tradeoff, trained
from in9.experiments.what_helps import REMEDIES
from in9.experiments.why_pretrained import FINER, SMALLER, finer, level_frame
from in9.plots import curves
from in9.plots.style import QUANTITY_LOOKS, WAY_LOOKS
from in9.study.jobs import TEST_SEED, draws_jobs, evaluations
from in9.study.profile import load_profile
from in9.study.study import Study
from in9.study.workspace import Workspace, find_workspace
from in9.taxonomy import CLASS_NAMES
from in9.training.loop import train
from in9.training.recipe import Recipe
from in9.training.trained import trained_classifier, weights_file

PROJECT = Path(__file__).parents[2]
ON_ORIGINAL = evaluations(PROFILE, PROFILE.recipes_on(["original"]))


@pytest.fixture(scope="module")
def workspace(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return furnished(Workspace(tmp_path_factory.mktemp("experiments")), dataset)


def models_trained(study: Study, ways: Iterable[str]) -> Mapping[str, Predictions]:
    return study.read(trained(study.profile, tuple(ways)), predictions_of)


def test_a_chapter_tells_a_run_on_photographs_else_the_record(tmp_path: Path) -> None:
    (tmp_path / "records").symlink_to(PROJECT / "records")
    photographs, workspace = replace(PROFILE, real=True), Workspace(tmp_path)
    computes, unmeasured = (open_study(workspace, photographs, compute=compute) for compute in (True, False))
    assert told(computes, REMEDIES) is computes
    assert told(unmeasured) is unmeasured, "nothing is asked of it"
    assert told(unmeasured, REMEDIES).origin == "record"
    assert told(open_study(workspace), REMEDIES).origin == "record", "its images are no photographs"
    record = Study("tiny", recorded=True, workspace=workspace)
    assert told(record, REMEDIES) is record
    alone = open_study(Workspace(tmp_path / "none"), compute=False)
    assert told(alone, REMEDIES) is alone, "there is no record"


@pytest.fixture
def trained_recipes(monkeypatch: pytest.MonkeyPatch) -> list[Recipe]:
    """The recipes that were trained, in order."""
    done: list[Recipe] = []

    def counted(recipe: Recipe, *arguments: object, **options: object) -> object:
        done.append(recipe)
        return train(recipe, *arguments, **options)

    monkeypatch.setattr("in9.training.trained.train", counted)
    return done


# --- what is declared ---------------------------------------------------------------------------------------------


def test_experiments_have_their_name_and_chapters_of_the_book() -> None:
    chapters = {path.name[:2] for path in (PROJECT / "notebooks").glob("[0-9][0-9]_*.py")}
    for name, experiment in EXPERIMENTS.items():
        assert experiment.name == name
        assert experiment.chapters and set(experiment.chapters) <= chapters, name


@pytest.mark.parametrize("name", ["smoke", "control", "tiny"])
def test_no_experiment_asks_for_the_same_job_twice(name: str) -> None:
    profile = load_profile(name)
    for experiment in EXPERIMENTS.values():
        jobs = experiment.jobs(profile)
        assert len({(job.profile.name, job.key) for job in jobs}) == len(jobs), experiment.name
        assert [job.key for job in experiment.jobs(load_profile(name))] == [job.key for job in jobs], experiment.name
        # Those of a group are alike but for their seeds, which are the numbers of folds where there are some.
        for group in experiment.groups(profile).values():
            assert len({job.kind for job in group}) == 1
            assert len({None if job.recipe is None else replace(job.recipe, seed=0, fold=None) for job in group}) == 1


def test_every_committed_record_is_one_that_an_experiment_asks_for() -> None:
    profile = load_profile("tiny")
    asked = {(job.profile.name, job.key) for experiment in EXPERIMENTS.values() for job in experiment.jobs(profile)}
    committed = find_workspace(PROJECT).committed
    folders = [committed / "tiny", committed / "split", *committed.glob("control-rho-*")]
    files = [path for folder in folders for path in folder.glob("*.json")]
    assert len(folders) == 5 and len(files) > 50
    assert [path for path in files if (path.parent.name, path.stem.rpartition("_")[2]) not in asked] == []


@pytest.mark.parametrize(
    ("name", "owners"),
    [
        ("smoke", {"smoke-rho-0", "smoke-rho-1"}),
        ("tiny", {"control-rho-0", "control-rho-0.5", "control-rho-1"}),
    ],
)
def test_jobs_of_the_dial_carry_their_own_profile(name: str, owners: set[str]) -> None:
    profile = load_profile(name)
    jobs = DIAL.jobs(profile)
    assert {job.profile.name for job in jobs} == owners
    for job in jobs:
        assert job.profile.data == job.profile.name and not job.profile.real
        assert job.settings["data"]["source_settings"]["rho"] == float(job.profile.name.rpartition("-")[2])
    others = (experiment for experiment in EXPERIMENTS.values() if experiment not in (DIAL, DIAL_DRAWS))
    own = {profile.name, profile.of_many_trainings.name}
    assert {job.profile.name for experiment in others for job in experiment.jobs(profile)} == own


# --- calibration --------------------------------------------------------------------------------------------------


def test_the_dial_has_every_quantity_at_every_position(workspace: Workspace) -> None:
    study = open_study(workspace)
    dial = controls.dial(study)
    assert list(dial) == [0.0, 1.0]
    quantities = ["original", "only_bg_t", "gap", "control", "paste", "towards", "elsewhere", "pull"]
    assert all(list(estimates) == quantities for estimates in dial.values())
    frame = controls.frame(dial)
    assert list(frame.columns) == ["rho", "series", "value", "low", "high"]
    assert len(frame) == 2 * len(quantities)
    assert ((frame["low"] <= frame["value"]) & (frame["value"] <= frame["high"])).all()
    for position in dial.values():
        assert position["pull"].value == pytest.approx(position["towards"].value - position["elsewhere"].value)
    assert {"trial-rho-0", "trial-rho-1"} <= {path.name for path in workspace.measured.iterdir()}


def test_the_dial_moves_objects_to_the_texture_of_their_class() -> None:
    images = controls.painted(load_profile("tiny"))
    first, *_, last = controls.dial_profiles(load_profile("tiny")).values()
    textures = []
    for position in (first, last):
        source = Synthetic(**{**position.source_options, "per_class": 1})
        textures.append([source.texture_of(example) for example in source.examples()])
    moved = (images[-1] != images[0]).any(axis=(1, 2, 3))  # which of the nine pictures changed at all
    assert moved.tolist() == [before != after for before, after in zip(*textures, strict=True)]
    assert textures[1] == list(range(len(CLASS_NAMES))) and moved.any()


def test_photographs_are_calibrated_on_the_control_set() -> None:
    control = load_profile("control")
    positions = controls.dial_profiles(load_profile("tiny"))
    assert list(positions) == list(control.dial)
    chosen = positions[0.5]
    assert chosen.name == "control-rho-0.5" and chosen.source == "synthetic"
    assert chosen.source_options == {**control.source_options, "rho": 0.5}
    assert chosen.recipe == replace(control.recipe, epochs=control.dial_epochs)
    assert chosen.seeds == control.dial_seeds


def test_a_classifier_that_names_the_background_is_pulled_towards_it(workspace: Workspace, tmp_path: Path) -> None:
    study = open_study(workspace)
    (evaluation,), (drawn,) = records_of(study, CALIBRATION.jobs(PROFILE)), records_of(study, draws_jobs(PROFILE))
    labels = from_digits(evaluation.results["labels"]["in9"])
    answers = {
        test: [to_digits(labels[np.array(rows.split(), int)]) for rows in drawn.results["backgrounds"][test]]
        for test in ("mixed_same", "mixed_rand")
    }
    predictions = {**evaluation.results["predictions"], **answers}
    fooled = Workspace(tmp_path)
    for made_up in (replace(evaluation, results={**evaluation.results, "predictions": predictions}), drawn):
        Store(fooled.committed / PROFILE.name).write(made_up)
    measures = controls.calibration(open_study(fooled, recorded=True))
    assert measures["elsewhere"].value == 0 and measures["pull"].value == measures["towards"].value > 0.5


def test_the_calibration_needs_the_draws_and_every_seed(workspace: Workspace, tmp_path: Path) -> None:
    study = open_study(workspace)
    (evaluation,), (drawn,) = records_of(study, CALIBRATION.jobs(PROFILE)), records_of(study, draws_jobs(PROFILE))
    assert evaluation.settings["options"] == {"test_seed": TEST_SEED, "draws": PROFILE.draws}
    store = Store(tmp_path / "records" / PROFILE.name)
    store.write(replace(evaluation, results={k: v for k, v in evaluation.results.items() if k != "backgrounds"}))
    reader = open_study(Workspace(tmp_path), recorded=True)
    assert controls.calibration(reader) == {} and list(CALIBRATION.read(reader)) == ["original"]
    store.write(drawn)
    assert controls.calibration(reader) != {}
    two = open_study(Workspace(tmp_path), replace(PROFILE, seeds=(0, 1)), recorded=True)
    assert controls.calibration(two) == {}


# --- ways to train -------------------------------------------------------------------------------------------------


def test_remedies_train_each_model_once_and_share_the_base(workspace: Workspace, trained_recipes: list[Recipe]) -> None:
    study = open_study(workspace, replace(PROFILE, remedy_seeds=(0, 1)))
    models = REMEDIES.read(study)
    assert list(models) == ["original", "mixed_rand_once", "mixed_rand", "half", "head"]
    once = [seed for seed in (0, 1) if seed in PROFILE.seeds]  # those that another chapter trains anyway
    assert all(members.seeds == (once if way == "mixed_rand_once" else [0, 1]) for way, members in models.items())
    # Seed 0 on Original may have been trained by another test; the last layers need no training of their own.
    assert all(recipe.head_on is None for recipe in trained_recipes)
    wanted = [(name, seed) for name in ("original", "mixed_rand", "original+mixed_rand") for seed in (0, 1)]
    drawn_once = [recipe.seed for recipe in trained_recipes if not recipe.fresh_backgrounds]
    assert set(drawn_once) <= set(once) and len(drawn_once) == len(set(drawn_once))
    done = [(recipe.train_on, recipe.seed) for recipe in trained_recipes if recipe.fresh_backgrounds]
    assert len(done) == len(set(done)) and set(done) <= set(wanted)
    assert set(wanted) - set(done) <= {("original", 0), ("mixed_rand", 0)}
    whole, head = models["head"].training_seconds(), models["head"].training_seconds("head_seconds")
    assert whole is not None and head is not None and whole >= head
    assert models["original"].training_seconds("head_seconds") is None
    trained_recipes.clear()
    REMEDIES.read(study)
    assert trained_recipes == []


def test_a_last_layer_is_the_same_with_and_without_the_stored_base(
    dataset: Dataset, tmp_path: Path, trained_recipes: list[Recipe]
) -> None:
    recipe = PROFILE.recipe.changed(head_on="mixed_rand")
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
    names = ("original", "mixed_rand", "mixed_rand_once")
    models = models_trained(open_study(workspace), names)
    added = gains(models, "mixed_rand_once").set_index("test")
    for test in ("original", "mixed_next"):
        first, second = (models[name].accuracy(test).in_percent().value for name in ("mixed_rand_once", "original"))
        assert added.loc[test, "gain"] == pytest.approx(first - second)
        assert added.loc[test, "low"] <= added.loc[test, "gain"] <= added.loc[test, "high"]
    points = tradeoff(models)
    assert list(points["training"]) == list(names)
    for row in points.itertuples():
        assert row.accuracy_low <= row.accuracy <= row.accuracy_high and row.gap_low <= row.gap <= row.gap_high
    assert gain(models["original"], models["original"], "original").value == 0
    both = models["mixed_rand"], models["original"]
    assert gap_change(*both).value == pytest.approx(both[0].gap().value - both[1].gap().value)
    between = gain(models["original"], models["original"], "mixed_same", "mixed_rand")
    assert between.value == pytest.approx(models["original"].gap().value)
    once = models["mixed_rand_once"].models[0].recipe
    assert once["train_on"] == "mixed_rand" and once["fresh_backgrounds"] is False


def test_the_papers_points_are_table_5() -> None:
    points = published_tradeoff().set_index("training")
    assert list(points.columns) == list(tradeoff({}).columns[1:])
    assert points.loc["original", "accuracy"] == pytest.approx(85.95)
    assert points.loc["original", "gap"] == pytest.approx(20.22)
    assert points.loc["mixed_rand_once", "gap"] == pytest.approx(-0.20)
    assert set(points.index) <= set(WAYS) and set(WAY_LOOKS) <= set(WAYS)
    added = published_gains().set_index("test")["gain"]
    assert added["mixed_next"] == pytest.approx(paper.fact("mixed_rand_gain_next").value)
    assert added["original"] == pytest.approx(-paper.fact("mixed_rand_loss_original").value)


# --- levels ---------------------------------------------------------------------------------------------------------


def test_levels_of_classes_and_of_data(workspace: Workspace) -> None:
    study = open_study(workspace)
    classes, shares = finer(study), SMALLER.read(study)
    assert list(classes) == [9, 18] and list(shares) == [0.5, 1.0]
    assert FINER.groups(PROFILE)[1] == SMALLER.groups(PROFILE)[1.0] == ON_ORIGINAL
    half = shares[0.5].models[0]
    assert half.recipe["epochs"] == 2
    assert half.training["images"] * 2 == shares[1.0].models[0].training["images"]
    assert set(np.unique(classes[18].classes["original"])) <= set(range(9))
    frame = level_frame(classes)
    assert list(frame.columns) == ["level", "quantity", "value", "low", "high"]
    assert list(zip(frame["level"], frame["quantity"], strict=True)) == [
        (level, quantity) for level in (9, 18) for quantity in ("original", "gap")
    ]


def test_what_is_not_recorded_is_left_out(workspace: Workspace, tmp_path: Path) -> None:
    empty = open_study(Workspace(tmp_path), recorded=True)
    assert all(experiment.read(empty) == {} for experiment in EXPERIMENTS.values())
    assert finer(empty) == {} and controls.calibration(empty) == {} and controls.dial(empty) == {}
    assert list(tmp_path.iterdir()) == []
    assert level_frame({}).empty and tradeoff({}).empty and controls.frame({}).empty
    (record,) = records_of(open_study(workspace), ON_ORIGINAL)
    Store(tmp_path / "records" / PROFILE.name).write(record)
    assert list(models_trained(empty, ["original", "in9l"])) == ["original"]


# --- figures --------------------------------------------------------------------------------------------------------


@pytest.fixture
def figures() -> Iterator[list]:
    """Figures put in here are written to a file in the end, so that whatever goes wrong while plotting shows."""
    from matplotlib import pyplot as plt

    with mpl.rc_context():
        kept: list = []
        yield kept
        for figure in kept:
            figure.savefig(io.BytesIO(), format="svg")
        assert plt.get_fignums() == []


def test_lines_have_one_panel_for_each_quantity(figures: list) -> None:
    frame = pd.DataFrame(
        {
            "rho": [0, 1, 0, 1],
            "series": ["gap", "gap", "control", "control"],
            "value": [0.0, 30, 0, 1],
            "low": [-2.0, 27, -1, None],
            "high": [2.0, 33, 1, None],
        }
    )
    references = {"%": [(100 / 9, "chance"), (50, "")]}
    figure = curves.lines({"points": frame, "%": frame}, "rho", "rho", QUANTITY_LOOKS, references).figure
    figures.append(figure)
    assert len(figure.axes) == 2 and figure.axes[1].get_xlabel() == "rho"
    words = [text.get_text().replace("\n", " ") for text in figure.axes[1].texts]
    assert words == ["BG-Gap", QUANTITY_LOOKS["control"]["label"], "chance"]
    nine = frame.assign(rho=[9, 36, 9, 36])
    figures.append(curves.lines({"points": nine}, "rho", "classes", QUANTITY_LOOKS, logarithmic=True).figure)


def test_names_do_not_overlap(figures: list) -> None:
    heights, sizes = [1.0, 1.0, 1.1, 5.0], [1.0, 1.0, 2.0, 1.0]
    order = sorted(zip(curves.moved_apart(heights, sizes), sizes, strict=True))
    gaps = [high[0] - low[0] - (high[1] + low[1]) / 2 for low, high in pairwise(order)]
    assert min(gaps) > -1e-6
    assert list(curves.moved_apart([1.0, 5.0], [1.0, 1.0])) == [1.0, 5.0]
    figure = curves.tradeoff({"The paper": published_tradeoff()}).figure
    figures.append(figure)
    assert [text.get_text().replace("\n", " ") for text in figure.axes[0].texts] == [
        WAY_LOOKS[name]["label"] for name in published_tradeoff()["training"]
    ]


def test_arrows_lead_to_remedies_and_the_frontier_joins_the_best(figures: list) -> None:
    points = published_tradeoff().assign(accuracy=[80, 79, 78, 70], gap=[15, 9, 10, 1])
    figure = curves.tradeoff({"ours": points}, start="original").figure
    figures.append(figure)
    arrows = [text.arrow_patch for text in figure.axes[0].texts if text.arrow_patch is not None]
    assert len(arrows) == len(points) - 1
    (frontier,) = (line for line in figure.axes[0].lines if line.get_linestyle() == "--")
    assert frontier.get_xydata().tolist() == [[80, 15], [79, 9], [70, 1]]  # 78 at 10 is beaten by 79 at 9


# --- seeds and architectures --------------------------------------------------------------------------------------


def test_further_architectures_have_a_recipe_of_their_own(workspace: Workspace, idle: None) -> None:
    names, changes = ("alexnet", "small_resnet_w16_b1_pool"), {"epochs": 2, "weight_decay": 0.25}
    profile = replace(PROFILE, architectures=names, architecture_recipe=changes)
    groups = ARCHITECTURES.groups(profile)
    assert list(groups) == [PROFILE.recipe.architecture, *names]
    own, alexnet, other = (job.recipe for (job,) in groups.values())
    assert own == profile.recipe_on("in9l")
    assert other == replace(own, architecture=names[1], **changes)
    assert alexnet == replace(other, architecture="alexnet", learning_rate=own.learning_rate * 0.1)
    assert "alexnet" not in ARCHITECTURES.read(open_study(workspace, profile, compute=False))


def test_models_are_compared_on_the_seeds_that_both_have(workspace: Workspace) -> None:
    study = open_study(workspace)
    recipes = [PROFILE.recipe_on("original", seed) for seed in (0, 1, 2)]
    all_three = study.predictions(recipes)
    last, mixed = study.predictions(recipes[2:]), study.answers("mixed_rand")
    assert all_three.seeds == [0, 1, 2] and all_three.of_seeds([2, 0]).seeds == [2, 0]
    assert np.array_equal(all_three.of_seeds([2]).classes["original"], last.classes["original"])
    same = gain(last, all_three, "original")
    assert (same.value, same.low, same.high) == (0, 0, 0)
    assert gain(all_three, mixed, "original") == gain(all_three.of_seeds([0]), mixed, "original")
    assert gap_change(all_three, last).value == 0
    with pytest.raises(ValueError, match=r"no seed in common: \[2\] and \[0\]"):
        gain(last, mixed, "original")


def test_what_was_measured_with_some_seeds_only_is_shown_with_those(workspace: Workspace) -> None:
    records_of(open_study(workspace), ON_ORIGINAL)
    profile = replace(PROFILE, level_seeds=(0, 7), fine_levels=(1,))
    assert finer(open_study(workspace, profile, compute=False))[9].seeds == [0]
    assert finer(open_study(workspace, replace(profile, level_seeds=(8, 9)), compute=False)) == {}
