"""CLIP and its kin through open_clip: a class is named in words, and an image goes to the words that it is nearest to.

Words are prompts: each name of a class in each of several templates, as "a photo of a {}."; a class is the mean of its
prompts' embeddings. ``imagenet`` has the thousand names and 80 templates that open_clip has; ``imagenet-simple`` the
same names in its 7 shorter ones, a tenth of the time; ``nine`` the nine classes as the authors call them, in the 80. A
JSON file has ``names``, nine or a thousand in the order of the classes, or ``templates``, or both.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from in9.errors import In9Error, errors_of_foreign_code, errors_told, unknown
from in9.files import hash_of_file, read_json
from in9.scoring.weights import (
    LoadedNetwork,
    Preprocessing,
    construct,
    from_hub,
    kept_array,
    not_here,
    read_state,
    weights_hash,
    with_state,
)
from in9.taxonomy import CLASSES, IMAGENET_CLASSES, NUM_CLASSES
from in9.training.networks import Framing

OPEN_CLIP = "open_clip"
IMAGENET, SIMPLE, NINE = PROMPTS = ("imagenet", "imagenet-simple", "nine")


TEXTS_AT_ONCE = 512
NAMES_KEPT = 50
"""The embeddings of so many names are kept together: on a processor a thousand take hours."""
STRETCHING = {"force_image_size", "force_context_length"}
"""Options with which open_clip may stretch what it has learnt of positions."""


class Prompts(NamedTuple):
    """Names of classes and templates for them; each template has one {}. ``told`` is what a record says of them."""

    names: tuple[str, ...]
    templates: tuple[str, ...]
    told: dict[str, Any]


class ImageTower(nn.Module):
    """The part of a CLIP that sees: normalised images [B, 3, S, S] -> features [B, D]."""

    def __init__(self, visual: nn.Module) -> None:
        super().__init__()
        self.visual = visual

    def forward(self, images: Tensor) -> Tensor:
        """Features [B, D]."""
        features = self.visual(images)
        return features[0] if isinstance(features, tuple) else features  # CoCa gives tokens as well


class ZeroShot(nn.Module):
    """An image tower and the embeddings of the classes' words [D, K] as its last layer: images -> logits [B, K]."""

    def __init__(self, tower: nn.Module, words: Tensor, scale: Tensor) -> None:
        super().__init__()
        self.tower = tower
        self.words: Tensor
        self.scale: Tensor
        self.register_buffer("words", words)
        self.register_buffer("scale", scale)

    def forward(self, images: Tensor) -> Tensor:
        """Logits [B, K]."""
        return self.scale * nn.functional.normalize(self.tower(images), dim=-1) @ self.words


def is_clip(model: object) -> bool:
    """Whether a name is of the form ``open_clip:MODEL/PRETRAINED``."""
    return isinstance(model, str) and model.startswith(f"{OPEN_CLIP}:")


def load_clip(spec: str, file: Path | None, options: dict[str, Any]) -> LoadedNetwork:
    """The image tower of ``open_clip:MODEL/PRETRAINED``, with both towers as ``whole``.

    The weights are the tag's or those of a file; without the tag the preprocessing is the architecture's.
    """
    try:
        import open_clip
    except ImportError as error:
        raise In9Error(f"{spec} needs open_clip, which is not installed: pip install 'in9[clip]'.") from error

    name, slash, tag = spec.removeprefix(f"{OPEN_CLIP}:").partition("/")
    if name not in open_clip.list_models():
        raise unknown("model of open_clip", name, get_close_matches(name, open_clip.list_models(), n=9, cutoff=0))
    tags = open_clip.list_pretrained_tags_by_model(name)
    if slash and tag not in tags:
        raise unknown(f"{name} with tag", tag, tags)
    if file is None and not tag:
        choices = f"write {OPEN_CLIP}:{name}/TAG with one of {', '.join(tags)}, or " if tags else ""
        raise In9Error(f"{spec} does not say which weights; {choices}give --weights FILE.")
    known = open_clip.get_pretrained_cfg(name, tag) if tag else {}
    activation = known.get("quick_gelu", False)
    if tag and open_clip.get_model_config(name).get("quick_gelu", False) != activation:
        options = {"quick_gelu": activation, **options}  # what the weights were trained with
    path = file or _fetched(spec, known)
    state = read_state(path)
    if not any("visual." not in key and "logit" not in key for key in state):
        raise In9Error(
            f"{path} holds no text tower, only {len(state)} tensors of an image tower; {spec} needs both, since its "
            "classes are named in words."
        )

    def make(num_classes: int = 0, **options: Any) -> nn.Module:
        """A CLIP, which has no number of classes to change."""
        return open_clip.create_model(name, pretrained_text=False, **options)

    with _quiet():
        whole: Any = construct(spec, make, **options)
        own = whole.state_dict()
        # open_clip would stretch embeddings of other positions, as of larger images, without a word.
        stretched = any("positional" in key and state[key].shape != own[key].shape for key in state.keys() & own.keys())
        try:
            if stretched and not options.keys() & STRETCHING:
                raise ValueError("embeddings of other positions")
            open_clip.load_checkpoint(whole, str(path))  # which knows the layouts of other libraries
        except Exception:  # what does not fit shows itself in many ways; with_state names it
            whole = with_state(spec, make, options, state, path)
    seen = {**open_clip.get_model_preprocess_cfg(whole), **known}
    side = seen["size"] if isinstance(seen["size"], int) else max(seen["size"])
    framing = Framing(side, side, "bilinear" if seen["interpolation"] == "bilinear" else "bicubic")
    preprocessing = Preprocessing(tuple(seen["mean"]), tuple(seen["std"]), framing)
    weights, tower = file.name if file else tag, ImageTower(whole.visual)
    return LoadedNetwork(tower, name, OPEN_CLIP, weights, preprocessing, certain=True, whole=whole)


def _fetched(spec: str, known: dict[str, Any]) -> Path:
    """The file of a tag's weights: the copy that is here, or else downloaded."""
    from open_clip.constants import HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME
    from open_clip.pretrained import download_pretrained_from_url

    if hub := known.get("hf_hub"):
        repository, _, name = hub.rpartition("/")
        return Path(from_hub(spec, repository, (name,) if name else (HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME)))
    try:
        return Path(download_pretrained_from_url(known["url"]))
    except Exception as error:  # no network, a damaged file, and more
        raise not_here(spec, known["url"], error) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """open_clip logs that a network has no weights before they are loaded."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(before)


def read_prompts(prompts: str) -> Prompts:
    """Prompts by their name, or from a JSON file (see the module's text). Raises In9Error for what does not fit."""
    import open_clip

    imagenet = tuple(open_clip.IMAGENET_CLASSNAMES)
    templates = tuple(template("{}") for template in open_clip.OPENAI_IMAGENET_TEMPLATES)
    nine = tuple(coarse.folder.partition("_")[2] for coarse in CLASSES)
    if prompts in PROMPTS:
        simple = tuple(template("{}") for template in open_clip.SIMPLE_IMAGENET_TEMPLATES)
        names = nine if prompts == NINE else imagenet
        return Prompts(names, simple if prompts == SIMPLE else templates, {"prompts": prompts})
    path = Path(prompts)
    if not path.is_file():
        raise unknown("file of prompts or prompts", prompts, PROMPTS)
    with errors_told(f"The prompts {path} cannot be read as JSON"):
        content = read_json(path)
    if not isinstance(content, dict) or not content or content.keys() - {"names", "templates"}:
        raise In9Error(f'The prompts {path} must be {{"names": [...], "templates": [...]}}, or one of the two.')
    names, given = (content.get(part, default) for part, default in (("names", imagenet), ("templates", templates)))
    for part, texts in (("names", names), ("templates", given)):
        if not isinstance(texts, list | tuple) or not all(isinstance(text, str) and text.strip() for text in texts):
            raise In9Error(f"The {part} of the prompts {path} must be a list of texts, none of them empty.")
    if len(names) not in (NUM_CLASSES, IMAGENET_CLASSES):
        raise In9Error(f"The prompts {path} have {len(names)} names; give the nine classes or ImageNet's 1,000.")
    wrong = [text for text in given if text.count("{}") != 1 or set("{}") & set(text.replace("{}", ""))]
    if wrong or not given:
        instead = repr(wrong[0]) if wrong else "no template at all"
        raise In9Error(f"Each template of the prompts {path} needs one {{}} for the name of a class, not {instead}.")
    return Prompts(tuple(names), tuple(given), {"prompts": path.name, "prompts_sha256": hash_of_file(path)})


def zero_shot(
    name: str,
    loaded: LoadedNetwork,
    options: Any,
    prompts: str,
    device: torch.device,
    cache: Path | None,
    progress: bool,
) -> tuple[nn.Module, dict[str, Any]]:
    """The classifier of a CLIP by words, and what a record says of the words; their embeddings are kept in ``cache``.

    Raises In9Error for prompts that do not fit, and for embeddings that are not finite.
    """
    import open_clip

    if loaded.whole is None:
        raise In9Error(f"{name} has no text tower: prompts are for {OPEN_CLIP}:MODEL/PRETRAINED.")
    whole = loaded.whole.float().eval().to(device)
    words = read_prompts(prompts)
    advice = "; SigLIP and others need `pip install transformers`, and their tokenizer from the hub"
    with errors_of_foreign_code(f"The tokenizer of {name} cannot be had", advice):
        tokenizer = open_clip.get_tokenizer(loaded.architecture)
    if prompts not in PROMPTS:
        _check_lengths(words, tokenizer, Path(prompts))

    identity = [loaded.architecture, loaded.weights, options, weights_hash(whole)]
    at_once = max(1, TEXTS_AT_ONCE // len(words.templates))

    def embed(names: Sequence[str]) -> np.ndarray:
        with torch.inference_mode(), errors_of_foreign_code(f"The text tower of {name} fails"):
            build = open_clip.build_zero_shot_classifier
            return build(whole, tokenizer, names, words.templates, at_once, device).float().cpu().numpy()

    parts = [words.names[start : start + NAMES_KEPT] for start in range(0, len(words.names), NAMES_KEPT)]
    with tqdm(parts, desc="prompts", disable=not progress) as bar:
        kept = [kept_array(cache, ["words", identity, part, words.templates], partial(embed, part)) for part in bar]
    embeddings = torch.from_numpy(np.concatenate(kept, axis=1))
    if not embeddings.isfinite().all():
        raise In9Error(f"The text tower of {name} gives embeddings that are not finite; check its weights.")
    classifier = ZeroShot(loaded.network, embeddings, whole.logit_scale.detach().exp().reshape(()).cpu())
    return classifier, words.told


def _check_lengths(words: Prompts, tokenizer: Any, path: Path) -> None:
    """Raise In9Error for a prompt that the text tower would cut off: with more room, it goes on past the end."""
    room = tokenizer.context_length
    for name in words.names:
        texts = [template.format(name) for template in words.templates]
        tokens = tokenizer(texts, context_length=2 * room)
        too_long = (tokens[:, room:] != tokens[:, -1:]).any(1)
        if too_long.any():
            raise In9Error(
                f"The prompts {path} do not fit: {texts[int(too_long.int().argmax())]!r} has more than the {room} "
                "tokens that the text tower reads; shorten it."
            )
