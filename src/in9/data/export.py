"""Write a dataset in the layout of the authors' test archive, so that their scripts can read it."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from in9.data import variants
from in9.data.dataset import Dataset
from in9.errors import In9Error, plain_disk_errors
from in9.data.released import BACKGROUNDS
from in9.taxonomy import CLASSES
from in9.data.variants import MIXED, VARIANTS


def export(
    dataset: Dataset, out: Path | str, *, split: str = "test", seed: int = 0, progress: bool = True
) -> Path:
    """Write one split as ``<variant>/val/<class folder>/<name>.png`` and ``fg_mask/val/<class folder>/<name>.npy``.

    Images are PNG, so they are exactly what is scored here; masks are 0/1 arrays uint8 [S, S]. The authors' readers
    take both by name, in sorted order. ``backgrounds.csv`` says which background each mixed image has: the authors'
    own archive has wrong ids there for Mixed-Rand. The folder appears whole or not at all; raises In9Error if it is
    already there.
    """
    import torch

    out = Path(out)
    if out.exists():
        raise In9Error(f"{out} already exists; choose a new folder or remove it.")
    pool = variants.load_pool(dataset, split)
    names = [Path(one).stem for one in pool.ids]
    if len(set(zip(names, pool.labels.tolist(), strict=True))) < len(names):
        names = [one.replace("/", "_") for one in pool.ids]
    work = out.with_name(out.name + ".partial")
    shutil.rmtree(work, ignore_errors=True)
    folders = [CLASSES[label].folder for label in pool.labels.tolist()]
    rows = ["variant,folder,name,background_folder,background_name\n"]
    bar = tqdm(
        total=len(pool) * (len(VARIANTS) + 1), desc="exporting", unit="file", file=sys.stderr, disable=not progress
    )
    with plain_disk_errors(work, resumes=False), bar:
        for variant in VARIANTS:
            chosen = variants.draw_backgrounds(variant, pool, seed)[0] if variant in MIXED else None
            for row, (folder, name) in enumerate(zip(folders, names, strict=True)):
                here = torch.tensor([row])
                image = variants.compose(variant, pool, here, None if chosen is None else chosen[here])[0]
                target = work / variant / "val" / folder / f"{name}.png"
                target.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(image.permute(1, 2, 0).numpy()).save(target)
                if chosen is not None:
                    other = int(chosen[row])
                    rows.append(f"{variant},{folder},{name},{folders[other]},{names[other]}\n")
                bar.update()
        for row, (folder, name) in enumerate(zip(folders, names, strict=True)):
            target = work / "fg_mask" / "val" / folder / f"{name}.npy"
            target.parent.mkdir(parents=True, exist_ok=True)
            np.save(target, pool.masks[row, 0].numpy().astype(np.uint8))
            bar.update()
        (work / BACKGROUNDS).write_text("".join(rows), encoding="utf-8")
        work.rename(out)
    return out
