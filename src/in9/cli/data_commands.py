"""Commands for data: fetch, build and export a dataset."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from in9.cli.options import assignments, seed_option
from in9.errors import unknown


def build(
    source: Annotated[str, typer.Argument(help="synthetic, tiny-imagenet or imagenet.")],
    out: Annotated[Path, typer.Argument(help="The folder that will hold the dataset.")],
    archive: Annotated[Path | None, typer.Option(help="The source's zip file or folder, where it has one.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; default: one for each core.")] = None,
    seed: Annotated[int, seed_option("Decides the split into training and test images.")] = 0,
    folds: Annotated[int, typer.Option(min=0, help="Deal the images into so many folds; 0 for a test split.")] = 0,
    set_: Annotated[list[str] | None, typer.Option("--set", help="A source's option as name=value.")] = None,
    from_: Annotated[Path | None, typer.Option("--from", help="A published file of masks, folds and seed.")] = None,
    grabcut: Annotated[bool, typer.Option("--grabcut", help="Find the masks anew where some are published.")] = False,
) -> None:
    """Build a dataset: images, masks, boxes and labels from a source. A stopped build goes on where it was.

    The masks of Tiny ImageNet are published with the project and taken from there.
    """
    from in9.data.build import build as build_dataset
    from in9.data.published import read_published
    from in9.data.sources import open_source
    from in9.data.splits import Split

    options = assignments(set_ or []) | ({"archive": archive} if archive is not None else {})
    split = Split(test=0.0, folds=folds) if folds else Split()
    dataset = build_dataset(open_source(source, **options), out, workers=workers, seed=seed, split=split, masks=from_)
    counts = dataset.outcomes()
    table = counts.pivot_table(index="outcome", columns="class", values="count", aggfunc="sum", fill_value=0)
    table = table.reindex(columns=dataset.manifest["classes"]).assign(total=lambda rows: rows.sum(axis=1))
    typer.echo(table.sort_values("total", ascending=False).to_string())
    accepted = counts[counts["outcome"] == "accepted"].groupby("split")["count"].sum()
    sizes = ", ".join(f"{number} {split}" for split, number in accepted.items())
    typer.echo(f"{dataset.path}: {len(dataset.table)} images; with a good mask {sizes}; hash {dataset.hash}")
    if from_ is not None and read_published(from_).hash != dataset.hash:
        typer.echo("The masks are the published ones, the images are not to the byte: another JPEG decoder read them.")


def export(
    dataset: Annotated[Path, typer.Argument(help="The folder of a dataset.")],
    out: Annotated[Path, typer.Argument(help="The folder that will hold the authors' layout.")],
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "test",
    seed: Annotated[int, seed_option("Decides the backgrounds of the mixed variants.")] = 0,
) -> None:
    """Write the eight variants and the masks of one split in the layout of the authors' test archive."""
    from in9.data.dataset import Dataset
    from in9.data.export import export as export_dataset

    typer.echo(f"wrote {export_dataset(Dataset(dataset), out, split=split, seed=seed)}")


def fetch(
    what: Annotated[str, typer.Argument(help="tiny-imagenet or released.")],
    to: Annotated[Path | None, typer.Option(help="Where it goes; default: the user's cache.")] = None,
    url: Annotated[str | None, typer.Option(help="Another place to fetch it from.")] = None,
    checksum: Annotated[str | None, typer.Option(help="What to expect, as sha256:... or md5:...")] = None,
) -> None:
    """Download Tiny ImageNet, or the authors' test set; a download that is stopped goes on where it was."""
    from in9.data.downloads import FETCHABLE

    if what not in FETCHABLE:
        raise unknown("dataset to fetch", what, FETCHABLE)
    typer.echo(FETCHABLE[what](to, url=url, checksum=checksum))
