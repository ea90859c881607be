"""Write a dataset for others: in the layout of the authors' test archive, or as WebDataset shards.

``imagefolder`` is ``<variant>/val/<class folder>/<name>.png`` and ``fg_mask/val/<class folder>/<name>.npy``. Images are
PNG, so they are exactly what is scored here; masks are 0/1 arrays uint8 [S, S]. The authors' readers take both by name,
in sorted order.

``webdataset`` is ``<variant>/<split>-<hash>-00000.tar`` and so on: readers that keep what they unpack by its name must
not take the shards of one dataset for another's. Sample ``<class>_<row>`` is the same foreground in every
variant, and holds ``.png``, ``.mask.png`` (255 on the object), ``.cls`` (the class, 0 to 8) and ``.json``.

Beside them lie ``backgrounds.csv``, which says what background each mixed image has (the authors' own archive has wrong
ids there for Mixed-Rand), a dataset card, Croissant metadata, and the dataset's published masks.
"""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image
from tqdm import tqdm

from in9.data import variants
from in9.data.backgrounds import BACKGROUND_COLUMNS
from in9.data.card import write_card
from in9.data.dataset import Dataset
from in9.data.published import MASKS_FILE
from in9.data.released import BACKGROUNDS, FOLDERS, MASKS
from in9.data.variants import MIXED, VARIANTS, Pool
from in9.errors import In9Error, check_known, plain_disk_errors
from in9.files import key_of, one_writer
from in9.taxonomy import CLASS_NAMES

EXPORT_FORMATS = (IMAGEFOLDER, WEBDATASET) = ("imagefolder", "webdataset")
SHARD = 1000
"""Samples in a tar file."""


def export(
    dataset: Dataset,
    out: Path | str,
    *,
    split: str = "test",
    seed: int = 0,
    layout: str = IMAGEFOLDER,
    progress: bool = True,
) -> Path:
    """Write the eight variants and the masks of one split, in one of ``EXPORT_FORMATS``; see the module's text.

    The folder appears whole or not at all; raises In9Error if it is already there.
    """
    check_known("format of an export", [layout], EXPORT_FORMATS)
    out = Path(out)
    if out.exists():
        raise In9Error(f"{out} already exists; choose a new folder or remove it.")
    if not len(dataset.indices(split)):
        raise In9Error(f"The dataset {dataset.path} has no accepted images in its {split} split; export another split.")
    pool = variants.load_pool(dataset, split)
    ids = _ids(pool)
    tag = key_of([dataset.hash, seed])[:8]
    work = out.with_name(out.name + ".partial")
    listing: list[tuple[str, ...]] = []
    files = len(pool) * (len(VARIANTS) + (layout == IMAGEFOLDER))
    with plain_disk_errors(work, resumes=False), one_writer(out, "exporting to"), ExitStack() as stack:
        if out.exists():  # exported while this process waited
            raise In9Error(f"{out} already exists; choose a new folder or remove it.")
        shutil.rmtree(work, ignore_errors=True)
        bar = stack.enter_context(tqdm(total=files, desc="exporting", unit="image", disable=not progress))
        for kind in VARIANTS:
            drawn = variants.draw_backgrounds(kind, pool, seed)[0].tolist() if kind in MIXED else []
            sources = [ids[row] for row in drawn]
            listing += [(kind, id_, source) for id_, source in zip(ids, sources, strict=False)]
            if layout == IMAGEFOLDER:
                for row, image in _images(kind, pool, seed, bar):
                    path = work / kind / "val" / f"{ids[row]}.png"
                    path.parent.mkdir(parents=True, exist_ok=True)
                    image.save(path)
                continue
            images, shard = _images(kind, pool, seed, bar), 0
            (work / kind).mkdir(parents=True)
            while part := list(islice(images, SHARD)):
                with tarfile.open(work / kind / f"{split}-{tag}-{shard:05d}.tar", "w") as tar:
                    for row, image in part:
                        _add_sample(tar, pool, row, image, ids[row], sources[row] if sources else None)
                shard += 1
        if layout == IMAGEFOLDER:
            for id_, mask in zip(ids, pool.masks[:, 0].numpy(), strict=True):
                path = work / MASKS / "val" / f"{id_}.npy"
                path.parent.mkdir(parents=True, exist_ok=True)
                np.save(path, mask.astype(np.uint8))
                bar.update()
        table = pd.DataFrame(listing, columns=list(BACKGROUND_COLUMNS))
        table.to_csv(work / BACKGROUNDS, index=False, lineterminator="\n")
        if (dataset.path / MASKS_FILE).is_file():
            shutil.copyfile(dataset.path / MASKS_FILE, work / MASKS_FILE)
        write_card(work, dataset, split, seed, pool.labels.tolist())
        work.rename(out)
    return out


def _ids(pool: Pool) -> list[str]:
    """What each image is called in an export: its class folder and its own name, which are unique together."""
    folders = [FOLDERS[label] for label in pool.labels.tolist()]
    names = [Path(identifier).stem for identifier in pool.ids]
    if len(set(zip(folders, names, strict=True))) < len(names):
        names = [identifier.replace("/", "_") for identifier in pool.ids]
    return [f"{folder}/{name}" for folder, name in zip(folders, names, strict=True)]


def _images(kind: str, pool: Pool, seed: int, bar: tqdm) -> Iterator[tuple[int, Image.Image]]:
    """Each row of the pool with its image in one variant."""
    composed = variants.composer(kind, pool, seed)
    for row in range(len(pool)):
        image = composed(torch.tensor([row]))[0]
        yield row, Image.fromarray(image.permute(1, 2, 0).numpy())
        bar.update()


def _add_sample(
    tar: tarfile.TarFile, pool: Pool, row: int, image: Image.Image, id_: str, background: str | None
) -> None:
    """The files of one sample; they carry no time and no owner, so that the same dataset gives the same bytes."""
    label = int(pool.labels[row])
    facts: dict[str, str | int] = {"id": id_, "label": label, "class": CLASS_NAMES[label]}
    if background is not None:
        of = FOLDERS.index(background.partition("/")[0])
        facts |= {"background": background, "background_label": of, "background_class": CLASS_NAMES[of]}
    mask = Image.fromarray(pool.masks[row, 0].numpy().astype(np.uint8) * 255)
    parts = {"cls": str(label).encode(), "json": json.dumps(facts).encode()}
    for ending, picture in (("mask.png", mask), ("png", image)):
        stream = io.BytesIO()
        picture.save(stream, "PNG")
        parts[ending] = stream.getvalue()
    for ending, content in parts.items():
        member = tarfile.TarInfo(f"{label}_{row:06d}.{ending}")
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
