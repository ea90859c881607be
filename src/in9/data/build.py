"""Build a dataset from a source: in parallel, resumable, whole or not at all, deterministic (paper, appendix A).

The same source, settings and seed give the same bytes, whatever the number of workers. A build works in a folder
beside its goal, block by block. If it is stopped it goes on where it was, and it never looks finished before it is. A
block that cannot be read is done again. Memory holds one block for each worker.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import zipfile
from collections.abc import Sequence
from concurrent.futures import as_completed
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from in9.data.boxes import Crop, tile_image
from in9.data.dataset import FORMAT, Dataset, is_dataset
from in9.data.masks import find_mask
from in9.data.processes import has_processes, interrupts_blocked, start_worker, worker_processes
from in9.data.published import MASKS_FILE, Published, PublishedImage, WithMasks, encoded, read_published
from in9.data.source import Example, Rejected, Source
from in9.data.splits import Split, assign_splits, balance, deal_into_folds, rejection, require_classes, thumbnail
from in9.errors import In9Error, plain_disk_errors
from in9.files import hash_of_file, key_of, one_writer, plain, sync, written_whole
from in9.taxonomy import CLASS_NAMES

BLOCK = 32
"""How many images a worker does at a time. With fewer, workers finish more evenly and a stopped build loses less."""


def build(
    source: Source,
    out: Path | str,
    *,
    workers: int | None = None,
    seed: int = 0,
    split: Split | None = None,
    progress: bool = True,
    masks: Path | str | None = None,
) -> Dataset:
    """Build a dataset in the folder ``out``, in parallel, and return it opened.

    ``masks`` is a published file: its masks, seed and splits are taken, so that the dataset is the published one, but
    for what another JPEG decoder rounds differently.

    A build that was stopped goes on where it was. If ``out`` already holds this very dataset, it is opened. If another
    process builds there, this one waits for it.
    Raises In9Error if ``out`` holds something else, if the masks are of other images, or if a class has no image to
    test in the test split or a fold, or no accepted one in the train split where the source has training images.
    """
    out = Path(out)
    split = split or Split()
    if masks is not None:
        published = read_published(Path(masks))
        source = WithMasks(source, published, Path(masks))
        seed, split = published.settings["seed"], Split(**published.settings["split"])
    settings = plain(
        {
            "format": FORMAT,
            "source": source.name,
            "source_settings": source.settings(),
            "image_size": source.image_size,
            "rules": source.rule.settings(),
            "seed": seed,
            "split": asdict(split),
        }
    )
    if existing := _existing(out, settings):
        return existing
    examples = source.examples()
    pairs = list(zip(examples, assign_splits(examples, seed, split), strict=True))
    origin = "" if masks is None else hash_of_file(Path(masks))
    work = out.with_name(out.name + ".partial")
    with plain_disk_errors(work), one_writer(out, "building"):
        if existing := _existing(out, settings):  # built while this process waited
            return existing
        _prepare(work, settings | {"masks": origin}, examples)
        blocks = {
            work / f"block_{start // BLOCK:06d}.npz": pairs[start : start + BLOCK]
            for start in range(0, len(pairs), BLOCK)
        }
        _process_blocks(source, blocks, workers or os.cpu_count() or 1, progress)
        try:
            _join(source, settings, list(blocks), work)
        except In9Error:  # the images will not do; when they are mended, nothing of this must be left to go on from
            shutil.rmtree(work)
            raise
        if out.exists():
            out.rmdir()
        work.rename(out)
    return Dataset(out)


def _existing(out: Path, settings: dict[str, Any]) -> Dataset | None:
    """The dataset in a folder, or None if there is none yet. Raises In9Error if the folder holds something else."""
    if not (out.is_file() or (out.is_dir() and any(out.iterdir()))):
        return None
    if not is_dataset(out):
        raise In9Error(f"{out} exists and is not a dataset; choose a new folder.")
    existing = Dataset(out)
    if existing.settings != settings:
        raise In9Error(f"{out} holds a dataset with other settings; choose a new folder or remove it.")
    return existing


def _prepare(work: Path, settings: dict[str, Any], examples: Sequence[Example]) -> None:
    """Make the working folder, and empty it of what another build left: other settings, masks, images or blocks."""
    listing = hashlib.sha256()
    for example in examples:
        listing.update(f"{example}\n".encode())
    goal = json.dumps({**settings, "examples": listing.hexdigest(), "block": BLOCK}, sort_keys=True)
    started = work / "settings.json"
    work.mkdir(parents=True, exist_ok=True)
    if not started.is_file() or started.read_bytes() != goal.encode():
        shutil.rmtree(work)
        with written_whole(started) as partial:
            partial.write_bytes(goal.encode())


def process(source: Source, example: Example, split: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Read one example and find its mask: its row of the table, and its part of each pixel array.

    An image without a good mask gets its reason into the row. Raises Rejected if the image cannot be used at all.
    """
    photo = source.read(example)
    height, width = photo.image.shape[:2]
    crop = Crop(width, height, source.image_size)
    box, reason = (0, 0, 0, 0), ""
    pixels = {"images": photo.image, "masks": np.zeros((height, width), bool)}
    if source.resizes:
        pixels["tiles"] = np.zeros_like(photo.image)
    try:
        pixels["masks"] = find_mask(photo, crop, source.rule, example.id)
        assert photo.box is not None  # or there would be no mask
        box = crop.box(photo.box)
        if source.resizes:
            pixels["tiles"] = tile_image(photo.image, photo.box)
    except Rejected as rejection:
        reason = str(rejection)
    row = {"id": example.id, "label": example.label, "fine": example.fine, "split": split}
    row |= {"accepted": not reason, "reason": reason}
    row |= dict(zip(("left", "top", "right", "bottom"), box, strict=True))
    if photo.checksum:
        mask = "" if reason else encoded(pixels["masks"])
        row["published"] = (photo.checksum, (height, width), photo.box, reason, mask)
    return row, {name: crop.pixels(image) for name, image in pixels.items()}


def _process_block(source: Source, block: Sequence[tuple[Example, str]], path: Path) -> None:
    """Process the examples of a block, each with its split, and write them as one file."""
    cv2.setNumThreads(1)
    rows, pixels, unusable = [], [], []
    for example, split in block:
        try:
            row, parts = process(source, example, split)
        except Rejected as rejection:
            unusable.append({"id": example.id, "label": example.label, "split": split, "reason": str(rejection)})
        else:
            rows.append(row)
            pixels.append(parts)
    names = pixels[0] if pixels else ()
    arrays: dict[str, Any] = {name: np.stack([parts[name] for parts in pixels]) for name in names}
    text = json.dumps({"rows": rows, "unusable": unusable}).encode()
    with written_whole(path) as partial, partial.open("wb") as stream:
        np.savez(stream, text=np.frombuffer(text, np.uint8), **arrays)


def _process_blocks(
    source: Source, blocks: dict[Path, list[tuple[Example, str]]], workers: int, progress: bool
) -> None:
    """Process the blocks whose file is not there yet or cannot be read.

    Where several fail, the error of the first of them is raised, whichever worker was the fastest.
    """
    todo = {path: block for path, block in blocks.items() if not _is_whole(path)}
    total, left = sum(map(len, blocks.values())), sum(map(len, todo.values()))
    workers = min(workers, len(todo))
    with tqdm(desc="building", unit="image", total=total, initial=total - left, disable=not progress) as bar:
        spawn = get_context("spawn")
        if workers <= 1 or not has_processes(spawn):
            for path, block in todo.items():
                _process_block(source, block, path)
                bar.update(len(block))
            return
        with worker_processes(workers, spawn, _start_worker, source) as pool:
            with interrupts_blocked():
                sizes = {pool.submit(_process_in_worker, block, path): len(block) for path, block in todo.items()}
            try:
                for done in as_completed(sizes):
                    done.result()
                    bar.update(sizes[done])
            except In9Error:
                pool.shutdown(wait=True, cancel_futures=True)  # blocks begin in order: those before it have begun
                for begun in (block for block in sizes if not block.cancelled()):
                    begun.result()
                raise


class _Worker:
    """What a worker process knows: the source of its blocks, which with published masks is too large for each block."""

    source: Source


def _start_worker(source: Source) -> None:
    start_worker()
    _Worker.source = source


def _process_in_worker(block: Sequence[tuple[Example, str]], path: Path) -> None:
    _process_block(_Worker.source, block, path)


def _is_whole(path: Path) -> bool:
    """Whether the file of a block is there, and each of its bytes is as it was written."""
    try:
        with zipfile.ZipFile(path) as block:
            return block.testzip() is None
    except Exception:  # a damaged file shows itself in many ways
        return False


def _join(source: Source, settings: dict[str, Any], paths: Sequence[Path], work: Path) -> None:
    """Join the blocks into the dataset's files, in order, holding one block in memory at a time."""
    import pandas as pd

    rows: list[dict[str, Any]] = []
    unusable: list[dict[str, Any]] = []
    with_images, thumbnails = [], []
    folds, published_splits = settings["split"]["folds"], getattr(source, "splits", None)
    deal = folds and published_splits is None  # another JPEG decoder might find other near duplicates
    for path in paths:
        with np.load(path) as block:
            content = json.loads(block["text"].tobytes())
            if content["rows"]:
                with_images.append(path)
                if deal:
                    thumbnails.append(thumbnail(block["images"]))
        rows += content["rows"]
        unusable += content["unusable"]
    table = pd.DataFrame(rows)
    if table.empty:
        reasons = sorted({image["reason"] for image in unusable}) or ["the source is empty"]
        raise In9Error(f"No image could be used: {'; '.join(reasons)}.")
    published: list[Any] | None = table.pop("published").tolist() if "published" in table else None
    if getattr(source, "balances", False):
        balance(table, settings["seed"])
    if verdicts := getattr(source, "verdicts", {}):
        table["rejected"] = [rejection(verdicts, *image) for image in zip(table["id"], table["accepted"], strict=True)]
    require_classes(table, unusable, ("train",) if folds else ("train", "test"))
    if deal:
        deal_into_folds(table, np.concatenate(thumbnails), folds, settings["seed"])
    elif published_splits is not None:
        table["split"] = table["id"].map(published_splits)
    table.to_csv(work / "examples.csv", index=False, lineterminator="\n")
    files = ["examples.csv"]
    for name in ("images", "masks", *(["tiles"] if source.resizes else [])):
        files.append(f"{name}.npy")
        # Written, not mapped: on a full disk a write raises OSError, where a memory map kills the process.
        with (work / files[-1]).open("wb") as target:
            for path in with_images:
                with np.load(path) as block:
                    pixels = block[name]
                if target.tell() == 0:
                    shape = (len(table), *pixels.shape[1:])
                    header = {"descr": pixels.dtype.str, "fortran_order": False, "shape": shape}
                    np.lib.format.write_array_header_1_0(target, header)
                target.write(pixels.tobytes())
    for name in files:
        sync(work / name)  # before the blocks go
    facts = {name: {"bytes": (work / name).stat().st_size, "sha256": hash_of_file(work / name)} for name in files}
    own = {"classes": list(CLASS_NAMES), "count": len(table), "unusable": unusable, "files": facts}
    if published is not None:
        of_people = table["rejected"] if "rejected" in table else [""] * len(table)
        columns = zip(table["id"], published, table["split"], of_people, strict=True)
        images = {name: PublishedImage(*[*known, part, why]) for name, known, part, why in columns}
        Published(settings, key_of(facts), images).write(work / MASKS_FILE)
    with written_whole(work / "manifest.json") as partial:
        partial.write_text(json.dumps(settings | own, indent=1) + "\n")
    # A process that was killed may have left a partial file of a block.
    for path in (*paths, *work.glob("*.writing"), work / "settings.json"):
        path.unlink()
