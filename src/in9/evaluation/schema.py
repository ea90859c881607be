"""What a record may hold, checked before a number or a name of it is used.

A record may come from a contributor, and its names are shown on pages: texts are short and printable, numbers finite.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, Field, StringConstraints, ValidationError

from in9.errors import first_problem
from in9.evaluation.results import RESULTS, Amount, Part, like
from in9.files import LONGEST_TEXT, check_plain


class _Scorable(BaseModel):
    """What the pages show of a model; the other facts are only held to be plain."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_TEXT)]
    outputs: Annotated[int, Field(ge=1, le=10**6)] | None = None  # not known of a file of answers
    imagenet_top1: Annotated[float, Field(ge=0, le=100)] | None = None


class _Provenance(BaseModel):
    """What the pages show of when and on what something was measured."""

    when: str = ""
    seconds: Amount = 0.0
    device: str = ""
    commit: str | None = None
    processor: str = ""
    gpu: str | None = None


class _Envelope(Part):
    kind: Annotated[str, like("|".join(RESULTS))]
    name: Annotated[str, like(r"[\w.+-]{0,160}")]
    data: Annotated[str, like(r"[\w ]{0,64}")]
    settings: dict[str, Any]
    results: dict[str, Any]
    provenance: _Provenance


def problem_of(content: Mapping[str, Any]) -> str:
    """What is wrong with the content of a record (kind, name, settings, data, results, provenance); empty if nothing.

    Looks at the content alone: whether its key and its digest are right is asked elsewhere.
    """
    try:
        envelope = _Envelope.model_validate(dict(content))
        check_plain(envelope.settings, "settings")
        check_plain(content["provenance"], "provenance")
        if envelope.kind in ("score", "challenge"):
            _Scorable.model_validate(envelope.settings.get("model"), strict=True)
        RESULTS[envelope.kind].model_validate(envelope.results)
    except ValidationError as error:
        return first_problem(error)
    except ValueError as error:
        return str(error)
    return ""
