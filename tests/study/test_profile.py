"""Profiles in TOML files: what they extend, what they share, and one sentence for each mistake."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from pathlib import Path

import pytest

from in9.data.splits import Split
from in9.errors import In9Error
from in9.experiments.measuring import EXPERIMENTS
from in9.study.profile import Profile, load_profile, profile_names
from in9.study.study import Study
from in9.study.workspace import Workspace
from in9.training.recipe import Recipe

PROJECT = Path(__file__).parents[2]
OWN = """
about = "Mine."
source = "synthetic"
real = false
seeds = [4, 5]
saliency_per_class = "all"

[source_options]
per_class = 12

[recipe]
epochs = 1
"""


def written(folder: Path, text: str, name: str = "mine.toml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


# --- the project's own ------------------------------------------------------------------------------------------


def test_profiles_have_names_and_an_unknown_one_lists_them() -> None:
    assert profile_names() == ["control", "light", "paper", "smoke", "split", "tiny"]
    for name in profile_names():
        profile = load_profile(name)
        assert profile.name == name and profile.file is None and profile == load_profile(name)
        assert profile.about.endswith(".") and profile.seeds
    with pytest.raises(
        In9Error, match=r"no profile 'contrl'\. Did you mean 'control'\? Choose one of: control, light, paper"
    ):
        Study("contrl")


def test_the_papers_profile_is_the_papers_recipe() -> None:
    assert load_profile("paper").recipe == Recipe()


def test_light_extends_tiny() -> None:
    light, tiny, split = load_profile("light"), load_profile("tiny"), load_profile("split")
    assert light.data == tiny.data == "tiny" and light.data_settings == tiny.data_settings
    changed = {field.name for field in fields(Profile) if getattr(light, field.name) != getattr(tiny, field.name)}
    assert changed == {
        "name",
        "about",
        "recipe",
        "seeds",
        "remedy_seeds",
        "many_trainings",
        "in9l_epochs",
        "perturbations",
    }
    assert light.level_recipe == light.trials == light.perturbations == {} and light.architectures == ()
    assert light.of_many_trainings == light and tiny.of_many_trainings == split
    # What trains on a processor is one recipe, wherever it stands.
    assert (
        light.recipe
        == split.recipe.changed(**split.level_recipe)
        == split.recipe.changed(**split.trials["for a processor"])
    )


def test_split_has_the_photographs_of_tiny_without_folds() -> None:
    split, tiny = load_profile("split"), load_profile("tiny")
    assert split.split == Split() and split.split.folds == 0 and tiny.split.folds == len(tiny.seeds) == 5
    assert split.data == "split" and split.source == tiny.source and split.recipe == tiny.recipe
    assert {recipe.fold for recipe in split.recipes_on()} == {None}
    assert split.trials and split.architectures and not tiny.trials and not tiny.architectures


def test_with_folds_each_network_leaves_out_the_fold_of_its_seed() -> None:
    tiny = load_profile("tiny")
    recipes = tiny.recipes_on(["original", "mixed_rand"])
    assert [(recipe.seed, recipe.fold) for recipe in recipes] == 2 * [(seed, seed) for seed in range(5)]
    assert tiny.recipe.fold is None and tiny.recipe_on("original").fold == 0
    assert [recipe.fold for recipe in tiny.recipes_on(["original"], [3, 1])] == [3, 1]
    for profile in (load_profile("control"), load_profile("paper")):
        assert all("fold" not in recipe.changes for recipe in profile.recipes_on())


def test_tiny_and_split_explain_every_setting_that_photographs_have() -> None:
    """Others are written from them: each setting has a line there, as a comment if its default will do."""
    folder = PROJECT / "src" / "in9" / "study" / "profiles"
    text = "\n".join((folder / f"{name}.toml").read_text() for name in ("tiny", "split"))
    explained = set(re.findall(r"^(?:# )?\[?(\w+)", text, re.M))
    of_drawings = {"source_options", "dial_seeds", "dial_epochs"}
    set_by_itself = {"name", "data", "file"}
    assert {field.name for field in fields(Profile)} - explained == of_drawings | set_by_itself


# --- a file of one's own ----------------------------------------------------------------------------------------


def test_a_profile_in_a_file(tmp_path: Path) -> None:
    path = written(tmp_path, OWN)
    mine = load_profile(path)
    assert mine == load_profile(str(path))
    assert (mine.name, mine.data, mine.file) == ("mine", "mine", str(path))
    assert (mine.about, mine.source, mine.real, mine.seeds) == ("Mine.", "synthetic", False, (4, 5))
    assert mine.recipe == Recipe(epochs=1) and mine.split == Split() and mine.source_options == {"per_class": 12}
    assert mine.saliency_per_class is None and mine.saliency["per_class"] is None
    assert [recipe.seed for recipe in mine.recipes_on(["original"])] == [4, 5] and mine.recipe_on("original").seed == 4
    assert Study(path, workspace=Workspace(tmp_path)).profile == mine
    named = load_profile(written(tmp_path, f'name = "other"\n{OWN}'))
    assert (named.name, named.data) == ("other", "other")


def test_a_path_is_taken_from_here_and_from_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("mine.toml", Path("mine.toml"), "~/mine.toml"):
        assert load_profile(name).file == str(path)


def test_an_extension_changes_only_what_it_names(tmp_path: Path) -> None:
    tiny = load_profile("tiny")
    path = written(
        tmp_path, 'extends = "tiny"\nabout = "Less."\n[recipe]\nepochs = 3\n[recipe.augmentation]\njitter = 0.0\n'
    )
    mine = load_profile(path)
    recipe = tiny.recipe.changed(epochs=3, augmentation={"jitter": 0.0})
    assert mine == replace(tiny, name="mine", about="Less.", file=str(path), recipe=recipe)
    assert recipe.augmentation.rotation == tiny.recipe.augmentation.rotation == 15.0


def test_tables_other_than_the_recipe_are_replaced_as_a_whole(tmp_path: Path) -> None:
    base = load_profile("split")
    text = 'extends = "split"\nlevel_recipe = {epochs = 2}\n[trials.wider]\narchitecture = "small_resnet_w96_b1"\n'
    mine = load_profile(written(tmp_path, text))
    assert mine.trials == {"wider": {"architecture": "small_resnet_w96_b1"}}
    assert mine.level_recipe == {"epochs": 2} and len(base.level_recipe) > 1
    assert mine.recipe == base.recipe and mine.architecture_recipe == base.architecture_recipe
    split = load_profile(written(tmp_path, 'extends = "tiny"\nsplit = {test = 0.5}\n')).split
    assert split == Split(test=0.5)
    text = 'extends = "tiny"\n[perturbations.weak]\nnorm = "l2"\nradius = 0.5\n'
    assert load_profile(written(tmp_path, text)).perturbations == {"weak": {"norm": "l2", "radius": 0.5}}


def test_options_of_the_source_are_changed_one_by_one(tmp_path: Path) -> None:
    control = load_profile("control")
    mine = load_profile(written(tmp_path, 'extends = "control"\nsource_options = {rho = 0.2}\n'))
    assert mine.source_options == {**control.source_options, "rho": 0.2}


@pytest.mark.parametrize(
    ("base", "text", "data"),
    [
        ("tiny", "seeds = [3]", "tiny"),
        ("light", "seeds = [3]", "tiny"),
        ("split", "seeds = [7]", "split"),
        ("tiny", "draws = 2", "tiny"),
        ("tiny", "split = {test = 0.0, folds = 2}\nseeds = [1]\nrobust_seeds = [0]", "mine"),
        ("control", "[recipe]\nepochs = 1", "control"),
        ("control", "[source_options]\nrho = 0.2", "mine"),
        ("control", "build_seed = 1", "mine"),
        ("tiny", "split = {test = 0.5}", "mine"),
        ("tiny", 'source = "imagenet"', "mine"),
        ("control", 'data = "elsewhere"\nbuild_seed = 1', "elsewhere"),
    ],
)
def test_data_are_shared_unless_something_of_them_changes(tmp_path: Path, base: str, text: str, data: str) -> None:
    mine = load_profile(written(tmp_path, f'extends = "{base}"\n{text}\n'))
    assert mine.data == data
    assert (mine.data_settings == load_profile(base).data_settings) == (data == load_profile(base).data)
    assert Study(mine, workspace=Workspace(tmp_path)).folder == tmp_path / "data" / data


def test_the_same_settings_in_another_profile_have_the_same_keys(tmp_path: Path) -> None:
    mine, smoke = load_profile(written(tmp_path, 'extends = "smoke"\n')), load_profile("smoke")
    for name, experiment in EXPERIMENTS.items():
        ours, theirs = experiment.jobs(mine), experiment.jobs(smoke)
        assert [job.key for job in ours] == [job.key for job in theirs], name


# --- mistakes ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("colour = 1", r"mine\.toml: There is no setting 'colour'\. .*Choose one of: about, .*trials"),
        ("[recipe]\nepoch = 1", r"mine\.toml: There is no setting of recipe 'epoch'\. Did you mean 'epochs'"),
        ("[recipe.augmentation]\njiter = 1.0", r"no setting of recipe\.augmentation 'jiter'\. Did you mean 'jitter'"),
        ("split = {tests = 0.1}", r"There is no setting of split 'tests'\. Did you mean 'test'"),
        ('seeds = "many"', r"mine\.toml: seeds = 'many' will not do \(.+\)\.$"),
        ("seeds = [1, 2.5]", r"seeds\.1 = 2\.5 will not do"),
        ("seeds = [true]", r"seeds\.0 = True will not do"),
        ("seeds = []", r"mine\.toml: A profile needs at least 1 seed"),
        ('real = "yes"', r"real = 'yes' will not do"),
        ("about = 3", r"about = 3 will not do"),
        ("seeds = 1979-05-27", r"seeds = '1979-05-27' will not do"),
        ("adversarial_foregrounds = 2.5", r"adversarial_foregrounds = 2\.5 will not do"),
        ("recipe = 3", r"recipe = 3 will not do"),
        ('[recipe]\nepochs = "60"', r"recipe\.epochs = '60' will not do"),
        ("trials = [1]", r"trials = \[1\] will not do"),
        ("[trials]\nlonger = 3", r"trials\.longer = 3 will not do"),
        (
            "[trials.longer]\nepoch = 3",
            r"mine\.toml: There is no setting of trials\.longer 'epoch'\. Did you mean 'epochs'",
        ),
        (
            "[trials.longer]\naugmentation = {jiter = 1.0}",
            r"mine\.toml: There is no setting of trials\.longer\.augmentation 'jiter'",
        ),
        ('[trials.longer]\nepochs = "many"', r"mine\.toml: trials\.longer\.epochs = 'many' will not do"),
        ("[level_recipe]\nepoch = 3", r"mine\.toml: There is no setting of level_recipe 'epoch'"),
        ("[level_recipe]\nepochs = 0", r"mine\.toml: A recipe needs at least 1 epoch"),
        ("[architecture_recipe]\nepoch = 3", r"mine\.toml: There is no setting of architecture_recipe 'epoch'"),
        (
            '[recipe]\ntrain_on = "mixed_ran"',
            r"mine\.toml: There is no training set 'mixed_ran'\. Did you mean 'mixed_rand'",
        ),
        ("[recipe]\nepochs = 0", r"mine\.toml: A recipe needs at least 1 epoch"),
        ("seeds = [4, 5]", r"With 5 folds seeds are their numbers, 0 to 4; got seeds = \[4, 5\]\.$"),
        ("remedy_seeds = [-1]", r"With 5 folds seeds are their numbers, 0 to 4; got remedy_seeds = \[-1\]\.$"),
        ("level_seeds = [9]", r"got level_seeds = \[9\]\.$"),
        ("robust_seeds = [9]", r"got robust_seeds = \[9\]\.$"),
        ("draws = 0", r"mine\.toml: Mixed test sets are drawn once to 1,000 times; got draws = 0\.$"),
        ("draws = 1.5", r"draws = 1\.5 will not do"),
        ("split = {folds = 5}", r"A split with folds tests all of them: set test = 0 \(it is 0\.2\)\.$"),
        ("split = {test = 0.0, folds = 1}", r"A split has at least 2 folds, or 0 for none; got folds = 1\.$"),
        ("[robust_recipe]\nepoch = 3", r"There is no setting of robust_recipe 'epoch'\. Did you mean 'epochs'"),
        ("perturbations = 3", r"perturbations = 3 will not do"),
        ("perturbations = {mine = 3}", r"perturbations\.mine = 3 will not do"),
        (
            '[perturbations.mine]\nnorm = "l3"\nradius = 1.0',
            r"mine\.toml: There is no norm 'l3'\. Choose one of: l2, linf\.$",
        ),
        (
            '[perturbations.mine]\nnorm = "l2"\nradius = 0.0',
            r"mine\.toml: A perturbation has a radius above 0 and at least 1 step; got 0 and 3\.$",
        ),
        ('[perturbations.mine]\nnorm = "l2"\nradius = nan', r"radius above 0 and at least 1 step; got nan and 3\.$"),
        ('[perturbations.mine]\nnorm = "l2"\nradius = 1.0\nsteps = 0', r"at least 1 step; got 1 and 0\.$"),
        ('[perturbations.mine]\nnorm = "l2"', r"mine\.toml: the setting 'perturbations\.mine\.radius' is missing"),
        ('[perturbations.mine]\nnorm = "l2"\nradius = "1"', r"perturbations\.mine\.radius = '1' will not do"),
        (
            '[perturbations.recipe]\nnorm = "l2"\nradius = 1.0\nstep = 3',
            r"no setting of perturbations\.recipe 'step'\. Did you mean 'steps'\? .*: norm, radius, steps\.$",
        ),
        (
            '[recipe.perturbation]\nnorm = "l2"\nradius = 1.0\nstep = 3',
            r"no setting of recipe\.perturbation 'step'\. Did you mean 'steps'\? .*: norm, radius, steps\.$",
        ),
        ("[trials.split]\nepoch = 3", r"no setting of trials\.split 'epoch'\. Did you mean 'epochs'"),
        ("seeds = [1", r"mine\.toml is no TOML file \(.*\)"),
        ('extends = "tin"', r"mine\.toml: There is no profile to extend 'tin'\. Did you mean 'tiny'"),
        ("extends = 3", r"mine\.toml: There is no profile to extend '3'"),
        ('name = "tiny"', r"mine\.toml: the name 'tiny' is that of a profile of the project; choose another"),
        ('name = "../up"', r"mine\.toml: the name '\.\./up' must be of letters, digits, dots, dashes, underscores"),
        ("name = 3", r"name = 3 will not do"),
    ],
)
def test_a_mistake_is_told_in_one_sentence(tmp_path: Path, text: str, message: str) -> None:
    path = written(tmp_path, text if "extends" in text else f'extends = "tiny"\n{text}\n')
    with pytest.raises(In9Error, match=message) as caught:
        load_profile(path)
    assert "\n" not in str(caught.value) and str(caught.value).endswith(".")


@pytest.mark.parametrize("missing", ["about", "source", "real", "recipe"])
def test_a_setting_that_must_be_there(tmp_path: Path, missing: str) -> None:
    settings = {
        "about": 'about = "Mine."',
        "source": 'source = "synthetic"',
        "real": "real = false",
        "recipe": "recipe = {}",
    }
    path = written(tmp_path, "\n".join(line for name, line in settings.items() if name != missing))
    with pytest.raises(
        In9Error, match=rf"mine\.toml: the setting '{missing}' is missing; add it, or extend a profile\.$"
    ):
        load_profile(path)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(In9Error, match=r"The profile .*none\.toml cannot be read \(No such file or directory\); check"):
        load_profile(tmp_path / "none.toml")
    (tmp_path / "folder.toml").mkdir()
    with pytest.raises(In9Error, match=r"folder\.toml cannot be read \(Is a directory\)"):
        load_profile(tmp_path / "folder.toml")
    (tmp_path / "bytes.toml").write_bytes(b"about = \xff")
    with pytest.raises(In9Error, match=r"bytes\.toml is no TOML file"):
        load_profile(tmp_path / "bytes.toml")
    written(tmp_path, OWN, "tiny.toml")
    with pytest.raises(In9Error, match=r"tiny\.toml: the name 'tiny' is that of a profile of the project"):
        load_profile(tmp_path / "tiny.toml")
    with pytest.raises(In9Error, match=r"no profile '.*mine\.yaml'\. .*the path of a \.toml file"):
        load_profile(written(tmp_path, OWN, "mine.yaml"))
