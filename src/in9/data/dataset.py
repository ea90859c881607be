"""A dataset: what ``in9.data.build`` writes, on disk (paper, section 2, appendix A).

A dataset is a folder::

    manifest.json   format, source, settings, seed, sizes, what was rejected and why, checksums of the other files
    examples.csv    one row per image: id, label, fine class, split, accepted, reason, box; and rejected, where somebody
                    has looked at the masks: why an accepted image is not tested, or nothing
    images.npy      uint8 [N, S, S, 3]
    masks.npy       bool  [N, S, S], true on the object
    tiles.npy       uint8 [N, S, S, 3], Only-BG-T made at native size; only where the source's images are resized

It holds each readable image of the nine classes (that is IN-9L); ``accepted`` marks those with a good mask (IN-9).
The same source, settings and seed give the same bytes.
"""

from __future__ import annotations

from copy import copy
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from in9.errors import In9Error, check_known, errors_told
from in9.files import key_of, read_json, remembered_hash
from in9.taxonomy import CLASS_NAMES, NUM_CLASSES

if TYPE_CHECKING:
    import pandas as pd  # takes a second to import, and the workers of a build do without

FORMAT = 1
TABLE_COLUMNS = ("id", "label", "fine", "split", "accepted", "reason", "left", "top", "right", "bottom")
SPLITS = ("train", "validation", "test")
FOLD = "fold"
"""Before the number of a fold, where images are dealt into folds: their split."""


def testable(table: pd.DataFrame) -> pd.Series:
    """Whether the mask of each image of a dataset's table is accepted, and nobody who looked at it has rejected it."""
    accepted = table["accepted"]
    return accepted & (table["rejected"] == "") if "rejected" in table else accepted


def _read_manifest(path: Path) -> dict[str, Any]:
    from in9.data.manifest import problem_of  # pydantic takes a moment, and the workers of a build do without

    again = "build the dataset again"
    damaged = errors_told(f"{path} is damaged", f"; {again}", ValueError)  # neither JSON nor even text
    with errors_told(f"{path} cannot be read", f"; {again}", OSError), damaged:
        content = read_json(path)
    if not isinstance(content, dict):
        raise In9Error(f"{path} is damaged (not the manifest of a dataset); {again}.")
    if (number := content.get("format")) != FORMAT:
        raise In9Error(f"{path.parent} has format {str(number)[:40]}, this version reads {FORMAT}: build it again.")
    if problem := problem_of(content):
        raise In9Error(f"{path} is damaged ({problem}); {again}.")
    return content


def is_dataset(folder: Path) -> bool:
    """Whether a folder holds a dataset: its manifest is written last."""
    return (folder / "manifest.json").is_file()


class Dataset:
    """A dataset opened from disk; pixels are memory-mapped.

    ``table`` has one row per image (see the module's text), ``images`` is uint8 [N, S, S, 3], ``masks`` bool
    [N, S, S], ``tiles`` uint8 [N, S, S, 3] or None. Raises In9Error if the folder is not a whole dataset.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.fold: int | None = None
        if not is_dataset(self.path):
            raise In9Error(f"{self.path} is not a dataset: it has no manifest.json. Make one with `in9 build`.")
        self.manifest = _read_manifest(self.path / "manifest.json")
        for name, facts in self.manifest["files"].items():
            file = self.path / name
            if not file.is_file() or file.stat().st_size != facts["bytes"]:
                raise In9Error(f"{self.path} is incomplete: {name} is missing or cut short; build it again.")

    @property
    def settings(self) -> dict[str, Any]:
        """What it was built from and how; two datasets with the same settings are the same."""
        derived = ("classes", "count", "unusable", "files")
        settings = {key: value for key, value in self.manifest.items() if key not in derived}
        return settings | {"split": {"folds": 0, **self.manifest["split"]}}  # there have not always been folds

    @property
    def folds(self) -> int:
        """How many folds there are; 0 where some images are for testing alone."""
        return int(self.settings["split"]["folds"])

    def of_fold(self, fold: int | None) -> Dataset:
        """This dataset for networks that leave out a fold: its images are the test split, the other folds ``train``.

        With None, and as it is opened, both splits are all folds. Raises In9Error for a fold that does not exist.
        """
        if fold is not None and not 0 <= fold < self.folds:
            raise In9Error(f"{self.path} has {self.folds} folds, and fold {fold} was asked for; build it with more.")
        other = copy(self)
        other.fold = fold
        return other

    @property
    def hash(self) -> str:
        """A name for the content: 16 hexadecimal digits that depend on every byte of it."""
        return key_of(self.manifest["files"])

    @property
    def image_size(self) -> int:
        """Width and height of every image, in pixels."""
        return int(self.manifest["image_size"])

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row per image, in the order of the pixel arrays."""
        import pandas as pd

        path = self._checked("examples.csv")
        with errors_told(f"{path} cannot be read", "; build the dataset again"):
            table = pd.read_csv(path, dtype={"id": str, "fine": str}, keep_default_na=False)
        if (
            not {*TABLE_COLUMNS} <= set(table)
            or table["accepted"].dtype != bool
            or not table["label"].isin(range(NUM_CLASSES)).all()
        ):
            raise In9Error(f"{path} is not the table of a dataset; build the dataset again.")
        return table

    @cached_property
    def images(self) -> np.ndarray:
        """uint8 [N, S, S, 3]."""
        return self._array("images.npy", np.uint8, (3,))

    @cached_property
    def masks(self) -> np.ndarray:
        """bool [N, S, S], true on the object."""
        return self._array("masks.npy", np.bool_, ())

    @cached_property
    def tiles(self) -> np.ndarray | None:
        """uint8 [N, S, S, 3], Only-BG-T made at native size, or None where it can be made from image and box."""
        return self._array("tiles.npy", np.uint8, (3,)) if "tiles.npy" in self.manifest["files"] else None

    def _array(self, name: str, kind: type[np.generic], channels: tuple[int, ...]) -> np.ndarray:
        path, wanted = self._checked(name), (len(self.table), self.image_size, self.image_size, *channels)
        with errors_told(f"{path} cannot be read", "; build the dataset again"):
            array = np.load(path, mmap_mode="r")
        if array.dtype != kind or array.shape != wanted:
            raise In9Error(
                f"{path} holds {array.dtype} {list(array.shape)}, and its manifest says {np.dtype(kind)} "
                f"{list(wanted)}; build the dataset again."
            )
        return array

    def _checked(self, name: str, anew: bool = False) -> Path:
        """The path of a file whose content is what was built: it is hashed once on a machine, or ``anew``."""
        path = self.path / name
        if remembered_hash(path, anew) != self.manifest["files"][name]["sha256"]:
            raise In9Error(f"{path} was changed after the build; build the dataset again.")
        return path

    def verify(self) -> None:
        """Read each file to its end and compare it with its checksum; raises In9Error naming the first that differs.

        Whoever opens a dataset need not do this: a file that is used is compared after each change, by a hash that is
        noted. This also notices a disk that rots.
        """
        for name in self.manifest["files"]:
            self._checked(name, anew=True)

    def indices(self, split: str, accepted: bool = True) -> np.ndarray:
        """The rows of one split: those with a good mask (IN-9), or all of them (IN-9L).

        Images that somebody has looked at and rejected are trained on, as in the paper, and not tested on.
        """
        check_known("split", [split], SPLITS)
        chosen = self.table["split"] == split
        if self.folds and split != "validation":
            left_out = self.table["split"] == f"{FOLD}{self.fold}"
            chosen = self.table["split"] != "validation"
            if self.fold is not None:
                chosen &= left_out if split == "test" else ~left_out
        if accepted:
            chosen &= testable(self.table) if split == "test" else self.table["accepted"]
        return np.flatnonzero(chosen)

    def outcomes(self) -> pd.DataFrame:
        """How many examples each rule kept or rejected: columns class, split, outcome, count."""
        import pandas as pd

        columns = ["label", "split", "reason"]
        examples = self.table[columns]
        if self.manifest["unusable"]:
            examples = pd.concat([examples, pd.DataFrame(self.manifest["unusable"], columns=columns)])
        examples = examples.rename(columns={"reason": "outcome"}).replace({"outcome": {"": "accepted"}})
        counts = examples.groupby(["label", "split", "outcome"]).size().reset_index(name="count")
        counts.insert(0, "class", [CLASS_NAMES[label] for label in counts.pop("label")])
        return counts
