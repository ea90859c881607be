"""Commands for data: fetch, build and export a dataset."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from in9.cli.options import assignments, seed_option
from in9.errors import In9Error, check_known

if TYPE_CHECKING:
    from in9.data.source import Source  # NumPy takes a while to import

PUBLISHED = {"tiny-imagenet": "tiny"}
"""The sources for which the project publishes masks, and its dataset of each."""


def build(
    source: Annotated[str, typer.Argument(help="synthetic, tiny-imagenet or imagenet.")],
    out: Annotated[Path, typer.Argument(help="The folder that will hold the dataset.")],
    archive: Annotated[Path | None, typer.Option(help="The source's zip file or folder, where it has one.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; default: one for each core.")] = None,
    seed: Annotated[int | None, seed_option("Decides the split into training and test images; default: 0.")] = None,
    folds: Annotated[
        int | None, typer.Option(min=0, help="Deal the images into so many folds, in place of a test split.")
    ] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="A source's option as name=value.")] = None,
    from_: Annotated[Path | None, typer.Option("--from", help="A published file of masks, folds and seed.")] = None,
    grabcut: Annotated[bool, typer.Option("--grabcut", help="Find the masks anew where some are published.")] = False,
) -> None:
    """Build a dataset: images, masks, boxes and labels from a source. A stopped build goes on where it was.

    The masks of Tiny ImageNet are published with the project, and are taken from there with their seed and folds
    unless others are asked for.
    """
    from in9.data.build import build as build_dataset
    from in9.data.published import read_published
    from in9.data.sources import open_source
    from in9.data.splits import Split

    given = [name for name, value in (("--seed", seed), ("--folds", folds)) if value is not None]
    if from_ is not None and grabcut:
        raise In9Error(f"--grabcut finds masks anew and --from takes those of {from_}; give only one of them.")
    if from_ is not None and given:
        raise In9Error(f"{from_} brings its own seed and folds; leave out {' and '.join(given)}, or leave out --from.")
    options = assignments(set_ or []) | ({"archive": archive} if archive is not None else {})
    opened = open_source(source, **options)
    split = Split(test=0.0, folds=folds) if folds else Split()
    if from_ is None and not grabcut and not given:
        from_ = _published_masks(opened)
    dataset = build_dataset(opened, out, workers=workers, seed=seed or 0, split=split, masks=from_)
    counts = dataset.outcomes()
    table = counts.pivot_table(index="outcome", columns="class", values="count", aggfunc="sum", fill_value=0)
    table = table.reindex(columns=dataset.manifest["classes"]).assign(total=lambda rows: rows.sum(axis=1))
    typer.echo(table.sort_values("total", ascending=False).to_string())
    accepted = counts[counts["outcome"] == "accepted"].groupby("split")["count"].sum()
    sizes = ", ".join(f"{number} {split}" for split, number in accepted.items())
    typer.echo(f"{dataset.path}: {len(dataset.table)} images; with a good mask {sizes}; hash {dataset.hash}")
    if from_ is not None and (wanted := read_published(from_).hash) != dataset.hash:
        typer.echo(f"The published dataset has the hash {wanted}: another JPEG decoder reads a few pixels otherwise.")


def _published_masks(source: Source) -> Path | None:
    """The project's published masks of a source, and a line that says so; None if it has none for these settings."""
    from in9.data.published import read_published
    from in9.study.workspace import find_workspace

    workspace = find_workspace()
    path = workspace.published(PUBLISHED[source.name]) if source.name in PUBLISHED else None
    if path is None or read_published(path).differs_from(source):
        return None
    typer.echo(f"masks from {path.relative_to(workspace.root)}; --grabcut finds them anew")
    return path


def export(
    dataset: Annotated[Path, typer.Argument(help="The folder of a dataset.")],
    out: Annotated[Path, typer.Argument(help="The folder that will hold the export.")],
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "test",
    seed: Annotated[int, seed_option("Decides the backgrounds of the mixed variants.")] = 0,
    format_: Annotated[str, typer.Option("--format", help="imagefolder or webdataset.")] = "imagefolder",
) -> None:
    """Write the eight variants and the masks of one split, with a dataset card and Croissant metadata.

    The format imagefolder is the layout of the authors' test archive, webdataset is tar files. The Hugging Face library
    `datasets` loads either.
    """
    from in9.data.dataset import Dataset
    from in9.data.export import export as export_dataset

    typer.echo(f"wrote {export_dataset(Dataset(dataset), out, split=split, seed=seed, layout=format_)}")


def backgrounds(
    data: Annotated[Path, typer.Argument(metavar="DIR", help="The authors' released test set, or any in its layout.")],
    csv: Annotated[Path | None, typer.Option(help="The table; default: recovered_backgrounds.csv in DIR.")] = None,
) -> None:
    """Recover which background each mixed image has, and how sure that is, from its pixels.

    The table has a row for each mixed image: test, id, background, distance (to that background, in grey levels),
    margin (to the runner-up) and doubtful. `in9 evaluate` reads it.
    """
    from in9.data.backgrounds import recover_backgrounds
    from in9.data.released import RECOVERED, Released
    from in9.scoring import report

    released = Released(data)
    target = csv or released.folder / RECOVERED
    report.check_targets(target)
    table = recover_backgrounds(released, progress=True)
    for test, part in table.groupby("test", sort=False):
        doubtful, distance = int(part["doubtful"].sum()), part["distance"].median()
        typer.echo(f"{test}: {len(part):,} images, {doubtful:,} doubtful; median distance {distance:.1f} grey levels")
    text = table.to_csv(index=False, lineterminator="\n", float_format="%.3f")
    report.save({target: lambda path: report.write(path, text)})
    typer.echo(f"wrote {target}")


def fetch(
    what: Annotated[str, typer.Argument(help="tiny-imagenet, released or photographs.")],
    to: Annotated[
        Path | None, typer.Option(help="Where it goes; default: the user's cache, for photographs data/photographs.")
    ] = None,
    url: Annotated[str | None, typer.Option(help="Another place to fetch it from; for photographs, a folder.")] = None,
    checksum: Annotated[str | None, typer.Option(help="What to expect, as sha256:... or md5:...")] = None,
    archive: Annotated[
        Path | None, typer.Option(help="A zip file or folder that has the photographs, in place of the web.")
    ] = None,
) -> None:
    """Download Tiny ImageNet, the authors' test set, or photographs for the book; a stopped download goes on."""
    from in9.data.photographs import fetch_photographs
    from in9.data.released import fetch_released
    from in9.data.sources.tiny_imagenet import fetch_tiny_imagenet
    from in9.study.workspace import find_workspace

    fetchers: dict[str, Callable[..., object]] = {
        "tiny-imagenet": fetch_tiny_imagenet,
        "released": fetch_released,
        "photographs": fetch_photographs,
    }
    check_known("dataset to fetch", [what], fetchers)
    if what == "photographs":
        to = to or find_workspace().photographs
    elif archive is not None:
        raise In9Error(f"--archive {archive} is for photographs alone; leave it out to fetch {what}.")
    more = {} if archive is None else {"archive": archive}
    typer.echo(fetchers[what](to, url=url, checksum=checksum, **more))
