"""The command line, put together: the commands, and what becomes of errors."""

from __future__ import annotations

import sys
from typing import NoReturn

import typer

from in9.cli.data_commands import backgrounds, build, export, fetch
from in9.cli.profile_commands import book, claims, clean, measure, records, rerun, sync, train
from in9.cli.score_commands import challenge, evaluate, saliency
from in9.errors import UNUSABLE, In9Error

INTERRUPTED = 130
NO_MEMORY = (
    "Memory ran out, or is limited (ulimit -v); run fewer at a time (--workers, --jobs, --batch-size), or on a larger "
    "machine."
)
START_ANEW = ("export", "backgrounds", "evaluate", "saliency")
"""The commands that do not go on from where they were stopped."""

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # else [lite] in a help text is taken for markup
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Does a model look at the object, or at the grass behind it? ImageNet-9, rebuilt, scored and written up.",
)
for command in (
    *(book, build, export, backgrounds, train, measure, rerun),
    *(evaluate, challenge, saliency, fetch, records, claims, clean, sync),
):
    app.command()(command)


def main() -> None:
    """Run the command line; see the module's text for what it returns."""
    try:
        app(standalone_mode=True)
    except In9Error as error:
        _fail(str(error))
    except SystemExit as end:
        if end.code == INTERRUPTED:  # typer turns Ctrl-C into this status without a word
            then = "starts anew" if sys.argv[1] in START_ANEW else "goes on from here"
            typer.echo(f"in9: stopped; the same command {then}.", err=True)
        raise
    except MemoryError:
        _fail(NO_MEMORY)
    except OSError as error:
        if error.errno not in UNUSABLE or not error.filename:
            raise
        _fail(f"{error.filename} cannot be used ({error.strerror}); give another path, or make it usable.")
    except Exception as error:
        if _lacks_memory(error):
            _fail(NO_MEMORY)
        from in9.book.render import BookFailed

        if not isinstance(error, BookFailed):
            raise
        typer.echo(str(error), err=True)
        sys.exit(error.exit_status)


def _lacks_memory(error: Exception) -> bool:
    """Whether an error is what torch says without memory, or a library that cannot be loaded into what is allowed."""
    if isinstance(error, RuntimeError):
        return "allocate memory" in str(error) or "out of memory" in str(error)
    try:
        import resource
    except ImportError:  # Windows
        return False
    return isinstance(error, ImportError) and resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY


def _fail(sentence: str) -> NoReturn:
    """Say what is wrong in one line, in which what cannot be printed is escaped, and exit."""
    line = "".join(character if character.isprintable() else ascii(character)[1:-1] for character in sentence)
    typer.echo(f"in9: {line}", err=True)
    sys.exit(2)
