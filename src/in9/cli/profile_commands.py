"""Commands for a profile: the book, trainings, measurements, records and claims."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from in9.cli.options import DEVICE, ENGINE, JOBS, PROFILE, assignments, seed_option
from in9.errors import In9Error

MOST_KERNELS = 4  # chapters at a time; each takes about a GB


def book(
    profile: PROFILE = "tiny",
    only: Annotated[list[str] | None, typer.Option(help="A chapter's number or name; may be given again.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="A chapter's parameter as name=value.")] = None,
    fresh: Annotated[bool, typer.Option(help="Run chapters again that are up to date.")] = False,
    measure: Annotated[bool, typer.Option("--measure", help="Train and measure what has no record here.")] = False,
    engine: ENGINE = None,
) -> None:
    """Run the chapters and render the book into build/<profile>/html.

    Without --measure the numbers are those of the project's records: no data and no GPU are needed.
    """
    from in9.book.notebooks import find_chapters
    from in9.book.pages import fragments
    from in9.book.render import run_book
    from in9.book.setup import changed, has_records, study_of
    from in9.experiments.measuring import experiments_of
    from in9.experiments.measuring import measure as measure_experiments
    from in9.study.profile import load_profile
    from in9.study.study import Study

    parameters = assignments(set_ or [])
    for name in ("profile", "measure"):
        if name in parameters:
            raise In9Error(f"--set cannot change {name!r}; give the option --{name} instead.")
    chosen = load_profile(profile)
    if not chosen.real:
        raise In9Error(
            f"The images of profile {chosen.name!r} are synthetic, and the book's numbers come from photographs: take "
            f"tiny, light or paper. `in9 measure --profile {chosen.option}` measures this one."
        )
    if measure:  # the study judges the claims; whatever is missing is measured before
        study = Study(changed(chosen, parameters), compute=False, engine=engine)
    else:
        study = study_of(chosen, measure=False, engine=engine)
        if not has_records(study):
            find_chapters(study.workspace.root, only or ())  # a folder that is no project has no records either
            raise In9Error(f"There are no records of profile {chosen.name!r} yet; with --measure they are made here.")

    def prepare(chapters: Sequence[str]) -> None:
        device = parameters.get("device", "auto")
        measure_experiments(Study(study.profile, device=device, engine=engine), experiments_of(chapters), typer.echo)

    run_book(
        chosen,
        only=only or (),
        parameters=parameters | ({"measure": True} if measure else {}),
        fresh=fresh,
        engine=engine,
        fragments=fragments(study),
        prepare=prepare if measure else None,
        side_by_side=min(os.cpu_count() or 1, MOST_KERNELS),
        say=typer.echo,
    )


def train(
    profile: PROFILE = "control",
    on: Annotated[list[str] | None, typer.Option(help="A variant, or in9l; may be given again. Default: all.")] = None,
    device: DEVICE = "auto",
    engine: ENGINE = None,
    jobs: JOBS = None,
) -> None:
    """Train a profile's classifiers, evaluate them on every test set and print accuracy and BG-Gap."""
    from in9.evaluation.records import predictions_of
    from in9.experiments.backgrounds_suffice import accuracies, gaps
    from in9.study.jobs import evaluations
    from in9.study.study import Study
    from in9.training.recipe import TRAINING_SETS

    study = Study(profile, device=device, engine=engine, jobs=jobs)
    sets = list(dict.fromkeys(on)) if on else list(TRAINING_SETS)
    groups = {name: evaluations(study.profile, study.profile.recipes_on([name])) for name in sets}
    models = study.read(groups, predictions_of)
    cells = accuracies(models)
    wide = cells.pivot(index="train", columns="test", values="accuracy").loc[sets]
    typer.echo(wide[list(dict.fromkeys(cells["test"]))].round(1).to_string())
    typer.echo(gaps(models).round(1).to_string(index=False))


def measure(
    profile: PROFILE = "control",
    only: Annotated[list[str] | None, typer.Option(help="A part, such as matrix; may be given again.")] = None,
    device: DEVICE = "auto",
    engine: ENGINE = None,
    jobs: JOBS = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what is missing and how long it takes.")] = False,
) -> None:
    """Measure all that a profile's chapters need, without running them; what is stopped goes on where it was.

    Parts: dataset, draws, matrix, mixed, calibration, adversarial, saliency, remedies, architectures, equal_steps,
    robust, trials, levels, masks, suspects, smaller, finer, dial, dial_draws.
    """
    from in9.experiments.measuring import experiments_named
    from in9.experiments.measuring import measure as measure_experiments
    from in9.study.study import Study

    chosen = experiments_named(only or ())
    if dry_run:
        from in9.experiments import planning

        planned = Study(profile, compute=False, device=device, engine=engine, jobs=jobs)
        typer.echo(planning.describe(planned, planning.plan(planned, chosen)))
        if planned.profile.source == "imagenet":
            typer.echo(f"\nWhat ImageNet costs, one network for each training set:\n{planning.scale(planned)}")
        return
    measure_experiments(Study(profile, device=device, engine=engine, jobs=jobs), chosen, say=typer.echo)


def rerun(
    profile: PROFILE = "tiny",
    on: Annotated[str, typer.Option(help="A variant, or in9l.")] = "original",
    seed: Annotated[int | None, seed_option("A seed that the record does not have; default: the next.")] = None,
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


def records(
    profile: PROFILE = "tiny",
    committed: Annotated[bool, typer.Option(help="The project's records instead of this machine's.")] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Copy what the chapters read here to the project's.")] = False,
) -> None:
    """List what has been measured: one line for each record; or keep it as part of the project."""
    from in9.evaluation.records import Store
    from in9.study.study import Study

    if keep:
        from in9.experiments.measuring import keep as keep_records

        if committed:
            raise In9Error("--keep copies this machine's records to the project's; leave out --committed.")
        for path in keep_records(Study(profile, compute=False)):
            typer.echo(path if path.is_file() else f"{path}: removed, no chapter reads it")
        return
    study = Study(profile, recorded=committed)
    stored = Store(study.records / study.profile.name).all()
    for record in stored:
        facts = record.provenance
        when, seconds = facts.get("when", ""), facts.get("seconds", 0)
        typer.echo(f"{record.kind:<12} {record.name:<24} {when:<25} {seconds:>8.1f} s  {record.key}")
    typer.echo(f"{len(stored)} records")


def claims(
    profile: Annotated[str | None, typer.Option(help="Default: control; with --committed tiny.")] = None,
    committed: Annotated[bool, typer.Option(help="The project's records instead of this machine's.")] = False,
) -> None:
    """Print what the paper finds, its numbers, ours and the verdicts, from what was measured; nothing is computed."""
    from in9.experiments import verdicts as claimed
    from in9.study.study import REFERENCE, Study

    name = (REFERENCE if committed else "control") if profile is None else profile
    typer.echo(claimed.text(Study(name, recorded=committed, compute=False)))


def clean(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")] = False,
    profile: Annotated[
        list[str] | None, typer.Option(help="A profile of yours whose weights are kept; may be given again.")
    ] = None,
) -> None:
    """Say what data/ and runs/ hold, and remove what nothing needs: stale weights and checkpoints, and leftovers.

    Datasets, records and what a stopped command goes on from are kept.
    """
    from in9.experiments.measuring import EXPERIMENTS
    from in9.study import cleaning
    from in9.study.profile import load_profile, profile_names
    from in9.study.workspace import find_workspace

    workspace = find_workspace()
    profiles = [load_profile(name) for name in (*profile_names(), *(profile or ()))]
    jobs = [job for each in profiles for experiment in EXPERIMENTS.values() for job in experiment.jobs(each)]
    held = cleaning.holdings(workspace, jobs)
    for kind in dict.fromkeys(holding.kind for holding in held):
        sizes = [holding.bytes for holding in held if holding.kind == kind]
        typer.echo(f"{kind:<18}{len(sizes):>6}{sum(sizes) / 1e6:>12,.1f} MB")
    stale = [holding for holding in held if holding.stale]
    if not dry_run:
        cleaning.remove(stale)
    for holding in stale:
        typer.echo(
            f"{'would remove' if dry_run else 'removed'} {holding.path.relative_to(workspace.root)}: {holding.stale}"
        )
    verb = "would be free" if dry_run else "are free"
    typer.echo(f"{sum(holding.bytes for holding in stale) / 1e6:,.1f} MB {verb}")


def sync(check: Annotated[bool, typer.Option(help="Only say which pairs differ.")] = False) -> None:
    """Write each chapter's .ipynb from its .py, without outputs."""
    from in9.book.notebooks import sync_notebooks

    for path in sync_notebooks(check=check):
        typer.echo(f"wrote {path}")
