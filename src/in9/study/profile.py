"""Profiles: the settings of the whole book, each a TOML file; those of the project lie in ``profiles/``.

A profile that says ``extends = "tiny"`` changes only what it names. The tables ``recipe``, ``recipe.augmentation`` and
``source_options`` are changed setting by setting; other tables are replaced as a whole.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import Field, asdict, dataclass, field, fields, replace
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config

from in9.data.splits import Split
from in9.errors import In9Error, check_known, errors_told, unknown
from in9.evaluation.results import MOST_DRAWS
from in9.files import plain, read_bytes
from in9.training.augmentation import Augmentation
from in9.training.recipe import TRAINING_SETS, Perturbation, Recipe

ALL_FINER = 1000  # no class of ImageNet has as many below it
MERGED = ("recipe", "augmentation", "source_options")
SETTING_TABLES: dict[str, Any] = {
    "recipe": Recipe,
    "augmentation": Augmentation,
    "perturbation": Perturbation,
    "split": Split,
}
OF_THE_DATA = ("source", "source_options", "split", "build_seed")
PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True)
class Profile:
    """Which data, which recipe and how many seeds.

    ``profiles/tiny.toml`` says in a comment what each setting does, ``profiles/split.toml`` what those of experiments
    with many trainings do.

    ``data`` is the name of the dataset's folder: the profile's own, or that of the profile it extends if it changes
    nothing of the data. ``file`` is the file of a profile of the user's. A number of images that is None, in a file
    ``"all"``, means all of them.
    """

    name: str
    about: str
    source: str
    real: bool
    recipe: Recipe
    data: str = ""
    file: str | None = None
    source_options: dict[str, Any] = field(default_factory=dict)
    split: Split = field(default_factory=Split)
    build_seed: int = 0
    seeds: tuple[int, ...] = (0,)
    training_sets: tuple[str, ...] = TRAINING_SETS
    draws: int = 1
    adversarial_foregrounds: int | None = None
    adversarial_backgrounds: int | None = None
    saliency_per_class: int | None = None
    dial: tuple[float, ...] = (0.0, 0.25, 0.5, 0.75, 1.0)
    dial_seeds: tuple[int, ...] = (0, 1)
    dial_epochs: int | None = None
    remedy_seeds: tuple[int, ...] | None = None
    level_seeds: tuple[int, ...] | None = None
    level_recipe: dict[str, Any] = field(default_factory=dict)
    fine_levels: tuple[int, ...] = (1, 2, 4, ALL_FINER)
    fractions: tuple[float, ...] = (0.25, 0.5, 1.0)
    architectures: tuple[str, ...] = ()
    architecture_recipe: dict[str, Any] = field(default_factory=dict)
    many_trainings: str = ""
    in9l_epochs: int | None = None
    robust_seeds: tuple[int, ...] | None = None
    robust_recipe: dict[str, Any] = field(default_factory=dict)
    perturbations: dict[str, dict[str, Any]] = field(default_factory=dict)
    trials: dict[str, dict[str, Any]] = field(default_factory=dict)
    shrinks: tuple[int, ...] = (2,)

    def __post_init__(self) -> None:
        if not self.data:
            object.__setattr__(self, "data", self.name)
        if not self.seeds:
            raise In9Error("A profile needs at least 1 seed.")
        folds = self.split.folds
        for name in ("seeds", "remedy_seeds", "level_seeds", "robust_seeds") if folds else ():
            seeds = list(getattr(self, name) or ())
            if not set(seeds) <= set(range(folds)):
                raise In9Error(f"With {folds} folds seeds are their numbers, 0 to {folds - 1}; got {name} = {seeds}.")
        if not self.training_sets:
            raise In9Error("A profile needs at least 1 training set.")
        check_known("training set", self.training_sets, TRAINING_SETS)
        if not 1 <= self.draws <= MOST_DRAWS:
            raise In9Error(f"Mixed test sets are drawn once to {MOST_DRAWS:,} times; got draws = {self.draws}.")
        if any(part < 2 for part in self.shrinks) or not all(0 < share <= 1 for share in self.fractions):
            raise In9Error("A profile shrinks images to a half (2) or less, and takes fractions in (0, 1] of them.")

    @property
    def of_many_trainings(self) -> Profile:
        """The profile of the experiments that take many trainings: this one, unless it names another."""
        return load_profile(self.many_trainings) if self.many_trainings else self

    @property
    def option(self) -> str:
        """What ``--profile`` takes for it: its file, or its name if it is one of the project's own."""
        return self.file or self.name

    @property
    def data_settings(self) -> dict[str, Any]:
        """What the profile says of its dataset, known without the data."""
        return plain(
            {
                "source": self.source,
                "source_settings": self.source_options,
                "seed": self.build_seed,
                "split": asdict(self.split),
            }
        )

    @property
    def adversarial(self) -> dict[str, int | None]:
        """The options of the measurement ``adversarial``: how many of each class, None for all test images."""
        return {
            "foregrounds_per_class": self.adversarial_foregrounds,
            "backgrounds_per_class": self.adversarial_backgrounds,
        }

    @property
    def saliency(self) -> dict[str, Any]:
        """The options of the measurement ``saliency``: every method, on whole images."""
        return {
            "per_class": self.saliency_per_class,
            "methods": ["gradcam", "gradcam_finer", "gradient"],
            "variant": "original",
        }

    def recipe_on(self, train_on: str, seed: int | None = None, **changes: Any) -> Recipe:
        """The recipe for a training set and a seed (the first, unless given), with further settings changed.

        Where images are dealt into folds, the seeds are their numbers: each network leaves out the fold of its seed.
        """
        seed = self.seeds[0] if seed is None else seed
        changes.setdefault("fold", seed if self.split.folds else None)
        return self.recipe.changed(train_on=train_on, seed=seed, **changes)

    def recipes_on(
        self, train_on: Sequence[str] | None = None, seeds: Sequence[int] | None = None, **changes: Any
    ) -> list[Recipe]:
        """One recipe for each training set and each seed (the profile's, unless given)."""
        names, seeds = train_on or self.training_sets, seeds or self.seeds
        return [self.recipe_on(name, seed, **changes) for name in names for seed in seeds]


def profile_names() -> list[str]:
    """The names of the project's own profiles."""
    return sorted(path.name.removesuffix(".toml") for path in _folder().iterdir() if path.name.endswith(".toml"))


def load_profile(name: str | Path) -> Profile:
    """The profile of that name, or in that TOML file.

    Raises In9Error for a name that does not exist, a file that cannot be read, and a setting that does not exist or has
    a value of another type.
    """
    text = str(name)
    if text in profile_names():
        settings = _settings_of(text)
        return _validated({"name": text, **settings}, f"profiles/{text}.toml")
    path = Path(text)
    with suppress(RuntimeError):  # nobody's home
        path = path.expanduser()
    if path.suffix != ".toml":
        raise In9Error(f"{unknown('profile', text, profile_names())} Or give the path of a .toml file.")
    settings = _read(path)
    settings.setdefault("name", path.stem)
    if settings["name"] in profile_names():
        raise In9Error(f"{path}: the name {settings['name']!r} is that of a profile of the project; choose another.")
    if not PLAIN_NAME.fullmatch(str(settings["name"])):
        raise In9Error(f"{path}: the name {settings['name']!r} must be of letters, digits, dots, dashes, underscores.")
    return replace(_validated(settings, str(path)), file=str(path.absolute()))


def _folder() -> Any:
    return resources.files(__package__).joinpath("profiles")


def _settings_of(name: str) -> dict[str, Any]:
    """The settings of one of the project's own profiles."""
    return _extended(tomllib.loads(_folder().joinpath(f"{name}.toml").read_text(encoding="utf-8")), name)


def _read(path: Path) -> dict[str, Any]:
    """The settings of a profile in a file of the user's."""
    other = errors_told(f"The profile {path} is no TOML file", kinds=(ValueError, RecursionError))
    with errors_told(f"The profile {path.absolute()} cannot be read", "; check the path", OSError), other:
        return _extended(tomllib.loads(read_bytes(path).decode()), str(path))


def _extended(settings: dict[str, Any], place: str) -> dict[str, Any]:
    """The settings on top of those of the profile that they extend."""
    base = settings.pop("extends", None)
    if base is None:
        return settings
    if base not in profile_names():
        raise In9Error(f"{place}: {unknown('profile to extend', base, profile_names())}")
    below = _settings_of(base)
    if not any(name in settings for name in OF_THE_DATA):
        settings.setdefault("data", below.get("data", base))
    return _merged(below, settings)


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(below)
    for name, value in above.items():
        both = name in MERGED and isinstance(value, Mapping) and isinstance(below.get(name), Mapping)
        result[name] = _merged(below[name], value) if both else value
    return result


def _validated(settings: dict[str, Any], place: str) -> Profile:
    """The profile of these settings. Raises In9Error naming the first setting that will not do."""
    given = {name: None if value == "all" else value for name, value in settings.items()}
    profile: Profile = _checked(Profile, given, place)
    changes: dict[tuple[str, ...], dict[str, Any]] = {
        ("level_recipe",): profile.level_recipe,
        ("architecture_recipe",): profile.architecture_recipe,
        ("robust_recipe",): profile.robust_recipe,
        **{("trials", name): trial for name, trial in profile.trials.items()},
    }
    for name, perturbation in profile.perturbations.items():
        _checked(Perturbation, perturbation, place, ("perturbations", name))
    for table, values in changes.items():
        _checked(Recipe, _merged(asdict(profile.recipe), values), place, table)
    return profile


def _checked(kind: type, values: Mapping[str, Any], place: str, table: Sequence[str] = ()) -> Any:
    """The values as an instance of a dataclass, types and ranges checked; ``table`` is the table that they stand in."""
    strict = with_config(ConfigDict(extra="forbid", strict=True))
    try:
        return TypeAdapter(strict(kind)).validate_json(json.dumps(values, default=str))
    except ValidationError as error:
        first = error.errors()[0]
        inner = [SETTING_TABLES[part] for part in first["loc"][:-1] if part in SETTING_TABLES]
        known = fields(inner[-1] if inner else kind)
        problem = _problem(first["type"], (*table, *first["loc"]), first["msg"], first["input"], known)
        raise In9Error(f"{place}: {problem}") from None
    except In9Error as error:
        raise In9Error(f"{place}: {error}") from None


def _problem(kind: str, place: Sequence[str | int], message: str, value: Any, known: Sequence[Field[Any]]) -> str:
    """What is wrong with the setting at a place, from what pydantic says of it; ``known`` settings may stand there."""
    setting = ".".join(map(str, place))
    if kind == "missing":
        return f"the setting {setting!r} is missing; add it, or extend a profile."
    if kind == "unexpected_keyword_argument":
        which = "setting" if len(place) == 1 else f"setting of {'.'.join(map(str, place[:-1]))}"
        return str(unknown(which, place[-1], [setting.name for setting in known]))
    return f"{setting} = {value!r} will not do ({message[0].lower()}{message[1:]})."
