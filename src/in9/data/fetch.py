"""Fetch data from the web: resumable, checked, and whole or not there at all."""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import platformdirs
from tqdm import tqdm

from in9.errors import In9Error, plain_disk_errors

if TYPE_CHECKING:
    import requests

TIMEOUT = (15, 60)  # seconds: to connect, and between two pieces
PIECE = 1 << 20
KINDS = ("md5", "sha256")


@dataclass(frozen=True)
class Fetched:
    """What was fetched: where it lies now, and the checksum of the file that came, as ``"sha256:..."``."""

    path: Path
    checksum: str

    def __str__(self) -> str:
        return f"{self.path} ({self.checksum})"


def checksum_of(path: Path, kind: str = "sha256") -> str:
    """The checksum of a file as ``"sha256:..."`` or ``"md5:..."``."""
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, lambda: hashlib.new(kind, usedforsecurity=False))
    return f"{kind}:{digest.hexdigest()}"


def fetch(
    url: str, path: Path | str, checksum: str | None = None, progress: bool = True, instead: str | None = None
) -> Path:
    """Download a file to ``path``, which appears only when it is whole and has the checksum; return the path.

    A file that is there already is kept. A download that was cut goes on where it was if the server can do that and
    its file is still the same one, else it starts anew. Raises In9Error if the file cannot be had, and then tells
    what to do ``instead``: by default, to put a copy at ``path`` by hand.
    """
    import requests
    import urllib3

    path = Path(path)
    instead = instead or f"fetch it by other means and put it at {path}"
    kind = checksum.partition(":")[0] if checksum is not None else ""
    if checksum is not None and kind not in KINDS:
        raise In9Error(f"{checksum!r} is not a checksum; write it as sha256:<digits> or md5:<digits>.")
    if path.is_file():
        if checksum is not None and checksum_of(path, kind) != checksum.lower():
            raise In9Error(f"{path} is there but has not the checksum {checksum}; remove it to fetch it anew.")
        return path
    partial, notes = (path.with_name(path.name + ending) for ending in (".partial", ".partial.json"))
    try:
        with plain_disk_errors(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
            _download(url, partial, notes, progress)
            found = checksum_of(partial, kind) if checksum is not None else None
            if checksum is not None and found != checksum.lower():
                partial.unlink()
                notes.unlink()
                raise In9Error(f"{url} is another file than asked for (its checksum is {found}); {instead}.")
            partial.replace(path)
            notes.unlink()
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        again = "run the same command again, it goes on where it stopped, or " if partial.is_file() else ""
        raise In9Error(f"{url} could not be fetched ({_reason(error)}); {again}{instead}.") from error
    return path


def _download(url: str, partial: Path, notes: Path, progress: bool) -> None:
    """Download to a partial file, going on from what is there; the notes say which file of the server it is part of."""
    import requests

    before = _read_notes(notes) if partial.is_file() else None
    start = partial.stat().st_size if before is not None and before.get("url") == url else 0
    if before is not None and start and start == before.get("size"):
        return
    headers = {"Accept-Encoding": "identity"}  # else a server may pack it, and sizes mean nothing
    if start:
        headers["Range"] = f"bytes={start}-"
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as answer:
        now = {"url": url, "tag": _tag(answer), "size": _size(answer)}
        goes_on = answer.status_code == 206 and now == before and _first_byte(answer) == start
        if start and answer.status_code in (206, 416) and not goes_on:
            partial.unlink()  # the server's file has changed
            return _download(url, partial, notes, progress)
        answer.raise_for_status()
        if not goes_on:
            start = 0
            partial.unlink(missing_ok=True)  # before the notes, which must never tell of other bytes
        notes.write_text(json.dumps(now))
        with (
            partial.open("ab" if start else "wb") as target,
            tqdm(
                total=now["size"],
                initial=start,
                unit="B",
                unit_scale=True,
                desc=f"fetching {partial.stem}",
                file=sys.stderr,
                disable=not progress,
            ) as bar,
        ):
            for piece in answer.raw.stream(PIECE, decode_content=False):  # the file as it is, be it packed
                target.write(piece)
                bar.update(len(piece))
        if now["size"] is not None and partial.stat().st_size != now["size"]:
            raise requests.exceptions.ChunkedEncodingError(f"{partial} has not {now['size']} bytes")


def _read_notes(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _tag(answer: requests.Response) -> str | None:
    """What tells this file of the server from a changed one."""
    return answer.headers.get("ETag") or answer.headers.get("Last-Modified")


def _size(answer: requests.Response) -> int | None:
    """The size of the whole file in bytes, where the server says it."""
    if answer.status_code == 206:
        text = answer.headers.get("Content-Range", "").rpartition("/")[2]
    else:
        text = answer.headers.get("Content-Length", "")
    return int(text) if text.isdigit() else None


def _first_byte(answer: requests.Response) -> int | None:
    text = answer.headers.get("Content-Range", "").removeprefix("bytes ").partition("-")[0]
    return int(text) if text.isdigit() else None


def _reason(error: Exception) -> str:
    """Why a file did not come, in a few words."""
    import requests
    import urllib3

    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"the server answers {error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.Timeout):
        return "the server does not answer"
    if isinstance(error, (requests.exceptions.ChunkedEncodingError, urllib3.exceptions.HTTPError)):
        return "the connection was cut"
    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate cannot be checked"
    if isinstance(error, requests.ConnectionError):
        return "there is no connection to the server"
    return str(error).splitlines()[0][:200]


def cache() -> Path:
    """The user's cache folder for this package."""
    return Path(platformdirs.user_cache_dir("in9"))
