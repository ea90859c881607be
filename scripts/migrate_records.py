"""Bring records up to date: those of the first edition (format 1), and those without a digest of their results.

Keys of today leave out settings at their defaults. Run it once on a folder of records, with the folder of trained
weights where there is one::

    python scripts/migrate_records.py records
    python scripts/migrate_records.py runs/records --weights runs/trained

Numbers stay as they are. The key that a record had is kept in its provenance as ``earlier_key``. Weights whose record
is among those that are brought up to date are renamed, too, so that nothing is trained again.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from in9.evaluation.records import RECORD_FORMAT, Record, Store, read
from in9.files import key_of
from in9.training.recipe import Recipe


def migrate(folder: Path, weights: Path | None = None) -> list[Path]:
    """Rewrite the records of format 1 below a folder, and those without a digest, and return their new paths."""
    written = []
    for path in sorted(folder.glob("**/*_*_*.json")):
        content = json.loads(path.read_text())
        if content.get("format") != 1:
            if "digest" not in content:
                written.append(Store(path.parent).write(read(path)))
            continue
        old = content["key"]
        record = Record(**{name: value for name, value in content.items() if name not in ("format", "key")})
        record.provenance["earlier_key"] = old
        if weights is not None and "recipe" in record.settings:
            _rename_weights(weights, record)  # first: a migration that is stopped here does both again
        target = Store(path.parent).write(record)
        if target != path:
            path.unlink()
        written.append(target)
    return written


def _rename_weights(folder: Path, record: Record) -> None:
    """Give the weights that a record was measured with the name by which they are found now."""
    settings = record.settings["recipe"]
    recipe = Recipe().changed(**settings)
    before, after = (
        folder / f"{key_of({'content': record.data, 'recipe': recipe_settings})}.safetensors"
        for recipe_settings in (settings, recipe.changes)
    )
    if before.is_file():
        before.replace(after)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Bring records up to date.")
    parser.add_argument("folder", type=Path, help="the folder of records")
    parser.add_argument("--weights", type=Path, help="the folder of trained weights")
    arguments = parser.parse_args()
    paths = migrate(arguments.folder, arguments.weights)
    print(f"{len(paths)} records are of format {RECORD_FORMAT} now, with a digest")
