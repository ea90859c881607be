"""The dataset of a profile: opened where its folder holds it, else built there."""

from __future__ import annotations

from pathlib import Path

from in9.data.build import build
from in9.data.dataset import Dataset, is_dataset
from in9.data.published import read_published
from in9.data.sources import needed_options, open_source
from in9.errors import In9Error
from in9.study.profile import Profile
from in9.study.workspace import Workspace


class NotMeasured(In9Error):
    """A record, or the data it was measured on, is not there, and the study was asked not to compute it."""


def opened_or_built(profile: Profile, workspace: Workspace, compute: bool, progress: bool) -> Dataset:
    """The dataset in the profile's folder, built there first if it is not there and ``compute`` says so.

    Raises In9Error if the folder holds a dataset made with other settings, or if the source needs files of the user's,
    and NotMeasured if there is no dataset and none may be built.
    """
    folder = workspace.dataset(profile.data)
    if not is_dataset(folder):
        if lacking := lacking_data(profile, workspace):
            raise NotMeasured(lacking)
        if not compute:
            raise NotMeasured(f"There is no data of profile {profile.name!r} here; `in9 book` builds it.")
        workspace.check_writable()
        return build(
            open_source(profile.source, **profile.source_options),
            folder,
            seed=profile.build_seed,
            split=profile.split,
            progress=progress,
            masks=published_masks(profile, workspace),
        )
    dataset = Dataset(folder)
    have, wanted = dataset.settings, profile.data_settings
    same = all(have[key] == wanted[key] for key in ("source", "seed", "split"))
    if not same or not wanted["source_settings"].items() <= have["source_settings"].items():
        raise In9Error(
            f"{folder} holds a dataset with other settings than profile {profile.name!r} needs; "
            "move it away, and it is built anew."
        )
    return dataset


def published_masks(profile: Profile, workspace: Workspace) -> Path | None:
    """The published masks of the profile's dataset, or None if there are none for its settings."""
    path = workspace.published(profile.data)
    if path and profile.data_settings.items() <= read_published(path).settings.items():
        return path
    return None


def lacking_data(profile: Profile, workspace: Workspace) -> str:
    """Where the profile's data were looked for, and how to build them; empty if they are there or can be built here."""
    folder, needed = workspace.dataset(profile.data), needed_options(profile.source, profile.source_options)
    if is_dataset(folder) or not needed:
        return ""
    options = " ".join(f"--{option} PATH" for option in needed)
    return (
        f"There is no data of profile {profile.name!r} in {folder}: build it with "
        f"`in9 build {profile.source} {folder} {options}`, or name a folder that holds it with the parameter data."
    )
