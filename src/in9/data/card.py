"""What an exported dataset says of itself: a dataset card (README.md) and Croissant metadata (croissant.json).

Both are written from the files that are there. The card's head tells the Hugging Face library ``datasets`` what to
load; Croissant 1.0 (MLCommons) describes the same files for any other tool.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date
from importlib import resources
from importlib.metadata import version
from pathlib import Path
from typing import Any

from jinja2 import StrictUndefined, Template

from in9.data.backgrounds import BACKGROUND_COLUMNS
from in9.data.dataset import Dataset
from in9.data.published import MASKS_FILE
from in9.data.released import BACKGROUNDS, MASKS
from in9.files import hash_of_file
from in9.taxonomy import CLASS_NAMES, TITLES

CARD, CROISSANT = "README.md", "croissant.json"
PAPER = "https://arxiv.org/abs/2006.09994"
CITATION = (
    "@inproceedings{xiao2021noise, title={Noise or Signal: The Role of Image Backgrounds in Object Recognition}, "
    "author={Xiao, Kai and Engstrom, Logan and Ilyas, Andrew and Madry, Aleksander}, "
    "booktitle={International Conference on Learning Representations}, year={2021}}"
)
TERMS = {
    "synthetic": ("mit", "https://opensource.org/license/mit", "The images are drawn by a program and free to use."),
    "": (
        "other",
        "https://www.image-net.org/download.php",
        "The images are ImageNet's, under its terms of access: non-commercial research and education. Do not publish "
        "this folder.",
    ),
}
"""By source, or for all others: the licence of the pixels, the address of its terms, and what that means."""
NAMESPACES = {
    "cr": "http://mlcommons.org/croissant/",
    "dct": "http://purl.org/dc/terms/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "sc": "https://schema.org/",
}
CROISSANT_TERMS = (
    *("citeAs", "column", "extract", "field", "fileObject", "fileProperty", "fileSet", "format", "includes"),
    *("isLiveDataset", "jsonPath", "key", "md5", "parentField", "path", "recordSet", "references", "regex", "repeated"),
    *("replace", "separator", "source", "subField", "transform"),
)


def write_card(folder: Path, dataset: Dataset, split: str, seed: int, labels: Sequence[int]) -> None:
    """Write both into the folder of an export of these images, one label each."""
    shown = [variant for variant in TITLES if (folder / variant).is_dir()]
    (folder / CARD).write_text(_card(folder, shown, dataset, split, seed, labels), encoding="utf-8")
    text = json.dumps(_croissant(folder, shown, dataset), indent=1)
    (folder / CROISSANT).write_text(text + "\n", encoding="utf-8")


def _in_shards(folder: Path, variant: str) -> bool:
    return any((folder / variant).glob("*.tar"))


def _card(folder: Path, shown: list[str], dataset: Dataset, split: str, seed: int, labels: Sequence[int]) -> str:
    source = str(dataset.manifest["source"])
    licence, address, meaning = TERMS.get(source, TERMS[""])
    template = resources.files(__package__).joinpath("card.md.jinja").read_text(encoding="utf-8")
    names = {"backgrounds": BACKGROUNDS, "croissant": CROISSANT, "masks": MASKS, "masks_file": MASKS_FILE}
    return Template(template, trim_blocks=True, keep_trailing_newline=True, undefined=StrictUndefined).render(
        names,
        licence=licence,
        address=address,
        meaning=meaning,
        paper=PAPER,
        citation=CITATION,
        source=source,
        hash=dataset.hash,
        size=dataset.image_size,
        split=split,
        seed=seed,
        version=version("in9"),
        titles={variant: TITLES[variant] for variant in shown},
        images=len(labels),
        counts=", ".join(f"{labels.count(label)} of {name}" for label, name in enumerate(CLASS_NAMES)),
        shards=_in_shards(folder, shown[0]),
        published=(folder / MASKS_FILE).is_file(),
    )


def _croissant(folder: Path, shown: list[str], dataset: Dataset) -> dict[str, Any]:
    source = str(dataset.manifest["source"])
    context: dict[str, Any] = {"@language": "en", "@vocab": NAMESPACES["sc"], **NAMESPACES}
    context |= {name: f"cr:{name}" for name in CROISSANT_TERMS} | {"conformsTo": "dct:conformsTo"}
    context |= {name: {"@id": f"cr:{name}", "@type": "@json"} for name in ("data", "examples")}
    context["dataType"] = {"@id": "cr:dataType", "@type": "@vocab"}
    files = [_file(folder, BACKGROUNDS, "text/csv")]
    if (folder / MASKS_FILE).is_file():
        files.append(_file(folder, MASKS_FILE, "application/gzip"))
    records = [
        {
            "@type": "cr:RecordSet",
            "@id": "classes",
            "name": "classes",
            "dataType": "sc:Enumeration",
            "key": {"@id": "classes/label"},
            "field": [_field("classes/label", "sc:Integer"), _field("classes/name", "sc:Text")],
            "data": [{"classes/label": label, "classes/name": name} for label, name in enumerate(CLASS_NAMES)],
        },
        {
            "@type": "cr:RecordSet",
            "@id": "backgrounds",
            "name": "backgrounds",
            "field": [
                _field(f"backgrounds/{column}", "sc:Text", {"fileObject": BACKGROUNDS}, {"column": column})
                for column in BACKGROUND_COLUMNS
            ],
        },
    ]
    for variant in shown:
        images: dict[str, Any] = {"@type": "cr:FileSet", "@id": f"{variant}-files", "name": f"{variant}-files"}
        images |= {"encodingFormat": "image/png", "includes": f"{variant}/val/*/*.png"}
        label = {"fileProperty": "fullpath"}, r".*/0(\d)_[^/]*/[^/]*$"
        if _in_shards(folder, variant):
            tars = [f"{variant}/{path.name}" for path in sorted((folder / variant).glob("*.tar"))]
            files += [_file(folder, tar, "application/x-tar") for tar in tars]
            images |= {"includes": "*[0-9].png", "containedIn": [{"@id": tar} for tar in tars]}
            label = {"fileProperty": "filename"}, r"^(\d)_"
        files.append(images)
        fields = [
            _field(f"{variant}/image", "sc:ImageObject", {"fileSet": f"{variant}-files"}, {"fileProperty": "content"}),
            _field(f"{variant}/label", "sc:Integer", {"fileSet": f"{variant}-files"}, *label),
        ]
        records.append({"@type": "cr:RecordSet", "@id": variant, "name": variant, "field": fields})
    return {
        "@context": context,
        "@type": "sc:Dataset",
        "name": f"ImageNet-9-{source}",
        "description": f"{TITLES[shown[-1]]} and other variants of ImageNet-9, which keep or replace foregrounds.",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "citeAs": CITATION,
        "license": TERMS.get(source, TERMS[""])[1],
        "url": PAPER,
        "version": "1.0.0",
        "datePublished": date.today().isoformat(),
        "distribution": files,
        "recordSet": records,
    }


def _file(folder: Path, name: str, encoding: str) -> dict[str, Any]:
    path = folder / name
    facts = {"contentUrl": name, "contentSize": f"{path.stat().st_size} B", "sha256": hash_of_file(path)}
    return {"@type": "cr:FileObject", "@id": name, "name": name, "encodingFormat": encoding, **facts}


def _field(
    name: str,
    kind: str,
    origin: dict[str, str] | None = None,
    extract: dict[str, str] | None = None,
    regex: str | None = None,
) -> dict[str, Any]:
    """A field of a record set; ``origin`` is a kind of file and its name, ``extract`` what is taken from it."""
    field: dict[str, Any] = {"@type": "cr:Field", "@id": name, "name": name, "dataType": kind}
    if origin is not None:
        field["source"] = {key: {"@id": value} for key, value in origin.items()} | {"extract": extract}
        if regex is not None:
            field["source"]["transform"] = {"regex": regex}
    return field
