"""Whatever is thrown at the readers of profiles, published masks, maps and options: a result, or one sentence."""

from __future__ import annotations

import copy
import gzip
import json
import random
import tomllib
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from small_tiny import tiny_files, write_tiny

from in9.data.published import MASKS_FILE, Published, read_published
from in9.data.sources import open_source
from in9.errors import In9Error
from in9.study.profile import Profile, load_profile, profile_names

ROOT = Path(__file__).parents[1]
ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 10**18, 10**400, 1.5, float("nan"), float("inf"), -0.0, 1e308, "", "x", "all", "\0"),
    *(
        "../x",
        "\udcff",
        "x" * 300,
        "🐟",
        b"",
        b"x",
        [],
        [1],
        ["x"],
        [[]],
        {},
        {"a": 1},
        {"a": {}},
        (),
        (1, 2),
        object(),
        set(),
    ),
)


def mutated(value: Any, rng: random.Random, odd: tuple[Any, ...] = ODD) -> Any:
    """A value with a change somewhere: another type, something that is missing, repeated or new."""
    if isinstance(value, dict) and value and rng.random() < 0.8:
        name = rng.choice(list(value))
        if rng.random() < 0.1:
            return {key: inner for key, inner in value.items() if key != name}
        return {**value, rng.choice((name, name, name, f"{name}s")): mutated(value[name], rng, odd)}
    if isinstance(value, list) and value and rng.random() < 0.7:
        place = rng.randrange(len(value))
        return [*value[:place], mutated(value[place], rng, odd), *value[place + rng.choice((0, 1, 1, 2)) :]]
    if isinstance(value, str) and value and rng.random() < 0.5:
        place = rng.randrange(len(value))
        return value[:place] + rng.choice(("", "9", "-", "é", value)) + value[place + 1 :]
    return rng.choice(odd)


def outcomes(tries: int, attempt: Callable[[], Any]) -> dict[str, int]:
    """How often an attempt gave a result and how often one sentence; anything else it raises goes through."""
    counts = {"read": 0, "refused": 0}
    for _ in range(tries):
        try:
            attempt()
            counts["read"] += 1
        except In9Error as error:
            text = str(error)
            assert "\n" not in text and text[-1] in ".?)" and len(text) < 2500, text
            counts["refused"] += 1
    return counts


def toml_of(value: Any) -> str:
    """A value as TOML has it, as far as TOML has it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return json.dumps(value.encode("utf-8", "replace").decode())
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(toml_of, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{json.dumps(name)} = {toml_of(inner)}' for name, inner in value.items())}}}"
    return str(value) if isinstance(value, int | float) and abs(value) < 2**63 else '"-"'


@pytest.mark.parametrize("name", profile_names())
def test_profiles(name: str, tmp_path: Path) -> None:
    rng, path = random.Random(f"profiles/{name}"), tmp_path / "mine.toml"
    settings = tomllib.loads(resources.files("in9.study").joinpath(f"profiles/{name}.toml").read_text())

    def attempt() -> None:
        changed = settings
        for _ in range(rng.choice((1, 1, 2, 4))):
            changed = mutated(changed, rng)
        text = (
            "\n".join(f"{json.dumps(key)} = {toml_of(value)}" for key, value in changed.items())
            if isinstance(changed, dict)
            else "x"
        )
        path.write_text(text)
        profile = load_profile(path)
        assert isinstance(profile, Profile) and profile.data_settings and profile.recipes_on()

    assert min(outcomes(60, attempt).values()) > 0


def test_bytes_of_a_profile(tmp_path: Path) -> None:
    rng, path = random.Random("bytes"), tmp_path / "mine.toml"
    whole = resources.files("in9.study").joinpath("profiles/tiny.toml").read_bytes()

    def attempt() -> None:
        content = bytearray(whole)
        for _ in range(rng.choice((1, 1, 5))):
            place = rng.randrange(len(content))
            content[place : place + rng.choice((0, 1, 9))] = rng.choice(
                (b"", b"\xff", b"\0", b"[", b'"', b"=", b"9", b"a.b")
            )
        path.write_bytes(content)
        load_profile(path)

    assert outcomes(120, attempt)["refused"] > 0


@pytest.fixture(scope="module")
def masks() -> dict[str, Any]:
    """The content of a small file of published masks."""
    content = json.loads(gzip.decompress((ROOT / "records" / "tiny" / MASKS_FILE).read_bytes()))
    content["ids"] = content["ids"][:12]
    content["images"] = {name: column[:12] for name, column in content["images"].items()}
    return content


def test_published_masks(masks: dict[str, Any], tmp_path: Path) -> None:
    rng, path = random.Random("masks"), tmp_path / MASKS_FILE
    source = open_source("tiny-imagenet", archive=write_tiny(tiny_files(good=1), tmp_path / "tiny.zip"))
    odd = tuple(value for value in ODD if not isinstance(value, bytes | set) and type(value) is not object)

    def attempt() -> None:
        content = copy.deepcopy(masks)
        for _ in range(rng.choice((1, 1, 3))):
            content = mutated(content, rng, odd)
        path.write_bytes(gzip.compress(json.dumps(content).encode("utf-8", "surrogatepass")))
        published = read_published(path)
        assert isinstance(published, Published) and isinstance(published.differs_from(source), str)
        for name in published.images:
            mask = published.mask(name)
            assert mask is None or mask.shape == published.images[name].size

    counts = outcomes(250, attempt)
    assert min(counts.values()) > 10


def test_bytes_of_published_masks(masks: dict[str, Any], tmp_path: Path) -> None:
    rng, path = random.Random("bytes"), tmp_path / MASKS_FILE
    whole = gzip.compress(json.dumps(masks).encode())

    def attempt() -> None:
        content = bytearray(whole)
        place = rng.randrange(len(content))
        content[place : place + rng.choice((0, 1, 100))] = rng.randbytes(rng.choice((1, 1, 50)))
        path.write_bytes(content[: rng.choice((len(content), place))])
        read_published(path)

    assert outcomes(120, attempt)["refused"] > 100


OPTIONS: dict[str, dict[str, Any]] = {
    "synthetic": {"rho": 0.5, "per_class": 12, "image_size": 32, "seed": 0},
    "imagenet": {
        "archive": "here",
        "boxes": "here",
        "test_on": "val",
        "balance": True,
        "image_size": 64,
        "validation": 0.1,
    },
    "tiny-imagenet": {"archive": "here"},
}


@pytest.mark.parametrize("name", OPTIONS)
def test_options_of_sources(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here" / "train").mkdir(parents=True)
    (tmp_path / "here" / "wnids.txt").write_text("")
    rng = random.Random(f"options/{name}")
    fetched = f"in9.data.sources.{name.replace('-', '_')}.fetch_tiny_imagenet"
    if name == "tiny-imagenet":
        monkeypatch.setattr(fetched, lambda: pytest.fail("nothing is to be fetched"))

    def attempt() -> None:
        options = dict(OPTIONS[name])
        for _ in range(rng.choice((1, 1, 2))):
            option = rng.choice(list(options))
            options[rng.choice((option, option, option, f"{option}s"))] = rng.choice(ODD)
        if options.get("archive", "") is None:
            return
        source = open_source(name, **options)
        assert json.dumps(source.settings()) and source.image_size > 0

    assert outcomes(250, attempt)["refused"] > 50


def test_maps_of_classes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from in9.scoring.load import load_model

    rng, path = random.Random("maps"), tmp_path / "map.json"
    network = torch.nn.Sequential(torch.nn.AvgPool2d(8), torch.nn.Flatten(), torch.nn.Linear(48, 12))
    whole = {str(index): index % 9 for index in range(12)}
    odd = tuple(value for value in ODD if not isinstance(value, bytes | set) and type(value) is not object)

    def attempt() -> None:
        content = mutated(rng.choice((whole, list(whole.values()))), rng, odd)
        path.write_bytes(json.dumps(content).encode("utf-8", "surrogatepass"))
        assert load_model(network, class_map=path, image_size=32).facts["outputs"] == 12

    assert outcomes(150, attempt)["refused"] > 20
    for text in ("[" * 10**5, "9" * 5000, "NaN", '{"0": NaN}', "\ufeff{}"):
        path.write_text(text)
        with pytest.raises(In9Error, match="The map"):
            load_model(network, class_map=path, image_size=32)
