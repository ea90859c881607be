"""Build a dataset from a source: in parallel, resumable, atomic, deterministic (paper, appendix A).

The same source, settings and seed give the same bytes, whatever the number of workers. A build works in a folder
beside its goal, block by block: one that is stopped goes on where it was, and never looks finished. Memory holds one
block for each worker.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from in9.data.dataset import FORMAT, Dataset, checksum
from in9.errors import In9Error, plain_disk_errors
from in9.data.boxes import Crop, tile_image
from in9.data.masks import find_mask
from in9.seeds import digest
from in9.data.source import Example, Rejected, Source, balanced
from in9.taxonomy import CLASS_NAMES, NUM_CLASSES
from in9.data.workers import deaf_to_interrupts, start_worker

if TYPE_CHECKING:
    import pandas as pd  # takes a second to import, and the workers do without

BLOCK = 32
"""How many images a worker does at a time; fewer, and workers finish more evenly, a stopped build loses less."""


@dataclass(frozen=True)
class Split:
    """How ids are hashed into splits, within each fine class: shares of the images, the rest is for training."""

    test: float = 0.20
    validation: float = 0.05


def assign_splits(examples: Sequence[Example], seed: int, split: Split) -> list[str]:
    """The split of each example: as its source says, else by the rank of its hashed id within its fine class."""
    groups: dict[str, list[int]] = {}
    result = [example.split or "" for example in examples]
    for index, example in enumerate(examples):
        if example.split is None:
            groups.setdefault(example.fine, []).append(index)
    for members in groups.values():
        members.sort(key=lambda index: digest(seed, "split", examples[index].id))
        test, validation = round(split.test * len(members)), round(split.validation * len(members))
        for rank, index in enumerate(members):
            result[index] = "test" if rank < test else "validation" if rank < test + validation else "train"
    return result


def process(source: Source, example: Example, split: str) -> dict[str, Any] | str:
    """Read one example and find its mask: its row and pixels, or the reason why it cannot be used at all."""
    try:
        photo = source.read(example)
    except Rejected as rejection:
        return str(rejection)
    height, width = photo.image.shape[:2]
    crop = Crop(width, height, source.image_size)
    rule = source.rules.train if split == "train" else source.rules.test
    box, reason = (0, 0, 0, 0), ""
    mask, tiles = np.zeros((height, width), bool), np.zeros_like(photo.image)
    try:
        mask = find_mask(photo, crop, rule, example.id)
        assert photo.box is not None
        box = crop.box(photo.box)
        if source.resizes:
            tiles = tile_image(photo.image, photo.box)
    except Rejected as rejection:
        reason = str(rejection)
    row = {"id": example.id, "label": example.label, "fine": example.fine, "split": split}
    row |= {"accepted": not reason, "reason": reason}
    row |= dict(zip(("left", "top", "right", "bottom"), box, strict=True))
    pixels = {"images": photo.image, "masks": mask, "tiles": tiles}
    return {"row": row} | {name: crop.pixels(pixels[name]) for name in pixel_arrays(source)}


def pixel_arrays(source: Source) -> dict[str, tuple[type, tuple[int, ...]]]:
    """The pixel arrays of a dataset of this source: name -> element type and shape of one element."""
    size = source.image_size
    arrays: dict[str, tuple[type, tuple[int, ...]]] = {
        "images": (np.uint8, (size, size, 3)),
        "masks": (np.bool_, (size, size)),
    }
    return arrays | ({"tiles": (np.uint8, (size, size, 3))} if source.resizes else {})


def _process_block(source: Source, block: Sequence[tuple[Example, str]], path: Path) -> Path:
    """Process some examples and write them as one file, which appears whole or not at all."""
    import cv2

    cv2.setNumThreads(1)
    done = [(example, split, process(source, example, split)) for example, split in block]
    kept = [result for _, _, result in done if isinstance(result, dict)]
    lost = [(example.id, example.label, split, result) for example, split, result in done if isinstance(result, str)]
    arrays: dict[str, Any] = {
        name: np.array([one[name] for one in kept], kind).reshape(-1, *shape)
        for name, (kind, shape) in pixel_arrays(source).items()
    }
    text = json.dumps({"rows": [one["row"] for one in kept], "lost": lost})
    partial = path.with_suffix(".writing")
    with partial.open("wb") as stream:
        np.savez(stream, text=np.frombuffer(text.encode(), np.uint8), **arrays)
    partial.replace(path)
    return path


def build(
    source: Source,
    out: Path | str,
    *,
    workers: int | None = None,
    seed: int = 0,
    split: Split | None = None,
    progress: bool = True,
) -> Dataset:
    """Build a dataset in the folder ``out``, in parallel, and return it opened.

    A build that was stopped goes on where it was. If ``out`` already holds this very dataset, it is opened.
    Raises In9Error if ``out`` holds something else, or if a class has no accepted example in the test split, or in
    the train split where the source has training images.
    """
    out = Path(out)
    split = split or Split()
    settings = dataset_settings(source, seed, split)
    if out.exists() and any(out.iterdir() if out.is_dir() else [out]):
        if not (out / "manifest.json").is_file():
            raise In9Error(f"{out} exists and is not a dataset; choose a new folder.")
        existing = Dataset(out)
        if existing.settings != settings:
            raise In9Error(f"{out} holds a dataset with other settings; choose a new folder or remove it.")
        return existing
    examples = source.examples()
    splits = assign_splits(examples, seed, split)
    work = out.with_name(out.name + ".partial")
    with plain_disk_errors(work):
        work.mkdir(parents=True, exist_ok=True)
        started = work / "settings.json"
        goal = json.dumps({**settings, "examples": _digest_examples(examples), "block": BLOCK}, sort_keys=True)
        if not started.is_file() or started.read_text() != goal:
            shutil.rmtree(work)
            work.mkdir()
            started.write_text(goal)
        pairs = list(zip(examples, splits, strict=True))
        blocks = [
            (work / f"block_{start // BLOCK:06d}.npz", pairs[start : start + BLOCK])
            for start in range(0, len(pairs), BLOCK)
        ]
        _run_blocks(source, blocks, workers or os.cpu_count() or 1, progress)
        try:
            _merge(source, settings, [path for path, _ in blocks], work)
        except In9Error:  # the images will not do; when they are mended, nothing of this must be left to go on from
            shutil.rmtree(work)
            raise
        if out.exists():
            out.rmdir()
        work.rename(out)
    return Dataset(out)


def dataset_settings(source: Source, seed: int, split: Split) -> dict[str, Any]:
    """What decides a dataset's content, apart from the images themselves; as it stands in the manifest."""
    settings = {
        "format": FORMAT,
        "source": source.name,
        "source_settings": source.settings(),
        "image_size": source.image_size,
        "rules": asdict(source.rules),
        "seed": seed,
        "split": asdict(split),
    }
    return json.loads(json.dumps(settings))  # so that it compares equal with what was read from a manifest


def _digest_examples(examples: Iterable[Example]) -> str:
    content = hashlib.sha256()
    for example in examples:
        content.update(
            f"{example.id}\x1f{example.label}\x1f{example.fine}\x1f{example.box}\x1f{example.split}\n".encode()
        )
    return content.hexdigest()


def _run_blocks(source: Source, blocks: Sequence[tuple[Path, Any]], workers: int, progress: bool) -> None:
    todo = [(path, block) for path, block in blocks if not path.exists()]
    bar = tqdm(
        total=sum(len(block) for _, block in blocks),
        unit="image",
        desc="building",
        disable=not progress,
        file=sys.stderr,
    )
    bar.update(bar.total - sum(len(block) for _, block in todo))
    with bar:
        if min(workers, len(todo)) <= 1:
            for path, block in todo:
                _process_block(source, block, path)
                bar.update(len(block))
            return
        context = get_context("spawn")
        pool = ProcessPoolExecutor(min(workers, len(todo)), mp_context=context, initializer=start_worker)
        try:
            with deaf_to_interrupts():
                sizes = {pool.submit(_process_block, source, block, path): len(block) for path, block in todo}
            for done in as_completed(sizes):
                done.result()
                bar.update(sizes[done])
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _merge(source: Source, settings: dict[str, Any], paths: Sequence[Path], work: Path) -> None:
    """Join the blocks into the dataset's files, in order, holding one block in memory at a time."""
    import pandas as pd

    rows: list[dict[str, Any]] = []
    lost: list[list[Any]] = []
    for path in paths:
        with np.load(path) as block:
            content = json.loads(block["text"].tobytes())
        rows += content["rows"]
        lost += content["lost"]
    table = pd.DataFrame(rows)
    _require_every_class(table, lost)
    if getattr(source, "balances", False):
        _balance(table, settings["seed"])
    names = pixel_arrays(source)
    for name, (kind, shape) in names.items():
        described = np.lib.format.dtype_to_descr(np.dtype(kind))
        header = {"descr": described, "fortran_order": False, "shape": (len(table), *shape)}
        with (work / f"{name}.npy").open("wb") as target:
            # Written, not mapped: on a full disk a write raises OSError, where a memory map kills the process.
            np.lib.format.write_array_header_1_0(target, header)
            for path in paths:
                with np.load(path) as block:
                    target.write(block[name].tobytes())
    table.to_csv(work / "examples.csv", index=False, lineterminator="\n")
    files = {name: checksum(work / name) for name in ["examples.csv", *(f"{name}.npy" for name in names)]}
    manifest = {
        **settings,
        "classes": list(CLASS_NAMES),
        "count": len(table),
        "unusable": [dict(zip(("id", "label", "split", "reason"), one, strict=True)) for one in lost],
        "files": files,
    }
    (work / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")
    for path in (*paths, work / "settings.json"):
        path.unlink()


def _balance(table: pd.DataFrame, seed: int) -> None:
    """Keep the same number of accepted images of each class in each split, chosen by hashed id; the rest are not."""
    for _, mine in table[table["accepted"]].groupby("split"):
        kept = balanced({label: ids.tolist() for label, ids in mine.groupby("label")["id"]}, seed)
        removed = mine.index[~mine["id"].isin(kept)]
        table.loc[removed, ["accepted", "reason"]] = [False, "removed to balance the classes"]


def _require_every_class(table: pd.DataFrame, lost: Sequence[Any]) -> None:
    """Raise In9Error unless each class has an accepted example in the test split, and in the train split if any."""
    if table.empty:
        reasons = sorted({one[3] for one in lost}) or ["the source is empty"]
        raise In9Error(f"No image could be used: {'; '.join(reasons)}.")
    present = {*table["split"], *(one[2] for one in lost), "test"}
    for split in (one for one in ("train", "test") if one in present):
        have = set(table[(table["split"] == split) & table["accepted"]]["label"])
        missing = [CLASS_NAMES[label] for label in range(NUM_CLASSES) if label not in have]
        if missing:
            raise In9Error(
                f"The {split} split has no accepted example of {', '.join(missing)}; "
                "every class needs one: give more images."
            )
