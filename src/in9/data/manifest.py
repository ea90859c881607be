"""What the manifest of a dataset must say, checked before anything of it is used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from in9.errors import first_problem
from in9.taxonomy import CLASS_NAMES

ARRAYS = ("images.npy", "masks.npy", "tiles.npy")
NEEDED = {"examples.csv", "images.npy", "masks.npy"}
Name = Annotated[str, StringConstraints(min_length=1, max_length=100)]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, allow_inf_nan=False)


class _File(_Strict):
    bytes: Annotated[int, Field(ge=0)]
    sha256: Annotated[str, StringConstraints(pattern=r"\A[0-9a-f]{64}\z")]


class _Shares(_Strict):
    test: Annotated[float, Field(ge=0, le=1)]
    validation: Annotated[float, Field(ge=0, le=1)]
    folds: Annotated[int, Field(ge=0, le=10**6)] = 0


class _Unusable(_Strict):
    label: Annotated[int, Field(ge=0, lt=len(CLASS_NAMES))]
    split: str
    reason: str


class _Manifest(_Strict):
    source: Name
    source_settings: dict[str, Any]
    image_size: Annotated[int, Field(ge=1, le=10**4)]
    seed: int
    split: _Shares
    classes: list[str]
    unusable: list[_Unusable]
    files: dict[str, _File]

    @model_validator(mode="after")
    def _ours(self) -> _Manifest:
        if self.classes != list(CLASS_NAMES):
            raise ValueError("classes are not the nine")
        if not NEEDED <= set(self.files) <= {*NEEDED, *ARRAYS}:
            raise ValueError("files are not those of a dataset")
        return self


def problem_of(content: Mapping[str, Any]) -> str:
    """What is wrong with the content of a manifest; empty if nothing."""
    try:
        _Manifest.model_validate(content)
    except ValidationError as error:
        missing = (each["loc"] for each in error.errors() if each["type"] == "missing")
        lacking = [str(place[0]) for place in missing if len(place) == 1]
        return f"it lacks {', '.join(lacking)}" if lacking else first_problem(error)
    return ""
