"""The one kind of error that is the user's to mend."""

from __future__ import annotations

import difflib
import errno
from collections.abc import Collection, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError

UNUSABLE = (
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.EEXIST),
    *(errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP),
)
"""What the system answers for a path that the user must change, or make usable."""


FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What the system answers where there is no room, or no more of it for this user or file."""


class In9Error(Exception):
    """A mistake that the user can mend; the message is one sentence with the way out.

    The command line prints the message without a traceback and exits with status 2.
    """


def unknown(what: str, value: object, choices: Iterable[str]) -> In9Error:
    """The error for a name that does not exist, with the nearest name and the whole list of those that do."""
    names = sorted(choices)
    hint = did_you_mean(str(value), names)
    return In9Error(f"There is no {what} {str(value)!r}.{hint} Choose one of: {', '.join(names)}.")


def check_known(what: str, names: Iterable[str], choices: Collection[str]) -> None:
    """Raise the error ``unknown`` for the first of the names that is not one of the choices."""
    for name in names:
        if name not in choices:
            raise unknown(what, name, choices)


def did_you_mean(value: str, names: Iterable[str]) -> str:
    """The question after a name that does not exist, with a space before it; empty if no name is near."""
    near = difflib.get_close_matches(value, names, n=1)
    return f" Did you mean {near[0]!r}?" if near else ""


def reason(error: BaseException) -> str:
    """The first line of an error's message, or its type if it has none."""
    if isinstance(error, SystemExit):
        return "it calls exit"
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    lines = text.strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__


def first_problem(error: ValidationError) -> str:
    """The first thing that a schema refuses, after the place where it stands."""
    first = error.errors(include_url=False)[0]
    steps = [str(step)[:40] for step in first["loc"]]
    place = ".".join(step for step in steps if not step.startswith(("list[", "constrained")))  # pydantic's own words
    said = first["msg"].removeprefix("Value error, ")
    return f"{place}: {said}" if place else said


@contextmanager
def errors_told(
    failed: str, then: str = "", kinds: type[BaseException] | tuple[type[BaseException], ...] = (OSError, ValueError)
) -> Iterator[None]:
    """Tell errors of these kinds in a sentence that ``failed`` begins and ``then`` ends; Ctrl-C stays what it is."""
    try:
        yield
    except (KeyboardInterrupt, In9Error):
        raise
    except kinds as error:
        raise In9Error(f"{failed} ({reason(error)}){then}.") from error


def errors_of_foreign_code(failed: str, then: str = "") -> AbstractContextManager[None]:
    """Tell whatever somebody else's code raises, be it ``sys.exit()``, as ``errors_told`` does."""
    return errors_told(failed, then, BaseException)


@contextmanager
def plain_disk_errors(folder: Path, resumes: bool = True) -> Iterator[None]:
    """Tell a full disk or a place that cannot be written in one sentence, as In9Error.

    ``resumes`` says whether the same command goes on where it stopped, or starts anew.
    """
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            then = "goes on where it stopped" if resumes else "starts anew"
            what = "The disk is full" if error.errno == errno.ENOSPC else f"A limit is reached ({error.strerror})"
            raise In9Error(
                f"{what} while writing {folder}; free some space and run the same command again, it {then}."
            ) from error
        if error.errno in UNUSABLE:
            raise In9Error(f"{folder} cannot be written ({error.strerror}); choose another folder.") from error
        raise
