"""The page *Bring your own model*: each of its commands is run, with small networks in place of large ones."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
import urllib.error
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import torchvision
from safetensors.torch import save_file
from small_imagenet import folder, kaggle

import in9
import in9.book.render
from in9.data.dataset import Dataset
from in9.data.export import export
from in9.errors import In9Error
from in9.scoring.load import load_model

pytestmark = pytest.mark.usefixtures("one_thread")

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "book" / "your_model.md").read_text(encoding="utf8")
CODE = """
import torch
from torch import nn

def network(outputs=9):
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 16, 3, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, outputs)
    return nn.Sequential(*layers)

def five_outputs():
    return network(5)

def imagenet():
    return network(1000)
"""
OF_WEIGHTS = {
    "resnet50:IMAGENET1K_V1": "my_models:imagenet",
    "resnet50.a1_in1k": "my_models:imagenet",
    "open_clip:ViT-B-32/openai": "my_models:imagenet",
    "vit_small_patch14_dinov2.lvd142m": "timm/test_resnet --weights backbone.safetensors",
    "resnet50": "resnet18",
    "timm/mobilenetv2_100": "timm/test_resnet",
}
"""What takes the place of networks whose weights must be downloaded, or are large."""
SMALLER = {"resize=256": "resize=40", "crop=224": "crop=32", "validation=0.05": "validation=0.4"}
LEFT_OUT = ("--prompts nine", "--set dynamic_img_size=True")
"""What only the networks that were replaced understand; the tests of CLIPs and of the loader run it."""
ELSEWHERE = ("pip", "python", "find")
"""Commands that are not ours."""


def blocks(language: str = "") -> list[str]:
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.S | re.M)
    return [text for kind, text in fenced if kind == language]


def commands() -> list[str]:
    """Every command line of the page: of its blocks, and those in its tables."""
    lines = [line for block in blocks() for line in block.splitlines() if line.strip()]
    lines += re.findall(r"\| `(in9 [^`]+)` \|", PAGE)
    return [shlex.join(shlex.split(line, comments=True)) for line in lines]


OURS = list(dict.fromkeys(line for line in commands() if line.startswith("in9 ")))


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, dataset: Dataset) -> Path:
    """A folder with all that the commands name; ``dataset`` stands for ImageNet-9 rebuilt."""
    place = tmp_path_factory.mktemp("stage")
    (place / "my_models.py").write_text(CODE)
    (place / "classes.json").write_text('{"0": "dog", "1": 3, "2": -1}')
    shutil.copytree(dataset.path, place / "in9_rebuilt")
    for name in ("bg_challenge", "exported"):
        export(dataset, place / name)
    (place / "bg_challenge" / "backgrounds.csv").unlink()  # the authors' archive has none
    folder(kaggle(training=10), place / "path" / "to")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        import timm

        save_file(torchvision.models.resnet18().state_dict(), place / "resnet50.safetensors")
        network = timm.create_model("test_resnet")
        save_file(network.state_dict(), place / "backbone.safetensors")
        torch.save(network.state_dict(), place / "mobilenet.pth")
    in9.evaluate(
        load_model(lambda images: images.flatten(1)[:, :9], name="pixels"), place / "bg_challenge"
    ).images().to_csv(place / "answers.csv", index=False)
    return place


@pytest.fixture
def here(stage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A fresh copy of the stage as the current folder."""
    place = tmp_path / "here"
    shutil.copytree(stage, place)
    monkeypatch.chdir(place)
    monkeypatch.delitem(sys.modules, "my_models", raising=False)  # another test's module of that name
    yield place


def replaced(line: str) -> list[str]:
    """The words of a command, with small networks in place of large ones."""
    for text in LEFT_OUT:
        line = line.replace(f" {text}", "")
    words = [SMALLER.get(word, word) for word in shlex.split(line)[1:]]
    return [part for word in words for part in (OF_WEIGHTS[word].split() if word in OF_WEIGHTS else [word])]


def test_the_page_has_a_tab_for_each_kind_of_model_and_names_no_strange_program() -> None:
    tabs = re.findall(r"^:::\{tab-item\} (.+)$", PAGE, re.M)
    assert len(tabs) == len(set(tabs)) == 8 and PAGE.count("\n::::") == 2
    assert {line.split()[0] for line in commands()} == {"in9", *ELSEWHERE}
    assert {line.split()[1] for line in OURS} == {
        "evaluate", "challenge", "saliency", "backgrounds", "fetch", "build", "export", "book"
    }  # fmt: skip
    used = {word for line in OURS for word in shlex.split(line)}
    assert set(OF_WEIGHTS) <= used and all(any(text in line for line in OURS) for text in LEFT_OUT)


@pytest.mark.parametrize("line", [line for line in OURS if not re.match("in9 (fetch|book)", line)])
def test_a_command_of_the_page_runs(line: str, here: Path, run: Callable[..., tuple[int, str, str]]) -> None:
    words = replaced(line)
    if words[0] == "build":
        shutil.rmtree(here / "in9_rebuilt")
        words += ["--workers", "1", "--set", "image_size=32"]
        words += ["--set", "per_class=12"] if words[1] == "synthetic" else []
    if words[0] == "export":
        shutil.rmtree(here / "exported")
    if "--head" in words and "--probe" not in words:
        assert run(*replaced(next(line for line in OURS if "--probe" in line)))[0] == 0
    status, out, err = run(*words)
    assert status == 0, err
    assert out.strip()
    for option in ("--json", "--csv", "--figure", "--gallery", "--head"):
        if option in words:
            assert (here / words[words.index(option) + 1]).stat().st_size > 0
    if words[0] == "evaluate":
        assert "BG-Gap" in out
        nine = "--head" in words or words[1] in ("my_models:network", "answers.csv")
        assert ("Restricted: the best of the 370" in out) == (not nine)


def test_recovered_backgrounds_are_read(here: Path, run: Callable[..., tuple[int, str, str]]) -> None:
    before = run("evaluate", "my_models:network", "--data", "bg_challenge")
    assert run("backgrounds", "bg_challenge")[0] == 0
    assert (here / "bg_challenge" / "recovered_backgrounds.csv").is_file()
    after = run("evaluate", "my_models:network", "--data", "bg_challenge")
    assert "Answers the background's class" in after[1] and "Answers the background's class" not in before[1]


@pytest.mark.parametrize("spec", [name for name in OF_WEIGHTS if re.search(r":|\.\w", name)])
def test_a_network_that_is_replaced_here_is_known(spec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its name leads to weights, which cannot be downloaded here."""
    from huggingface_hub.errors import LocalEntryNotFoundError

    def nothing_here(*arguments: Any, **options: Any) -> str:
        raise LocalEntryNotFoundError("not here")

    def offline(*arguments: Any, **options: Any) -> Any:
        raise urllib.error.URLError("no network")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", nothing_here)
    monkeypatch.setattr("huggingface_hub.file_exists", offline)
    monkeypatch.setattr("open_clip.pretrained.download_pretrained_from_url", offline)
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", offline)
    with pytest.raises(In9Error, match=f"weights of {spec} are not here and cannot be downloaded"):
        load_model(spec)


def test_without_a_network_fetch_says_so(here: Path, run: Callable[..., tuple[int, str, str]]) -> None:
    (line,) = (line for line in OURS if line.startswith("in9 fetch"))
    shutil.rmtree("bg_challenge")
    status, _, err = run(*shlex.split(line)[1:], "--url", "http://127.0.0.1:9/data.zip")
    assert status == 2 and err.startswith("in9: ") and "there is no connection to the server" in err


def test_the_book_takes_the_command(run: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch) -> None:
    told: dict[str, Any] = {}
    monkeypatch.setattr(in9.book.render, "run_book", lambda profile, **options: told.update(options))
    (line,) = (line for line in OURS if line.startswith("in9 book"))
    assert run(*shlex.split(line)[1:]) == (0, "", "")
    assert list(told["only"]) == ["08"]


def test_the_python_of_the_page_runs(here: Path, capsys: pytest.CaptureFixture) -> None:
    (code,) = blocks("python")
    names: dict[str, Any] = {"network": lambda images: images.mean((2, 3)).repeat(1, 3)}
    exec(compile(code, "your_model.md", "exec"), names)
    assert isinstance(names["answers"], pd.DataFrame) and set(names["answers"]["test"]) >= {"mixed_same", "mixed_rand"}
    assert re.search(r"-?\d+\.\d \[", capsys.readouterr().out)
