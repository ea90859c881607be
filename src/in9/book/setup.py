"""What the first cells of a chapter do: check its parameters and open the study that they describe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from in9.book.parameters import declared, values_in
from in9.errors import In9Error
from in9.study.profile import Profile, load_profile
from in9.study.study import Study

CHANGES = declared(
    "data: str = None\nepochs: int = None\nseeds: list[int] = None\narchitecture: str = None\n"
    "training_sets: list[str] = None\n"
)
"""Parameters that change what is measured, as every chapter declares them."""


def open_study(names: Mapping[str, Any]) -> Study:
    """The study of a chapter, from the names in its notebook: ``study = open_study(globals())``.

    ``profile`` is the name of a profile or the path of a TOML file. With ``measure`` what has no record is trained and
    measured on ``device``; without, nothing is computed. ``data`` is the folder of a built dataset; ``epochs``,
    ``seeds``, ``architecture`` and ``training_sets`` take the place of the profile's. Raises In9Error for a parameter
    that papermill was given and the chapter does not have, for a value of another type than the cell of parameters
    declares, and for changes of what is measured where nothing is.
    """
    values = values_in(names)
    measure, changes = values["measure"], [name for name in CHANGES if values.get(name) is not None]
    if changes and not measure:
        raise In9Error(f"The parameter {changes[0]!r} changes what is measured, and without measure = True nothing is.")
    return study_of(changed(load_profile(values["profile"]), values), measure, values["device"])


def study_of(profile: Profile, measure: bool, device: str = "auto", engine: str | None = None) -> Study:
    """The study of a profile: one that measures; or one that reads the project's records, or else this machine's."""
    if measure:
        return Study(profile, device=device, engine=engine)
    study = Study(profile, recorded=True, engine=engine)
    return study if has_records(study) else Study(profile, compute=False, device=device, engine=engine)


def has_records(study: Study) -> bool:
    """Whether there is a record of the study's profile."""
    return any((study.records / study.profile.name).glob("*.json"))


def changed(profile: Profile, given: Mapping[str, Any]) -> Profile:
    """The profile with other data, epochs, seeds (or folds), network or training sets, where parameters say so.

    Raises In9Error for a value of another type.
    """
    values = {name: CHANGES[name].fitting(given[name]) for name in CHANGES if given.get(name) is not None}
    recipe = {name: values[name] for name in ("epochs", "architecture") if name in values}
    return replace(
        profile,
        data=str(Path(values["data"]).expanduser().absolute()) if "data" in values else profile.data,
        seeds=tuple(values.get("seeds", profile.seeds)),
        training_sets=tuple(values.get("training_sets", profile.training_sets)),
        recipe=profile.recipe.changed(**recipe),
    )
