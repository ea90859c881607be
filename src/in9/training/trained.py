"""Trained classifiers: trained once, kept on disk, loaded by whoever asks again."""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save

from in9.data.dataset import Dataset
from in9.data.variants import Pool, load_pool
from in9.errors import errors_told
from in9.files import key_of, one_writer, remove_partials, written_whole
from in9.training.loop import fresh_classifier, retrain_head, seconds_so_far, train
from in9.training.networks import Classifier
from in9.training.recipe import Recipe, finer_classes, training_rows


def weights_file(folder: Path, recipe: Recipe, dataset: Dataset) -> Path:
    """The file of a recipe's weights, named by its settings and by the dataset's content."""
    return folder / f"{key_of({'content': dataset.hash, 'recipe': recipe.changes})}.safetensors"


def state_hash(state: Mapping[str, Any]) -> str:
    """SHA-256 of weights by name, kind, shape and value: the same whatever file they came from."""
    digest = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        if isinstance(tensor, torch.Tensor):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
            digest.update(tensor.cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def trained_classifier(
    recipe: Recipe,
    dataset: Dataset,
    weights: Path,
    device: torch.device,
    on_epoch: Callable[[int, float], None] = lambda epoch, loss: None,
) -> tuple[Classifier, dict[str, Any]]:
    """The recipe's classifier, loaded from ``weights`` or trained and saved there, and facts about its training.

    While it trains, a checkpoint lies beside the weights, and a stopped training goes on from it. A recipe that
    retrains the last layer starts from the weights of the recipe that does not, if they are there.
    ``on_epoch`` may raise ``Stopped``; it is also called, with epoch -1, while another process trains the same.
    Weights from before their hash was stored are taken as they are, and their hash is stored with a sentence on stderr.
    Raises In9Error for weights or a checkpoint that cannot be read.
    """
    if not weights.is_file():
        with one_writer(weights, "training", lambda: on_epoch(-1, 0.0)):
            for path in (weights, weights.with_suffix(".checkpoint")):
                remove_partials(path)
            if not weights.is_file():  # nor trained while this process waited
                return _newly_trained(recipe, dataset, weights, device, on_epoch)
    return _stored_classifier(recipe, dataset, weights, device)


def _training_images(recipe: Recipe, dataset: Dataset, device: torch.device) -> Pool:
    return load_pool(dataset, "train", accepted=recipe.uses_masks, device=device)


def _newly_trained(
    recipe: Recipe, dataset: Dataset, weights: Path, device: torch.device, on_epoch: Callable[[int, float], None]
) -> tuple[Classifier, dict[str, Any]]:
    """The recipe's classifier, trained and saved, and facts about its training."""
    pool = _training_images(recipe, dataset, device)
    whole = replace(recipe, head_on=None)
    stored = weights_file(weights.parent, whole, dataset)
    checkpoint = weights.with_suffix(".checkpoint")
    started = time.monotonic() - seconds_so_far(checkpoint)
    if recipe.head_on is not None and stored.is_file():
        model, training = _stored_classifier(whole, dataset, stored, device)
    else:
        model, losses = train(whole, pool, checkpoint, on_epoch)
        training = {
            "images": len(training_rows(recipe, pool)),
            "seconds": round(time.monotonic() - started, 1),
            "losses": [round(loss, 4) for loss in losses],
        }
    if recipe.head_on is not None:
        started = time.monotonic()
        retrain_head(model, replace(recipe, train_on=recipe.head_on), pool)
        head = time.monotonic() - started
        training |= {"seconds": round(training["seconds"] + head, 1), "head_seconds": round(head, 1)}
    _write(weights, model, training)
    checkpoint.unlink(missing_ok=True)
    return model, training


def _write(weights: Path, model: Classifier, training: Mapping[str, Any]) -> None:
    """Write the weights of a classifier, facts about its training, and the hash that tells of a later change."""
    state = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    with written_whole(weights) as partial:
        facts = {"training": json.dumps(training), "sha256": state_hash(state)}
        partial.write_bytes(save(state, metadata=facts))


def _stored_classifier(
    recipe: Recipe, dataset: Dataset, weights: Path, device: torch.device
) -> tuple[Classifier, dict[str, Any]]:
    """The recipe's classifier with the weights of a file, and facts about its training.

    The training images are loaded only for finer classes, whose names and number they tell.
    """
    groups = None if recipe.fine == 1 else finer_classes(recipe, _training_images(recipe, dataset, device))[1]
    kinds = (SafetensorError, KeyError, TypeError, ValueError, RuntimeError)
    with errors_told(f"The weights {weights} cannot be read", "; remove them to train anew", kinds):
        with safe_open(weights, "pt") as stored:
            facts = stored.metadata()
        training, state = json.loads(facts["training"]), load_file(weights)
        if facts.get("sha256") not in (None, state_hash(state)):  # None: the first files had none
            raise ValueError("they were changed after the training")
        model = fresh_classifier(recipe, groups).to(device)
        model = model.to(memory_format=torch.channels_last)  # as in training, so that sums are rounded the same way
        model.load_state_dict(state)
    if "sha256" not in facts:
        with suppress(OSError):  # where nothing can be written, they stay as they are
            _write(weights, model, training)
            print(f"{weights} had no hash. It has one now: a change from here on will be noticed.", file=sys.stderr)
    return model.eval(), training
