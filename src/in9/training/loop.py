"""The training loop: a recipe and a pool of images in, a classifier out (paper, section 3 and appendix B)."""

from __future__ import annotations

import io
import math
import pickle
import time
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from in9.data.variants import Pool
from in9.errors import In9Error, errors_told, reason
from in9.files import written_whole
from in9.seeds import digest
from in9.taxonomy import NUM_CLASSES
from in9.training.networks import Classifier, create, last_linear
from in9.training.recipe import Draws, Recipe, compose_batch, epoch_rows, finer_classes, training_rows
from in9.training.steps import Step

CHECKPOINT_EVERY = 20.0  # seconds
HEAD_ROUNDS = 3  # times that a last layer sees its training set


class Stopped(Exception):
    """Training was asked to stop; its checkpoint is on disk."""


def pick_device(device: str = "auto") -> torch.device:
    """``auto`` is the GPU where there is one, else the CPU. Raises In9Error for a device that is not there."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with errors_told(f"Device {device!r} cannot be used", "; try --device cpu", (RuntimeError, AssertionError)):
        chosen = torch.device(device)
        torch.zeros(1, device=chosen).item()  # the device meta has no values
    return chosen


def train(
    recipe: Recipe,
    pool: Pool,
    checkpoint: Path | None = None,
    on_epoch: Callable[[int, float], None] = lambda epoch, loss: None,
) -> tuple[Classifier, list[float]]:
    """Train a classifier on a pool by a recipe; return it in evaluation mode, and the mean loss of each epoch.

    The same recipe on the same pool and device gives the same weights, resumed or not: every draw depends on the
    recipe's seed and the epoch. With ``checkpoint`` a stopped training goes on from its last whole epoch.
    ``on_epoch`` may raise ``Stopped``. Raises In9Error if the loss is no longer finite.
    """
    device = pool.device
    targets, groups = finer_classes(recipe, pool)
    model = fresh_classifier(recipe, groups).to(device).to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(
        model.parameters(),
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
        fused=device.type in ("cpu", "cuda"),  # one pass over the weights, not three
    )
    loss_of = nn.CrossEntropyLoss(label_smoothing=recipe.label_smoothing)
    begun = time.monotonic() - seconds_so_far(checkpoint)
    losses = _resume(checkpoint, model, optimizer)
    step = Step(model, optimizer, loss_of, device, perturbation=recipe.perturbation)
    used = training_rows(recipe, pool)
    labels = pool.labels.cpu().numpy()[used]
    saved = time.monotonic()
    with torch.random.fork_rng():
        for epoch in range(len(losses), recipe.epochs):
            torch.manual_seed(digest(recipe.seed, "dropout", str(epoch)))
            noise = torch.Generator().manual_seed(digest(recipe.seed, "augmentation", str(epoch)))
            draws = Draws.of(recipe, pool, epoch)
            order = torch.from_numpy(used[epoch_rows(labels, epoch, recipe.seed, recipe.balanced)]).to(device)
            batches = [rows for rows in order.split(recipe.batch_size) if len(rows) > 1]
            total = torch.zeros((), device=device)
            model.train()
            for number, rows in enumerate(batches):
                images = recipe.augmentation(compose_batch(recipe, pool, rows, draws).float().div_(255), noise)
                total += step(images, targets[rows], recipe.rate(epoch + number / len(batches)))
            losses.append(float(total) / len(batches))
            if not math.isfinite(losses[-1]):
                raise In9Error(
                    f"Training on {recipe.train_on} diverged in epoch {epoch + 1}; "
                    f"lower the learning rate (it is {recipe.learning_rate})."
                )
            try:
                on_epoch(epoch, losses[-1])
            except (Stopped, KeyboardInterrupt):
                _save(checkpoint, model, optimizer, losses, time.monotonic() - begun)
                raise
            if epoch + 1 < recipe.epochs and time.monotonic() - saved > CHECKPOINT_EVERY:
                _save(checkpoint, model, optimizer, losses, time.monotonic() - begun)
                saved = time.monotonic()
    model.eval()
    if recipe.head_on is not None:
        retrain_head(model, replace(recipe, train_on=recipe.head_on), pool)
    return model, losses


def fresh_classifier(recipe: Recipe, groups: Tensor | None = None) -> Classifier:
    """The recipe's network with its first weights; ``groups`` as ``finer_classes`` gives it."""
    outputs = NUM_CLASSES if groups is None else len(groups)
    return create(recipe.architecture, outputs, digest(recipe.seed, "weights") % 2**31, groups)


@torch.no_grad()
def retrain_head(model: Classifier, recipe: Recipe, pool: Pool) -> None:
    """Fit the last linear layer anew, in place, by logistic regression on features of the recipe's training set.

    Each image counts ``HEAD_ROUNDS`` times, with other backgrounds each time; classes are weighted to count the same.
    """
    from sklearn.linear_model import LogisticRegression

    layer = last_linear(model)
    kept: list[Tensor] = []
    handle = layer.register_forward_pre_hook(lambda _, inputs: kept.append(inputs[0].float().cpu()))
    rows = torch.from_numpy(training_rows(recipe, pool)).to(pool.device)
    try:
        for number in range(HEAD_ROUNDS):
            draws = Draws.of(recipe, pool, recipe.epochs + number)
            for batch in rows.split(recipe.batch_size):
                model.outputs(compose_batch(recipe, pool, batch, draws))
    finally:
        handle.remove()
    features = torch.cat(kept).numpy()
    mean, scale = features.mean(axis=0), features.std(axis=0) + 1e-8  # or the fit takes hundreds of rounds
    targets = finer_classes(recipe, pool)[0][rows].tolist() * HEAD_ROUNDS
    fitted = LogisticRegression(C=0.01, class_weight="balanced", max_iter=1000).fit((features - mean) / scale, targets)
    weights = fitted.coef_ / scale
    layer.weight.copy_(torch.from_numpy(weights))
    layer.bias.copy_(torch.from_numpy(fitted.intercept_ - weights @ mean))


def seconds_so_far(checkpoint: Path | None) -> float:
    """How long a stopped training had taken when its checkpoint was written; 0 without a readable one."""
    if checkpoint is None or not checkpoint.is_file():
        return 0.0
    try:
        return float(_read(checkpoint)["seconds"])
    except Exception:  # it is damaged: resuming from it says so
        return 0.0


def _read(checkpoint: Path) -> dict[str, Any]:
    """The content of a checkpoint, each of its bytes compared with their checksum, which torch does not ask for."""
    if zipfile.is_zipfile(checkpoint):
        with zipfile.ZipFile(checkpoint) as parts:
            if parts.testzip() is not None:
                raise ValueError("it is damaged")
    return dict(torch.load(checkpoint, map_location="cpu", weights_only=True))


def _save(
    checkpoint: Path | None, model: nn.Module, optimizer: torch.optim.Optimizer, losses: list[float], seconds: float
) -> None:
    if checkpoint is None:
        return
    content = io.BytesIO()  # torch, if it wrote to the disk itself, would hide why a write failed
    state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "losses": losses, "seconds": seconds}
    torch.save(state, content)
    with written_whole(checkpoint) as partial:
        partial.write_bytes(content.getvalue())


def _resume(checkpoint: Path | None, model: nn.Module, optimizer: torch.optim.Optimizer) -> list[float]:
    if checkpoint is None or not checkpoint.is_file():
        return []
    try:
        state = _read(checkpoint)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        return [float(loss) for loss in state["losses"]]
    except Exception as error:  # a damaged file shows itself in many ways, and all have the same way out
        # Torch's own words are advice to let the file run code.
        why = "it is damaged" if isinstance(error, pickle.UnpicklingError) else reason(error)
        raise In9Error(f"The checkpoint {checkpoint} cannot be read ({why}); remove it to train anew.") from error
