"""CLIPs by words: a small one that open_clip makes, with weights in a file, and what is said of those that are not."""

from __future__ import annotations

import json
import logging
import urllib.error
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from safetensors.torch import save_file

from in9.data.dataset import Dataset
from in9.errors import In9Error
from in9.scoring import report
from in9.scoring.load import ScorableModel, load_model
from in9.scoring.score import evaluate
from in9.taxonomy import CLASSES, imagenet_to_in9

pytestmark = pytest.mark.usefixtures("one_thread")

SIZE, ROOM = 32, 24
CONFIG = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": SIZE, "layers": 1, "width": 32, "head_width": 16, "patch_size": 8},
    "text_cfg": {"context_length": ROOM, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}


@pytest.fixture(scope="module", autouse=True)
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The name of a small CLIP that open_clip knows while these tests run."""
    file = tmp_path_factory.mktemp("configs") / "tiny-clip.json"
    file.write_text(json.dumps(CONFIG))
    open_clip.add_model_config(file)
    yield "tiny-clip"
    open_clip.factory._MODEL_CONFIGS.pop("tiny-clip")


@pytest.fixture(scope="module")
def whole(small: str) -> torch.nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return open_clip.create_model(small).eval()


@pytest.fixture
def weights(tmp_path: Path, whole: torch.nn.Module) -> Path:
    path = tmp_path / "clip.safetensors"
    save_file(whole.state_dict(), path)
    return path


def random_images(size: int = SIZE) -> torch.Tensor:
    draws = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (8, 3, size, size), dtype=torch.uint8, generator=draws)


@torch.inference_mode()
def by_hand(whole: torch.nn.Module, names: list[str], templates: list[str]) -> torch.Tensor:
    """Logits of the images as CLIP's paper has it: class by class, prompt by prompt."""
    tokenizer = open_clip.get_tokenizer("tiny-clip")
    classes = []
    for name in names:
        texts = whole.encode_text(tokenizer([template.replace("{}", name) for template in templates]))
        mean = (texts / texts.norm(dim=1, keepdim=True)).mean(0)
        classes.append(mean / mean.norm())
    mean, std = (
        torch.tensor(values)[:, None, None] for values in (open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD)
    )
    seen = whole.encode_image((random_images().float() / 255 - mean) / std)
    return whole.logit_scale.exp() * (seen / seen.norm(dim=1, keepdim=True)) @ torch.stack(classes).T


def refused(*arguments: Any, match: str, **options: Any) -> str:
    with pytest.raises(In9Error, match=match) as caught:
        load_model(*arguments, **{"image_size": SIZE, **options})
    assert "\n" not in str(caught.value)
    return str(caught.value)


def outputs(model: ScorableModel) -> torch.Tensor:
    with torch.inference_mode():
        return model.classifier.outputs(random_images())  # type: ignore[attr-defined]


def test_the_nine_by_their_names(small: str, weights: Path, whole: torch.nn.Module) -> None:
    model = load_model(f"open_clip:{small}", weights=weights, prompts="nine", image_size=SIZE)
    names = [coarse.folder[3:] for coarse in CLASSES]
    templates = [template("{}") for template in open_clip.OPENAI_IMAGENET_TEMPLATES]
    assert names[2] == "wheeled vehicle" and len(templates) == 80
    torch.testing.assert_close(outputs(model), by_hand(whole, names, templates), rtol=1e-3, atol=1e-4)
    facts = model.facts
    assert facts["outputs"] == 9 and facts["prompts"] == "nine" and facts["library"] == "open_clip"
    assert facts["weights"] == "clip.safetensors" and facts["imagenet_top1"] is None
    assert facts["preprocessing"] == {
        "mode": "own", "mean": list(open_clip.OPENAI_DATASET_MEAN), "std": list(open_clip.OPENAI_DATASET_STD),
        "resize": SIZE, "crop": SIZE, "interpolation": "bicubic",
    }  # fmt: skip


def test_the_thousand_by_both_rules(
    small: str, weights: Path, whole: torch.nn.Module, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    options = {"weights": weights, "prompts": "imagenet-simple", "image_size": SIZE, "cache": cache}
    model = load_model(f"open_clip:{small}", **options)
    names = list(open_clip.IMAGENET_CLASSNAMES)
    templates = [template("{}") for template in open_clip.SIMPLE_IMAGENET_TEMPLATES]
    expected = by_hand(whole, names, templates)
    torch.testing.assert_close(outputs(model), expected, rtol=1e-3, atol=1e-4)
    score = evaluate(model, dataset, tests=["original", "mixed_same", "mixed_rand"], device="cpu")
    assert score.rules == ("strict", "restricted")
    assert "1000 outputs, prompts imagenet-simple, preprocessing own" in report.text(score, score.table().head(0))
    with torch.inference_mode():
        scores = model.classifier(random_images())
    mapped = imagenet_to_in9() >= 0
    best = expected.argmax(1)
    assert torch.equal(scores[:, :9].amax(1) >= scores[:, 9], torch.from_numpy(mapped)[best])

    def refuse(*arguments: Any, **options: Any) -> None:
        raise AssertionError("the words' embeddings should have been kept")

    monkeypatch.setattr(open_clip, "build_zero_shot_classifier", refuse)
    again = load_model(f"open_clip:{small}", **options)
    assert again.facts == model.facts and torch.equal(outputs(again), outputs(model))


def test_the_usual_prompts_are_imagenets(small: str, weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def build(whole: Any, tokenizer: Any, names: Any, templates: Any, *more: Any, **options: Any) -> torch.Tensor:
        assert len(templates) == 80
        asked.extend(names)
        return torch.eye(16, len(names))

    monkeypatch.setattr(open_clip, "build_zero_shot_classifier", build)
    assert load_model(f"open_clip:{small}", weights=weights, image_size=SIZE).facts["prompts"] == "imagenet"
    assert asked == list(open_clip.IMAGENET_CLASSNAMES)


def test_prompts_that_were_stopped_go_on(
    small: str, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build, asked, limit = open_clip.build_zero_shot_classifier, [0], 3

    def counting(*arguments: Any, **options: Any) -> torch.Tensor:
        asked[0] += 1
        if asked[0] > limit:
            raise KeyboardInterrupt
        return build(*arguments, **options)

    monkeypatch.setattr(open_clip, "build_zero_shot_classifier", counting)
    options = {"weights": weights, "prompts": "imagenet-simple", "image_size": SIZE, "cache": tmp_path / "cache"}
    with pytest.raises(KeyboardInterrupt):
        load_model(f"open_clip:{small}", **options)
    asked, limit = [0], 10**9
    load_model(f"open_clip:{small}", **options)
    assert asked == [1000 / 50 - 3]


def test_images_get_the_size_that_it_is_used_to(small: str, weights: Path) -> None:
    model = load_model(f"open_clip:{small}", weights=weights, prompts="nine", image_size=48)
    with torch.inference_mode():
        assert model.classifier(random_images(48)).shape == (8, 9)
    options = {"weights": weights, "prompts": "nine", "preprocessing": "normalise"}
    refused(f"open_clip:{small}", **options, image_size=48, match="--preprocessing own")


# ---- tags and downloads ----------------------------------------------------------------------------------------------


def test_the_tag_decides_weights_and_preprocessing(
    small: str, weights: Path, whole: torch.nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    tag = {"hf_hub": "somebody/tiny/", "url": "", "mean": (0.5,) * 3, "std": (0.5,) * 3, "interpolation": "bilinear",
           "resize_mode": "squash", "quick_gelu": True}  # fmt: skip
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, small, {"some_tag": tag})
    asked = []

    def download(repository: str, name: str, local_files_only: bool = False, **options: Any) -> str:
        asked.append((repository, name))
        return str(weights)

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    model = load_model(f"open_clip:{small}/some_tag", prompts="nine", image_size=SIZE)
    assert asked == [("somebody/tiny", "open_clip_model.safetensors")]
    facts = model.facts
    assert facts["weights"] == "some_tag" and facts["preprocessing"]["mean"] == [0.5] * 3
    assert facts["preprocessing"]["interpolation"] == "bilinear"
    options: dict[str, Any] = {"mean": 0.5, "std": 0.5}
    plain = load_model(f"open_clip:{small}", weights=weights, prompts="nine", options=options, image_size=SIZE)
    assert not torch.allclose(outputs(model), outputs(plain))  # the tag's activation
    options["quick_gelu"] = True
    quick = load_model(f"open_clip:{small}", weights=weights, prompts="nine", options=options, image_size=SIZE)
    torch.testing.assert_close(outputs(model), outputs(quick))


def test_offline_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub.errors import LocalEntryNotFoundError

    def nothing_here(*arguments: Any, **options: Any) -> str:
        raise LocalEntryNotFoundError("not here")

    def offline(*arguments: Any, **options: Any) -> Any:
        raise ConnectionError("no network")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", nothing_here)
    monkeypatch.setattr("huggingface_hub.file_exists", offline)
    text = refused("open_clip:ViT-B-32/laion2b_s34b_b79k", match="are not here and cannot be downloaded .no network")
    assert "open_clip_model.safetensors of laion/CLIP-ViT-B-32-laion2B-s34B-b79K" in text and "--weights FILE" in text

    def unreachable(*arguments: Any, **options: Any) -> Any:
        raise urllib.error.URLError("no network")

    monkeypatch.setattr("open_clip.pretrained.download_pretrained_from_url", unreachable)
    refused("open_clip:RN50/cc12m", match="weights of open_clip:RN50/cc12m are not here and cannot be downloaded")


def test_a_clip_needs_its_tag(small: str) -> None:
    refused("open_clip:ViT-B-32", match="write open_clip:ViT-B-32/TAG with one of openai, .*, or give --weights FILE")
    refused(f"open_clip:{small}", match="does not say which weights; give --weights FILE")
    refused("open_clip:ViT-B-32/opanai", match="no ViT-B-32 with tag 'opanai'. Did you mean 'openai'")
    assert len(refused("open_clip:ViT-B-33/openai", match="no model of open_clip 'ViT-B-33'")) < 400
    refused("open_clip:", match="no model of open_clip ''")
    options = {"pretrained_text": True}
    refused("open_clip:ViT-B-32/openai", options=options, match="cannot be called with the option pretrained_text")


def test_open_clip_that_is_missing_says_how_to_get_it(small: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "open_clip", None)
    refused("open_clip:ViT-B-32/openai", match=r"pip install 'in9\[clip\]'")


# ---- files and prompts that do not fit -------------------------------------------------------------------------------


def test_weights_that_do_not_fit(small: str, whole: torch.nn.Module, tmp_path: Path) -> None:
    def saved(state: dict[str, torch.Tensor]) -> Path:
        save_file(state, tmp_path / "other.safetensors")
        return tmp_path / "other.safetensors"

    state = whole.state_dict()
    seeing = {key: tensor for key, tensor in state.items() if key.startswith("visual.") or key == "logit_scale"}
    refused(f"open_clip:{small}", weights=saved(seeing), match="holds no text tower, only .* tensors of an image tower")
    less = {key: tensor for key, tensor in state.items() if key != "token_embedding.weight"}
    refused(f"open_clip:{small}", weights=saved(less), match=r"1 missing \(token_embedding.weight\)")
    key = "visual.positional_embedding"
    larger = saved({**state, key: torch.zeros(26, 32)})
    refused(f"open_clip:{small}", weights=larger, match=rf"of another shape \({key} 26 x 32 instead of 17 x 32")
    stretched = load_model(
        f"open_clip:{small}", weights=larger, prompts="nine", options={"force_image_size": 48}, image_size=SIZE
    )
    assert stretched.facts["preprocessing"]["crop"] == 48
    (tmp_path / "page.pt").write_text("<html>")
    refused(f"open_clip:{small}", weights=tmp_path / "page.pt", match="cannot be read")
    broken = {**state, "ln_final.weight": torch.full_like(state["ln_final.weight"], torch.nan)}
    refused(f"open_clip:{small}", weights=saved(broken), prompts="nine", match="embeddings that are not finite")
    refused(f"open_clip:{small}", weights=saved(state), options={"wide": 2}, match="unexpected keyword argument 'wide'")


def test_own_prompts(small: str, weights: Path, whole: torch.nn.Module, tmp_path: Path) -> None:
    names = ["hound", "bird", "car", "snake", "bear", "bug", "violin", "ape", "trout"]
    file = tmp_path / "prompts.json"
    file.write_text(json.dumps({"names": names, "templates": ["a {} on grass", "{}"]}))
    model = load_model(f"open_clip:{small}", weights=weights, prompts=file, image_size=SIZE)
    torch.testing.assert_close(outputs(model), by_hand(whole, names, ["a {} on grass", "{}"]), rtol=1e-3, atol=1e-4)
    assert model.facts["prompts"] == "prompts.json" and len(model.facts["prompts_sha256"]) == 64
    file.write_text(json.dumps({"templates": ["{}"]}))
    assert load_model(f"open_clip:{small}", weights=weights, prompts=file, image_size=SIZE).facts["outputs"] == 1000


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ("{", "cannot be read as JSON"),
        ("[]", "must be"),
        ({"words": []}, "must be"),
        ({"names": ["dog", "cat"]}, "have 2 names; give the nine classes or ImageNet's 1,000"),
        ({"names": ["dog", ""] * 5}, "names of the prompts .* none of them empty"),
        ({"templates": "a {}"}, "templates of the prompts .* must be a list"),
        ({"templates": []}, "needs one {} for the name of a class, not no template at all"),
        ({"templates": ["a photo"]}, "needs one {} .* not 'a photo'"),
        ({"templates": ["a {} {name}"]}, "needs one {} .* not 'a {} {name}'"),
        (
            {"names": ["a"] * 8 + ["fish " * ROOM], "templates": ["{}"]},
            "do not fit: 'fish fish .* more than the 24 tokens",
        ),
    ],
)
def test_prompts_that_do_not_fit(small: str, weights: Path, tmp_path: Path, content: Any, match: str) -> None:
    file = tmp_path / "prompts.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    refused(f"open_clip:{small}", weights=weights, prompts=file, match=match)


def test_the_image_tower_alone_under_a_linear_head(small: str, weights: Path, dataset: Dataset) -> None:
    model = load_model(f"open_clip:{small}", weights=weights, probe="original", data=dataset, image_size=SIZE)
    assert model.facts["head"]["features"] == CONFIG["embed_dim"] and model.facts["outputs"] == 9
    assert model.facts["preprocessing"]["mode"] == "own" and "prompts" not in model.facts


def test_prompts_that_are_for_nobody(small: str, weights: Path) -> None:
    refused(f"open_clip:{small}", weights=weights, prompts="nyne", match="prompts 'nyne'. Did you mean 'nine'")
    refused(
        lambda images: images, name="mine", prompts="nine", match="mine has no text tower: prompts are for open_clip:"
    )


def test_nothing_is_said_and_logging_stays_as_it_was(
    small: str, weights: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    load_model(f"open_clip:{small}", weights=weights, prompts="nine", image_size=SIZE)
    said = capfd.readouterr()
    assert said.out == said.err == caplog.text == ""
    assert logging.root.manager.disable == 0


def test_the_command_takes_prompts(
    small: str, weights: Path, dataset: Dataset, run: Callable[..., tuple[int, str, str]]
) -> None:
    words = ("evaluate", f"open_clip:{small}", "--weights", weights, "--data", dataset.path, "--device", "cpu")
    status, told, said = run(*words, "--prompts", "nine")
    assert status == 0 and "9 outputs, prompts nine, preprocessing own" in told, said
    status, _, said = run(*words, "--prompts", "nyne")
    assert status == 2 and said.startswith("in9: There is no file of prompts or prompts 'nyne'.")
