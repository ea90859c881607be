"""What ``in9 fetch`` knows: Tiny ImageNet, the test set that the authors released, and photographs to show."""

from __future__ import annotations

import shutil
import tarfile
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path, PurePosixPath

from tqdm import tqdm

from in9.data.archive import DAMAGED
from in9.data.fetch import PIECE, Fetched, address_of, cache, checksum_of, fetch
from in9.data.photographs import fetch_photographs
from in9.data.released import HOME, Released
from in9.data.sources.tiny_imagenet import fetch_tiny_imagenet
from in9.errors import In9Error, plain_disk_errors
from in9.files import one_writer

RELEASED = "https://github.com/MadryLab/backgrounds_challenge/releases/download/data/backgrounds_challenge_data.tar.gz"


def fetch_released(
    folder: Path | str | None = None, url: str | None = None, checksum: str | None = None, progress: bool = True
) -> Fetched:
    """Fetch the authors' test set (paper, section 2) and unpack it as ``folder``, by default one in the cache.

    The folder appears only when all eight variants and the masks are in it. No checksum of the archive is published;
    that of the file that came is returned, to be compared, and a given checksum must hold. Raises In9Error if the
    archive cannot be had, if it is not the test set, or if the folder is there already.
    """
    folder = Path(folder) if folder is not None else cache() / HOME
    if folder.exists():
        raise In9Error(f"{folder} is there already; use it, or remove it to fetch it anew.")
    url = RELEASED if url is None else url
    archive = folder.with_name(PurePosixPath(address_of(url).path).name or "released.tar.gz")
    with plain_disk_errors(folder, resumes=False), one_writer(folder, "fetching"):
        if folder.exists():  # fetched while this process waited
            raise In9Error(f"{folder} is there already; use it, or remove it to fetch it anew.")
        return _fetched(folder, archive, url, checksum, progress)


def _fetched(folder: Path, archive: Path, url: str, checksum: str | None, progress: bool) -> Fetched:
    put_there_by_hand = archive.exists()
    fetch(url, archive, checksum, progress)
    fetched = Fetched(folder, checksum_of(archive))
    work = folder.with_name(folder.name + ".partial")
    shutil.rmtree(work, ignore_errors=True)
    try:
        with plain_disk_errors(work, resumes=False):
            _unpack(archive, work, progress)
            try:
                released = Released(work)
                released.check()
            except In9Error as error:
                raise In9Error(f"{archive} is not the whole test set, remove it and fetch it again: {error}") from error
            released.folder.rename(folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    if not put_there_by_hand:
        archive.unlink()
    return fetched


def _unpack(archive: Path, folder: Path, progress: bool) -> None:
    """Unpack a tar or zip archive; raises In9Error if it is damaged, or if a file of it would leave the folder."""
    bar = partial(tqdm, desc="unpacking", unit="file", disable=not progress)
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as packed:
                for name in bar(packed.namelist()):
                    packed.extract(name, folder)  # takes .. and leading slashes out of names
        else:
            with tarfile.open(archive) as tape:
                for member in bar(tape):
                    tape.extract(member, folder, filter="data")
                while tape.fileobj is not None and tape.fileobj.read(PIECE):
                    pass  # to its very end, where a packed file has its own checksum
    except tarfile.FilterError as error:
        raise In9Error(f"{archive} was not unpacked, for one of its files would leave the folder: {error}.") from error
    except (tarfile.TarError, OSError, ValueError, *DAMAGED) as error:
        if isinstance(error, OSError) and error.errno is not None:  # of the disk, not of what is packed
            raise
        raise In9Error(f"{archive} is not a whole archive; remove it and fetch it again.") from error


FETCHABLE: dict[str, Callable[..., Fetched]] = {
    "tiny-imagenet": fetch_tiny_imagenet,
    "released": fetch_released,
    "photographs": fetch_photographs,
}
