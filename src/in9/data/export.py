"""Write a dataset in the layout of the authors' test archive, so that their scripts can read it."""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from in9.data import variants
from in9.data.dataset import Dataset
from in9.data.released import BACKGROUNDS, FOLDERS, MASKS
from in9.data.variants import MIXED, VARIANTS
from in9.errors import In9Error, plain_disk_errors
from in9.files import one_writer


def export(dataset: Dataset, out: Path | str, *, split: str = "test", seed: int = 0, progress: bool = True) -> Path:
    """Write one split as ``<variant>/val/<class folder>/<name>.png`` and ``fg_mask/val/<class folder>/<name>.npy``.

    Images are PNG, so they are exactly what is scored here; masks are 0/1 arrays uint8 [S, S]. The authors' readers
    take both by name, in sorted order. ``backgrounds.csv`` says which background each mixed image has: the authors'
    own archive has wrong ids there for Mixed-Rand. The folder appears whole or not at all; raises In9Error if it is
    already there.
    """
    import pandas as pd
    import torch

    out = Path(out)
    if out.exists():
        raise In9Error(f"{out} already exists; choose a new folder or remove it.")
    if not len(dataset.indices(split)):
        raise In9Error(f"The dataset {dataset.path} has no accepted images in its {split} split; export another split.")
    pool = variants.load_pool(dataset, split)
    folders = [FOLDERS[label] for label in pool.labels.tolist()]
    names = [Path(identifier).stem for identifier in pool.ids]
    if len(set(zip(folders, names, strict=True))) < len(names):
        names = [identifier.replace("/", "_") for identifier in pool.ids]
    work = out.with_name(out.name + ".partial")
    listing: list[tuple[str, ...]] = []
    with plain_disk_errors(work, resumes=False), one_writer(out, "exporting to"), ExitStack() as stack:
        if out.exists():  # exported while this process waited
            raise In9Error(f"{out} already exists; choose a new folder or remove it.")
        shutil.rmtree(work, ignore_errors=True)
        bar = stack.enter_context(
            tqdm(total=len(pool) * (len(VARIANTS) + 1), desc="exporting", unit="file", disable=not progress)
        )
        for kind in (*VARIANTS, MASKS):
            for folder in set(folders):
                (work / kind / "val" / folder).mkdir(parents=True)
            backgrounds = variants.draw_backgrounds(kind, pool, seed)[0] if kind in MIXED else None
            for row, (folder, name) in enumerate(zip(folders, names, strict=True)):
                target = work / kind / "val" / folder / name
                if kind == MASKS:
                    np.save(f"{target}.npy", pool.masks[row, 0].numpy().astype(np.uint8))
                else:
                    chosen = None if backgrounds is None else backgrounds[[row]]
                    image = variants.compose(kind, pool, torch.tensor([row]), chosen)[0]
                    Image.fromarray(image.permute(1, 2, 0).numpy()).save(f"{target}.png")
                if backgrounds is not None:
                    background = int(backgrounds[row])
                    listing.append((kind, folder, name, folders[background], names[background]))
                bar.update()
        columns = ["variant", "folder", "name", "background_folder", "background_name"]
        pd.DataFrame(listing, columns=columns).to_csv(work / BACKGROUNDS, index=False, lineterminator="\n")
        work.rename(out)
    return out
