"""What the results of each kind of record may hold: types, ranges, and one length for whatever counts the same images.

``in9.evaluation.schema`` checks whole records.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from in9.data.variants import MIXED, VARIANTS
from in9.files import LONGEST_TEXT
from in9.taxonomy import CLASS_NAMES
from in9.training.recipe import IN9L

MOST_DRAWS = 1000


def like(pattern: str) -> StringConstraints:
    """A text that fits a pattern as a whole."""
    return StringConstraints(pattern=rf"\A(?:{pattern})\z")


Labels = Annotated[str, like("[0-8]*")]
Answers = Annotated[str, like("[-0-8]*")]
Flags = Annotated[str, like("[01]*")]
Numbers = Annotated[str, like(r"(?:\d+(?:\.\d{1,4})?(?: \d+(?:\.\d{1,4})?)*)?")]
Rows = Annotated[str, like(r"\d{1,9}(?: \d{1,9})*")]
TestSet = Annotated[str, like("|".join((*VARIANTS, IN9L)))]
MixedSet = Annotated[str, like("|".join(MIXED))]
Count = Annotated[int, Field(ge=0, le=10**12)]
Share = Annotated[float, Field(ge=0, le=1)]
Percent = Annotated[int, Field(ge=0, le=100)]
Amount = Annotated[float, Field(ge=0, le=1e12)]


class Part(BaseModel):
    """A table of a record: no other keys than these, no other types, no number that is not finite."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class _Training(Part):
    images: Count = 0
    seconds: Amount = 0.0
    losses: list[Amount] = []
    classes: Count = 9
    head_seconds: Amount = 0.0


class _TrueClasses(Part):
    in9: Labels | None = None
    in9l: Labels | None = None

    def of(self, test: str) -> str:
        labels = self.in9l if test == IN9L else self.in9
        if labels is None:
            raise ValueError(f"labels of {test} are missing")
        return labels


class Results(Part):
    """What every kind of record may say of a training."""

    training: _Training = _Training()


class _Answered(Results):
    """Of an evaluation, a validation, or a score."""

    labels: _TrueClasses
    predictions: dict[TestSet, Answers | Annotated[list[Answers], Field(min_length=1, max_length=MOST_DRAWS)]]
    backgrounds: dict[MixedSet, list[Rows]] = {}

    @model_validator(mode="after")
    def _same_images(self) -> _Answered:
        _of_the_images(self.labels, self.predictions, "predictions")
        _of_the_images(self.labels, {test: _rows(texts) for test, texts in self.backgrounds.items()}, "backgrounds")
        return self


class _Scored(_Answered):
    restricted: dict[TestSet, Answers] | None = None

    @model_validator(mode="after")
    def _same_tests(self) -> _Scored:
        if self.restricted is not None:
            _of_the_images(self.labels, self.restricted, "restricted")
            if set(self.restricted) != set(self.predictions):
                raise ValueError("predictions and restricted are of other test sets")
        return self


class _Drawn(Results):
    backgrounds: dict[MixedSet, Annotated[list[Rows], Field(min_length=1, max_length=MOST_DRAWS)]]

    @model_validator(mode="after")
    def _same_images(self) -> _Drawn:
        rows = [row for each in self.backgrounds.values() for row in _rows(each)]
        _one_length(*({"backgrounds": row} for row in rows))
        return self


class _WithMasks(_Answered):
    shares: list[Share]
    areas: list[Share]

    @model_validator(mode="after")
    def _changes(self) -> _WithMasks:
        _one_length({"labels": self.labels.of("original"), "areas": self.areas})
        parts = {test: len(answers) + 1 for test, answers in self.predictions.items() if not isinstance(answers, str)}
        if set(parts.values()) != {len(self.shares)}:
            raise ValueError("shares and predictions are of other changes")
        return self


class _Counted(Part):
    label: Annotated[str, like("|".join(CLASS_NAMES))] = Field(alias="class")
    split: Annotated[str, like(r"train|validation|test|fold\d{1,4}")]
    outcome: Annotated[str, StringConstraints(max_length=LONGEST_TEXT)]
    count: Count


class _Counts(Results):
    rows: list[_Counted]


class _Backgrounds(Part):
    rows: list[Count]
    labels: Labels


class _Foregrounds(_Backgrounds):
    original: Answers


class _Grown(Part):
    backgrounds: Count
    targeted: Flags
    untargeted: Flags


class _Attacked(Results):
    foregrounds: _Foregrounds
    backgrounds: _Backgrounds
    successes: list[Count]
    fooled_by_class: Annotated[list[Flags], Field(min_length=9, max_length=9)]
    growth: Annotated[list[_Grown], Field(min_length=1)]
    composites: Count

    @model_validator(mode="after")
    def _pairs(self) -> _Attacked:
        ours, theirs = self.foregrounds, self.backgrounds
        named = {"rows": ours.rows, "labels": ours.labels, "original": ours.original}
        flags = ({name: text for name, text in part if name != "backgrounds"} for part in self.growth)
        _one_length(named, *({"fooled_by_class": text} for text in self.fooled_by_class), *flags)
        _one_length({"rows": theirs.rows, "labels": theirs.labels, "successes": self.successes})
        if max([0, *self.successes]) > len(ours.rows):
            raise ValueError("successes are more than there are foregrounds")
        if max(part.backgrounds for part in self.growth) != len(theirs.rows):
            raise ValueError("growth does not end with all backgrounds")
        return self


class _Mapped(Part):
    mass: Numbers
    pointing: Numbers
    mass_swapped: Numbers
    pointing_swapped: Numbers
    empty: Flags
    map_side: Annotated[int, Field(ge=1, le=4096)]


class _Salient(Results):
    labels: Labels
    predictions: Answers
    methods: dict[Annotated[str, like("[a-z_]{1,40}")], _Mapped]
    area: Numbers

    @model_validator(mode="after")
    def _maps(self) -> _Salient:
        shares = [{"area": self.area.split()}]
        for method in self.methods.values():
            shares.append({name: str(text).split() for name, text in method if name not in ("empty", "map_side")})
            _one_length({"labels": self.labels, "empty": method.empty})
        _one_length({"labels": self.labels, "predictions": self.predictions}, *shares)
        if any(float(number) > 1 for part in shares for numbers in part.values() for number in numbers):
            raise ValueError("methods hold a share that is above 1")
        return self


class _Challenged(Results):
    labels: Labels
    original: Answers
    vulnerable: dict[Annotated[str, like("untargeted|targeted")], Flags]
    pairs: Count
    composites: Count = 0

    @model_validator(mode="after")
    def _foregrounds(self) -> _Challenged:
        _one_length({"labels": self.labels, "original": self.original, **self.vulnerable})
        if not self.labels or not self.vulnerable or self.pairs % len(self.labels) or self.composites > 2 * self.pairs:
            raise ValueError("pairs are not so many for each foreground")
        return self


class _Measured(Results):
    """Of a benchmark, which no page shows."""

    rows: list[dict[str, Any]]
    fits: Any = None


class _ByRule(Part):
    alone: Answers
    pairs: list[Answers]


class _Paired(Results):
    """Of the answers to all pairs of illustrations."""

    labels: Labels
    restricted: _ByRule
    strict: _ByRule

    @model_validator(mode="after")
    def _square(self) -> _Paired:
        for rule in (self.restricted, self.strict):
            _one_length({"labels": self.labels, "alone": rule.alone, "pairs": rule.pairs})
            _one_length({"labels": self.labels}, dict(enumerate(rule.pairs)))
        return self


class _Demonstrated(Results):
    """Of the first page: percent of each network, object, background and class."""

    percents: list[list[list[Annotated[list[Percent], Field(min_length=9, max_length=9)]]]]


RESULTS: dict[str, type[Results]] = {
    "evaluation": _Answered,
    "validation": _Answered,
    "score": _Scored,
    "masks": _WithMasks,
    "draws": _Drawn,
    "dataset": _Counts,
    "adversarial": _Attacked,
    "saliency": _Salient,
    "challenge": _Challenged,
    "looks": _Salient,
    "pairs": _Paired,
    "demonstration": _Demonstrated,
    "benchmark": _Measured,
}
"""The schema of the results of each kind of record."""


def _rows(texts: Sequence[str]) -> list[list[int]]:
    """The rows of backgrounds that draws name. Raises ValueError for one that is not among them."""
    rows = [[int(number) for number in text.split()] for text in texts]
    if any(max(row) >= len(row) for row in rows):
        raise ValueError("backgrounds name an image that is not there")
    return rows


def _of_the_images(labels: _TrueClasses, answers: Mapping[str, Any], name: str) -> None:
    """Raise ValueError unless there is one answer for each image, and as many of each draw."""
    for test, texts in answers.items():
        wanted = len(labels.of(test))
        for text in [texts] if isinstance(texts, str) else texts:
            if len(text) != wanted:
                raise ValueError(f"{name} of {test} are {len(text)}, of {wanted} images")


def _one_length(*parts: Mapping[Any, Sequence[Any]]) -> None:
    """Raise ValueError unless all are of as many images as the first."""
    wanted = len(next((values for part in parts for values in part.values()), ()))
    for name, values in ((name, values) for part in parts for name, values in part.items()):
        if len(values) != wanted:
            raise ValueError(f"{name} has {len(values)} entries, and {wanted} are needed")
