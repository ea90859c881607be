"""Fetch data from the web: resumable, checked, and whole or not there at all."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

import platformdirs
import requests
import urllib3
from tqdm import tqdm

from in9.errors import In9Error, plain_disk_errors
from in9.files import hash_of_file, one_writer, read_json

TIMEOUT = (15, 60)  # seconds: to connect, and between two pieces
PIECE = 1 << 20
CHECKSUM_FORMAT = re.compile(r"sha256:[0-9a-f]{64}|md5:[0-9a-f]{32}")


@dataclass(frozen=True)
class Fetched:
    """What was fetched: where it lies now, and the checksum of the file that received, as ``"sha256:..."``."""

    path: Path
    checksum: str

    def __str__(self) -> str:
        return f"{self.path} ({self.checksum})"


def cache() -> Path:
    """The user's cache folder for this package."""
    return Path(platformdirs.user_cache_dir("in9"))


def checksum_of(path: Path, algorithm: str = "sha256") -> str:
    """The checksum of a file as ``"sha256:..."`` or ``"md5:..."``."""
    return f"{algorithm}:{hash_of_file(path, algorithm)}"


def address_of(url: str, instead: str = "give another --url") -> SplitResult:
    """The parts of an address of the web; raises In9Error for anything else, with what to do ``instead``."""
    with suppress(ValueError):
        parts = urlsplit(url)
        if parts.scheme in ("http", "https") and parts.hostname:
            return parts
    raise In9Error(f"{url} could not be fetched (Invalid URL {url!r}: it is no https:// with a host); {instead}.")


def fetch(
    url: str, path: Path | str, checksum: str | None = None, progress: bool = True, instead: str | None = None
) -> Path:
    """Download a file to ``path``, which appears only when it is whole and has the checksum; return the path.

    A file that is there already is kept. A download that was cut goes on where it was if the server can do that and
    its file is still the same, else it starts anew. Raises In9Error if the file cannot be had, and then tells what to
    do ``instead``: by default, to put a copy at ``path`` by hand.
    """
    path = Path(path)
    instead = instead or f"fetch it by other means and put it at {path}"
    wanted = checksum.lower() if checksum is not None else None
    algorithm = wanted.partition(":")[0] if wanted is not None else "sha256"
    if wanted is not None and not CHECKSUM_FORMAT.fullmatch(wanted):
        raise In9Error(
            f"{checksum!r} is not a checksum; write it as sha256:<digits> or md5:<digits>, with 64 or 32 digits of 0-9 "
            "and a-f."
        )
    address_of(url, instead)

    def actual(file: Path) -> str | None:
        return checksum_of(file, algorithm) if checksum is not None else None

    if path.is_file():
        if actual(path) != wanted:
            raise In9Error(f"{path} is there but has not the checksum {checksum}; remove it to fetch it anew.")
        return path
    partial, notes = (path.with_name(path.name + ending) for ending in (".partial", ".partial.json"))
    try:
        with plain_disk_errors(path.parent), one_writer(path, "fetching"):
            if path.is_file() and actual(path) == wanted:  # fetched while this process waited
                return path
            _download(url, partial, notes, progress)
            if (received := actual(partial)) != wanted:
                partial.unlink()
                notes.unlink()
                raise In9Error(f"{url} is another file than asked for (its checksum is {received}); {instead}.")
            partial.replace(path)
            notes.unlink()
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        again = "run the same command again, it goes on where it stopped, or " if partial.is_file() else ""
        raise In9Error(f"{url} could not be fetched ({_reason(error)}); {again}{instead}.") from error
    return path


def _download(url: str, partial: Path, notes: Path, progress: bool) -> None:
    """Download to a partial file, going on from what is there; the notes say which file of the server it is part of."""
    before = _read_notes(notes) if partial.is_file() else {}
    start = partial.stat().st_size if before.get("url") == url else 0
    if start and start == before.get("size"):
        return
    headers = {"Accept-Encoding": "identity"}  # else a server may pack it, and sizes mean nothing
    if start:
        headers["Range"] = f"bytes={start}-"
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as answer:
        first, size = _extent(answer)
        # The tag tells this file of the server from a changed one.
        now = {"url": url, "tag": answer.headers.get("ETag") or answer.headers.get("Last-Modified"), "size": size}
        goes_on = answer.status_code == 206 and now == before and first == start
        if start and answer.status_code in (206, 416) and not goes_on:
            partial.unlink()
            return _download(url, partial, notes, progress)
        answer.raise_for_status()
        if not goes_on:
            start = 0
            partial.unlink(missing_ok=True)  # before the notes, which must never tell of other bytes
        notes.write_text(json.dumps(now))
        bar = tqdm(
            desc=f"fetching {partial.stem}", total=size, initial=start, unit="B", unit_scale=True, disable=not progress
        )
        with partial.open("ab") as target, bar:
            for piece in answer.raw.stream(PIECE, decode_content=False):  # the file as it is, be it packed
                target.write(piece)
                bar.update(len(piece))
    if size not in (None, partial.stat().st_size):
        raise requests.exceptions.ChunkedEncodingError(f"{partial} has not {size} bytes")


def _read_notes(path: Path) -> dict[str, Any]:
    try:
        notes = read_json(path)
    except (OSError, ValueError):
        return {}
    return notes if isinstance(notes, dict) else {}


def _extent(answer: requests.Response) -> tuple[int | None, int | None]:
    """The first byte that the server sends and the size of the whole file in bytes, where the server says so."""
    if answer.status_code == 206:
        said = re.match(r"bytes (\d*)-.*/(\d*)", answer.headers.get("Content-Range", ""))
        first, size = said.groups() if said else ("", "")
    else:
        first, size = "0", answer.headers.get("Content-Length", "")
    return int(first) if first.isdigit() else None, int(size) if size.isdigit() else None


def _reason(error: Exception) -> str:
    """Why a file did not come, in a few words."""
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"the server answers {error.response.status_code} {error.response.reason}"
    reasons: list[tuple[type[Exception], str]] = [
        (requests.Timeout, "the server does not answer"),
        (requests.exceptions.ChunkedEncodingError, "the connection was cut"),
        (urllib3.exceptions.HTTPError, "the connection was cut"),
        (requests.exceptions.SSLError, "its certificate cannot be checked"),
        (requests.ConnectionError, "there is no connection to the server"),
    ]
    for kind, reason in reasons:
        if isinstance(error, kind):
            return reason
    return str(error).splitlines()[0][:200]
