"""Linear heads: a network without one, or with one of other classes, as a classifier of the nine (a linear probe).

The features of a network are what its last linear layer gets, or what it gives if it has none. ``fit_head`` fits a
logistic regression to the features of a dataset's training images, each feature standardised, each class counting the
same; its regularisation is what is best on the validation images. A head is a linear layer [outputs, features] with the
standardisation in it, and can be kept in a file. A file from elsewhere will do if it holds such a layer and no more.
"""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn
from tqdm import tqdm

from in9.data import variants
from in9.data.dataset import Dataset
from in9.errors import In9Error, errors_of_foreign_code
from in9.evaluation.predictions import default_batch_size, exact_convolutions
from in9.files import written_whole
from in9.scoring.test_images import DatasetImages
from in9.scoring.weights import LoadedNetwork, kept_array, read_state
from in9.taxonomy import CLASS_NAMES, NUM_CLASSES
from in9.training.networks import Classifier, last_linear
from in9.training.recipe import IN9L

REGULARISATIONS = tuple(10.0**power for power in range(-6, 2))
"""scikit-learn's C, from strong to weak, of which one is chosen."""
STEPS = 300
HEAD_SUFFIX = ".safetensors"


@dataclass(frozen=True)
class Head:
    """A linear layer, and what a record says of it: of which features, how it was fitted, or its file."""

    layer: nn.Linear
    facts: dict[str, Any]


def without_head(name: str, loaded: LoadedNetwork) -> nn.Module:
    """The network without its last linear layer: its outputs are features [B, D]; as it is, if it is no library's."""
    network = loaded.network
    if loaded.library == "timm":
        with errors_of_foreign_code(f"{name} cannot be used without its last layer"):
            network.reset_classifier(0)  # type: ignore[operator]
    elif loaded.library in ("torchvision", "in9"):
        layer = last_linear(network)
        place = next(place for place, module in network.named_modules() if module is layer)
        network.set_submodule(place, nn.Identity())
    return network


def fit_head(
    name: str, classifier: Classifier, told: Any, train_on: str, dataset: Dataset, cache: Path | None, progress: bool
) -> Head:
    """A head of the nine classes for a classifier that gives features, fitted to a dataset's training images.

    ``train_on`` is one variant, several joined by ``+``, or ``in9l``. ``told`` is what tells this classifier from
    others; with it the features are kept in ``cache``. Raises In9Error for a dataset that lacks images of some class,
    and for features that are not finite.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import balanced_accuracy_score
    from sklearn.preprocessing import StandardScaler

    parts = (IN9L,) if train_on == IN9L else tuple(train_on.split("+"))
    variants.check_variants(parts, also=(IN9L,))
    if dataset.folds and dataset.fold is None:
        raise In9Error(
            f"{dataset.path} is in folds, and a probe is trained on all but one of them: say which with --fold, 0 to "
            f"{dataset.folds - 1}."
        )
    splits = {}
    for split, use in (("train", "to fit a probe to"), ("validation", "to choose a probe's regularisation by")):
        labels = dataset.table["label"].to_numpy()[dataset.indices(split, accepted=train_on != IN9L)]
        if lacking := [CLASS_NAMES[label] for label in sorted(set(range(NUM_CLASSES)) - set(labels))]:
            raise In9Error(
                f"{dataset.path} has no {split} images {use}, of {', '.join(lacking)}; fit it on another dataset and "
                "give the head with --head FILE."
            )
        images = DatasetImages(dataset, split, 0, next(classifier.buffers()).device)
        features = [_features(name, classifier, told, images, part, cache, progress) for part in parts]
        splits[split] = np.concatenate(features), np.concatenate([images.labels(part) for part in parts])
    (x, y), (held_x, held_y) = splits["train"], splits["validation"]
    scaler = StandardScaler().fit(x)
    x, held_x = scaler.transform(x), scaler.transform(held_x)
    model = LogisticRegression(max_iter=STEPS, class_weight="balanced", warm_start=True)
    best: dict[str, Any] = {"validation": -1.0}
    for c in tqdm(REGULARISATIONS, desc="fitting", unit="fit", disable=not progress):
        with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):  # of weak ones
            model.set_params(C=c).fit(x, y)
        accuracy = float(balanced_accuracy_score(held_y, model.predict(held_x)))
        if accuracy > best["validation"]:
            best = {"C": c, "validation": accuracy, "weight": model.coef_.copy(), "bias": model.intercept_.copy()}
    weight = best["weight"] / scaler.scale_
    layer = nn.utils.skip_init(nn.Linear, x.shape[1], NUM_CLASSES)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(weight))
        layer.bias.copy_(torch.from_numpy(best["bias"] - weight @ scaler.mean_))
    facts = {
        "train_on": train_on,
        "data": dataset.hash,
        "fold": dataset.fold,
        "images": len(y),
        "C": best["C"],
        "validation_accuracy": round(100 * best["validation"], 2),
        "features_of": told,
    }
    return Head(layer, facts)


def _features(
    name: str, classifier: Classifier, told: Any, images: DatasetImages, test: str, cache: Path | None, progress: bool
) -> np.ndarray:
    """The features of the images of one variant: float32 [N, D]."""

    @torch.inference_mode()
    def compute() -> np.ndarray:
        batches = images.batches(test, default_batch_size(images.image_size, images.device))
        total, parts = len(images.labels(test)), []
        with (
            exact_convolutions(),
            tqdm(total=total, desc=f"{images.split} features", unit="image", disable=not progress) as bar,
        ):
            for batch in batches:
                with errors_of_foreign_code(f"{name} fails on images of {test}"):
                    parts.append(classifier(batch).float().cpu())
                bar.update(len(batch))
        return torch.cat(parts).numpy()

    key = ["features", told, images.hash, images.facts, test]
    features = kept_array(cache, key, compute)
    broken = ~np.isfinite(features).all(1)
    if broken.any():
        raise In9Error(
            f"{name} gives features that are not finite for {broken.sum()} of {len(broken)} {images.split} images of "
            f"{test}; check its weights and preprocessing."
        )
    return features


def write_head(path: Path, head: Head) -> None:
    """Write a head to a safetensors file."""
    with written_whole(path) as partial:
        save_file(head.layer.state_dict(), partial, metadata={"in9_head": json.dumps(head.facts)})


def read_head(name: str, path: Path, told: Any, features: int) -> Head:
    """A head from its file, for a classifier that gives so many features.

    Raises In9Error if it was fitted to the features of another classifier, or does not fit.
    """
    state = read_state(path)
    matrices = [tensor for tensor in state.values() if tensor.ndim == 2]
    vectors = [tensor for tensor in state.values() if tensor.ndim == 1]
    if len(state) != len(matrices) + len(vectors) or len(matrices) != 1 or len(vectors) > 1:
        raise In9Error(f"The head {path} must hold one linear layer, a weight and a bias; it has {len(state)} tensors.")
    weight, bias = matrices[0].float(), vectors[0].float() if vectors else torch.zeros(len(matrices[0]))
    if weight.shape[1] != features or len(bias) != len(weight):
        raise In9Error(
            f"The head {path} does not fit: its weight is {weight.shape[0]} x {weight.shape[1]} and its bias "
            f"{len(bias)}, and {name} gives {features} features."
        )
    if not (weight.isfinite().all() and bias.isfinite().all()):
        raise In9Error(f"The head {path} holds numbers that are not finite; fit it again.")
    facts: dict[str, Any] = {"file": path.name}
    if path.suffix == HEAD_SUFFIX:
        with safe_open(path, "pt") as file:
            facts = json.loads((file.metadata() or {}).get("in9_head", "{}")) or facts
    if "features_of" in facts and facts["features_of"] != told:
        raise In9Error(
            f"The head {path} was fitted to the features of other weights or with other preprocessing than {name} has "
            "here; fit it again with --probe."
        )
    layer = nn.utils.skip_init(nn.Linear, features, len(weight))
    layer.load_state_dict({"weight": weight, "bias": bias})
    return Head(layer, facts)
