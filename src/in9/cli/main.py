"""The command line, put together: the commands, and what becomes of errors."""

from __future__ import annotations

import sys

import typer

from in9.cli.data_commands import build, export, fetch
from in9.cli.profile_commands import book, claims, measure, records, rerun, sync, train
from in9.cli.score_commands import challenge, evaluate
from in9.errors import In9Error

INTERRUPTED = 130

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # else [lite] in a help text is taken for markup
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Does a model look at the object, or at the grass behind it? ImageNet-9, rebuilt, scored and written up.",
)
for command in (book, build, export, train, measure, rerun, evaluate, challenge, fetch, records, claims, sync):
    app.command()(command)


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
