"""Where things lie: the project's folder, its committed records, and what this machine has computed."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from in9.data.published import MASKS_FILE
from in9.errors import In9Error, plain_disk_errors

HOME_VARIABLE = "IN9_HOME"


class Workspace:
    """The folders of a project; ``data`` and ``runs`` are local to a machine and not under version control."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.data = root / "data"  # datasets, one folder each
        self.photographs = self.data / "photographs"  # that may be shown, once `in9 fetch photographs` has fetched them
        self.runs = root / "runs"  # what this machine has computed
        self.measured = self.runs / "records"  # this machine's, one folder for each profile
        self.scores = self.measured / "scores"  # records of what `in9 evaluate` and `in9 challenge` scored
        self.features = self.runs / "features"  # what frozen networks say of images and words: it takes long to compute
        self.trained = self.runs / "trained"  # weights and checkpoints
        self.challenges = self.runs / "challenges"  # what challenges that were stopped go on from
        self.committed = root / "records"  # measured on real images and part of the project: numbers only

    def dataset(self, name: str) -> Path:
        """The folder of a dataset."""
        return self.data / name

    def check_writable(self) -> None:
        """Raise In9Error if what is computed could not be written, before anything is; nothing stays behind."""
        there = next(folder for folder in (self.measured, *self.measured.parents) if folder.exists())
        with plain_disk_errors(self.runs), tempfile.NamedTemporaryFile(dir=there, suffix=".writing") as trial:
            trial.write(bytes(1 << 16))

    def published(self, name: str) -> Path | None:
        """The published masks of a dataset, or None if there are none."""
        path = self.committed / name / MASKS_FILE
        return path if path.is_file() else None


def find_workspace(start: Path | str | None = None) -> Workspace:
    """The workspace that a folder lies in: the nearest folder above with ``_config.yml`` and ``notebooks``.

    The environment variable IN9_HOME comes first. Outside a project the current folder is the workspace, so the
    package also works if it was installed without the book. Raises In9Error if IN9_HOME is no folder.
    """
    chosen = os.environ.get(HOME_VARIABLE)
    if chosen and start is None:
        if not Path(chosen).is_dir():
            raise In9Error(f"{HOME_VARIABLE} is {chosen}, which is no folder; make it, or unset the variable.")
        return Workspace(Path(chosen).resolve())
    here = Path(start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if (folder / "_config.yml").is_file() and (folder / "notebooks").is_dir():
            return Workspace(folder)
    return Workspace(here)
