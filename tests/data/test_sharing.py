"""An export for others: WebDataset shards, dataset card and Croissant metadata, and the libraries that read them."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from in9.data import export as exporting
from in9.data.dataset import Dataset
from in9.data.export import EXPORT_FORMATS, export
from in9.data.variants import MIXED, VARIANTS, compose, draw_backgrounds, load_pool
from in9.errors import In9Error
from in9.taxonomy import CLASS_NAMES, CLASSES


@pytest.fixture(scope="module", params=EXPORT_FORMATS)
def shared(request, dataset: Dataset, tmp_path_factory) -> Path:
    return export(dataset, tmp_path_factory.mktemp("shared") / request.param, layout=request.param, progress=False)


def samples(folder: Path) -> dict[str, dict[str, bytes]]:
    """The samples of a folder of shards, in order: key -> ending -> content."""
    result: dict[str, dict[str, bytes]] = {}
    for path in sorted(folder.glob("*.tar")):
        with tarfile.open(path) as tar:
            for member in tar:
                key, _, ending = member.name.partition(".")
                content = tar.extractfile(member)
                assert content is not None and ending not in result.setdefault(key, {})
                result[key][ending] = content.read()
    return result


def pixels(content: bytes) -> np.ndarray:
    return np.array(Image.open(io.BytesIO(content)))


def test_shards_hold_what_is_scored(dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "SHARD", 20)
    out = export(dataset, tmp_path / "out", layout="webdataset", progress=False)
    pool = load_pool(dataset, "test")
    rows = torch.arange(len(pool))
    keys = [f"{label}_{row:06d}" for row, label in enumerate(pool.labels.tolist())]
    for variant in VARIANTS:
        assert len(list((out / variant).glob("test-*-0000[01].tar"))) == len(list((out / variant).iterdir())) == 2
        drawn = draw_backgrounds(variant, pool, 0)[0] if variant in MIXED else None
        expected = compose(variant, pool, rows, drawn).permute(0, 2, 3, 1).numpy()
        written = samples(out / variant)
        assert list(written) == keys  # the same foregrounds in the same order in each variant
        for row, sample in enumerate(written.values()):
            assert sorted(sample) == ["cls", "json", "mask.png", "png"]
            assert np.array_equal(pixels(sample["png"]), expected[row])
            assert np.array_equal(pixels(sample["mask.png"]), 255 * pool.masks[row, 0].numpy())
            label, facts = int(pool.labels[row]), json.loads(sample["json"])
            assert int(sample["cls"]) == facts["label"] == label and facts["class"] == CLASS_NAMES[label]
            assert facts["id"] == f"{CLASSES[label].folder}/{pool.ids[row]}"
            if drawn is not None:
                other = int(drawn[row])
                assert facts["background"].endswith(f"/{pool.ids[other]}")
                assert facts["background_label"] == pool.labels[other]
            else:
                assert "background" not in facts


def test_the_same_dataset_gives_the_same_shards(dataset: Dataset, tmp_path: Path) -> None:
    first, again = (export(dataset, tmp_path / name, layout="webdataset", progress=False) for name in "ab")
    other = export(dataset, tmp_path / "c", seed=1, layout="webdataset", progress=False)
    for path in first.glob("*/*.tar"):
        assert (again / path.relative_to(first)).read_bytes() == path.read_bytes()
        assert not (other / path.relative_to(first)).exists()  # for readers that keep files by their name


def test_the_card_names_files_that_are_there(shared: Path, dataset: Dataset) -> None:
    import yaml

    _, head, body = (shared / "README.md").read_text().split("---\n", 2)
    facts = yaml.safe_load(head)
    assert facts["license"] == "mit" and [config["config_name"] for config in facts["configs"]] == list(VARIANTS)
    for config in facts["configs"]:
        (files,) = config["data_files"]
        assert files["split"] == "test" and list(shared.glob(files["path"]))
    assert dataset.hash in body and "36 images of 32 x 32 pixels" in body and "4 of dog, 4 of bird" in body


def test_croissant_describes_the_files(shared: Path) -> None:
    content = json.loads((shared / "croissant.json").read_text())
    kinds = {"cr:FileObject": 0, "cr:FileSet": 0}
    for entry in content["distribution"]:
        kinds[entry["@type"]] += 1
        if entry["@type"] == "cr:FileObject":
            path = shared / entry["contentUrl"]
            assert hashlib.sha256(path.read_bytes()).hexdigest() == entry["sha256"]
            assert entry["contentSize"] == f"{path.stat().st_size} B"
            continue
        if "containedIn" in entry:
            names: list[str] = []
            for part in entry["containedIn"]:
                with tarfile.open(shared / part["@id"]) as tar:
                    names += tar.getnames()
            assert sum(fnmatch(name, entry["includes"]) for name in names) == 36
        else:
            assert len(list(shared.glob(entry["includes"]))) == 36
    assert kinds["cr:FileSet"] == len(VARIANTS) and kinds["cr:FileObject"] in (1, 1 + len(VARIANTS))


LIBRARIES = """
import json, sys
folder, layout = sys.argv[1:]
import mlcroissant
described = mlcroissant.Dataset(f"{folder}/croissant.json")
issues = described.metadata.ctx.issues
assert not issues.errors and not issues.warnings, issues.report()
assert [record["classes/name"].decode() if isinstance(record["classes/name"], bytes) else record["classes/name"]
        for record in described.records("classes")] == json.loads(sys.stdin.readline())
read = list(described.records("mixed_rand"))
croissant = sorted((record["mixed_rand/label"], record["mixed_rand/image"].tobytes()) for record in read)
assert len(list(described.records("backgrounds"))) == 3 * len(read)
from datasets import load_dataset
loaded = load_dataset(folder, "mixed_rand", split="test")
image, label = ("image", "label") if layout == "imagefolder" else ("png", "cls")
hub = sorted((row[label], row[image].tobytes()) for row in loaded)
assert len(hub) == 36 and hub == croissant
if layout == "webdataset":
    assert {row["json"]["class"] for row in loaded} and loaded[0]["mask.png"].mode == "L"
print("read", len(hub))
"""


@pytest.mark.skipif(
    not all(map(importlib.util.find_spec, ("mlcroissant", "datasets"))), reason="pip install 'in9[sharing]'"
)
def test_the_libraries_read_it(shared: Path, tmp_path: Path) -> None:
    """In a process of its own: the libraries warn of their own parts, and keep what they read in a cache."""
    caches = {"HF_HOME": str(tmp_path / "hub"), "CROISSANT_CACHE": str(tmp_path / "croissant")}
    offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    command = [sys.executable, "-c", LIBRARIES, shared, shared.name]
    done = subprocess.run(
        command,
        input=json.dumps(CLASS_NAMES) + "\n",
        env=os.environ | caches | offline,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip() == "read 36"


def test_the_recipe_of_masks_is_linked_and_terms_are_told(dataset: Dataset, tmp_path: Path) -> None:
    copy = shutil.copytree(dataset.path, tmp_path / "copy")
    (copy / "masks.json.gz").write_bytes(b"numbers")
    opened = Dataset(copy)
    opened.manifest["source"] = "imagenet"
    out = export(opened, tmp_path / "out", layout="webdataset", progress=False)
    card = (out / "README.md").read_text()
    assert (out / "masks.json.gz").read_bytes() == b"numbers" and "](masks.json.gz)" in card
    assert "license: other" in card and "Do not publish this folder" in card and "license: mit" not in card
    content = json.loads((out / "croissant.json").read_text())
    assert "masks.json.gz" in [entry["@id"] for entry in content["distribution"]]
    assert content["license"].startswith("https://www.image-net.org")


def test_a_format_that_does_not_exist(run, dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(In9Error, match=r"no format of an export 'webdatasets'. Did you mean 'webdataset'"):
        export(dataset, tmp_path / "out", layout="webdatasets")
    status, out, _ = run("export", dataset.path, tmp_path / "out", "--format", "webdataset")
    assert status == 0 and "wrote" in out and list((tmp_path / "out" / "no_fg").glob("*.tar"))
    status, _, err = run("export", dataset.path, tmp_path / "other", "--format", "parquet")
    assert status == 2 and "Choose one of: imagefolder, webdataset" in err and not (tmp_path / "other").exists()
