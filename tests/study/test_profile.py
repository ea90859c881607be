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
    assert profile_names() == ["control", "light", "paper", "smoke", "tiny"]
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
    light, tiny = load_profile("light"), load_profile("tiny")
    assert light.data == tiny.data == "tiny" and light.data_settings == tiny.data_settings
    changed = {field.name for field in fields(Profile) if getattr(light, field.name) != getattr(tiny, field.name)}
    assert changed == {"name", "about", "recipe", "seeds", "level_recipe", "architectures", "trials"}
    assert light.level_recipe == light.trials == {} and light.architectures == ()
    # What trains on a processor is one recipe, wherever it stands.
    assert (
        light.recipe
        == tiny.recipe.changed(**tiny.level_recipe)
        == tiny.recipe.changed(**tiny.trials["for a processor"])
    )


def test_tiny_explains_every_setting_that_photographs_have() -> None:
    """Others are written from it: each setting has a line there, as a comment if its default will do."""
    text = (PROJECT / "src" / "in9" / "study" / "profiles" / "tiny.toml").read_text()
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
    tiny = load_profile("tiny")
    text = 'extends = "tiny"\nlevel_recipe = {epochs = 2}\n[trials.wider]\narchitecture = "small_resnet_w96_b1"\n'
    mine = load_profile(written(tmp_path, text))
    assert mine.trials == {"wider": {"architecture": "small_resnet_w96_b1"}}
    assert mine.level_recipe == {"epochs": 2} and len(tiny.level_recipe) > 1
    assert mine.recipe == tiny.recipe and mine.architecture_recipe == tiny.architecture_recipe
    split = load_profile(written(tmp_path, 'extends = "tiny"\nsplit = {test = 0.5}\n')).split
    assert split == Split(test=0.5)


def test_options_of_the_source_are_changed_one_by_one(tmp_path: Path) -> None:
    control = load_profile("control")
    mine = load_profile(written(tmp_path, 'extends = "control"\nsource_options = {rho = 0.2}\n'))
    assert mine.source_options == {**control.source_options, "rho": 0.2}


@pytest.mark.parametrize(
    ("base", "text", "data"),
    [
        ("tiny", "seeds = [7]", "tiny"),
        ("light", "seeds = [7]", "tiny"),
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
