"""Read files by name from a folder or from a zip archive, the same way."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
import zipfile
import zlib
from bisect import bisect_left
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from in9.data.source import Rejected
from in9.errors import In9Error

DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError)
"""What reading a damaged file of a zip archive may raise."""


@lru_cache(maxsize=4)
def _open(path: Path, size: int, changed: int) -> tuple[zipfile.ZipFile, list[str]]:
    """The zip of that path, size and time of change, with its file names in order.

    A large zip takes seconds to open, so a process opens it once.
    """
    file = zipfile.ZipFile(path)
    return file, sorted(name for name in file.namelist() if not name.endswith("/"))


class Archive:
    """A folder or a zip file as a flat set of slash-separated names. Pickles; the zip is opened where it is used.

    Raises In9Error if the path does not exist, or is a file but not a whole zip archive.
    """

    def __init__(self, path: Path | str) -> None:
        if not isinstance(path, Path | str):
            raise In9Error(f"{path!r} is no path of an archive or folder; put it in quotes if it is one.")
        self.path = Path(path)
        if not self.path.exists():
            raise In9Error(f"There is no archive or folder {self.path}; check the path.")
        if self.path.is_file():
            try:
                self._zip()
            except zipfile.BadZipFile as error:
                if tarfile.is_tarfile(self.path):
                    raise In9Error(f"{self.path} is a tar archive; unpack it and give the folder.") from error
                raise In9Error(
                    f"{self.path} is not a whole zip archive ({error}); it may be truncated: fetch it again."
                ) from error

    def _zip(self) -> tuple[zipfile.ZipFile, list[str]]:
        facts = self.path.stat()
        return _open(self.path, facts.st_size, facts.st_mtime_ns)

    def names(self, under: str = "") -> list[str]:
        """All file names, or those that begin with the folder ``under`` and a slash; sorted, folders left out."""
        if self.path.is_dir():
            walk = os.walk(self.path / under)  # asks nothing of each file, where a stat of each takes minutes
            root = f"{self.path.as_posix().rstrip('/')}/"
            return sorted(Path(at, name).as_posix().removeprefix(root) for at, _, files in walk for name in files)
        _, names = self._zip()
        if not under:
            return list(names)
        # In the order of characters "0" comes next after the slash.
        return names[bisect_left(names, f"{under}/") : bisect_left(names, f"{under}0")]

    def folders(self) -> list[str]:
        """The names of the folders at the top, sorted."""
        if self.path.is_dir():
            return sorted(entry.name for entry in self.path.iterdir() if entry.is_dir())
        return sorted({name.partition("/")[0] for name in self.names() if "/" in name})

    def has_folder(self, name: str) -> bool:
        """Whether there is a folder of that name, "" being the archive; a zip has it if a file lies in it."""
        return (self.path / name).is_dir() if self.path.is_dir() else bool(self.names(name))

    def bytes(self, name: str) -> bytes:
        """The content of a file. Raises KeyError if there is none of that name."""
        if self.path.is_file():
            return self._zip()[0].read(name)
        try:
            return (self.path / name).read_bytes()
        except FileNotFoundError as error:
            raise KeyError(name) from error

    def text(self, name: str) -> str:
        """The content of a UTF-8 text file; raises In9Error if it is missing or cannot be read."""
        try:
            return self.bytes(name).decode("utf-8")
        except (KeyError, UnicodeDecodeError, *DAMAGED) as error:
            raise In9Error(f"{self.path} holds no readable {name}; is it the layout asked for?") from error

    def image(self, name: str) -> np.ndarray:
        """An image as RGB: uint8 [height, width, 3]; grey, palette, CMYK and alpha are converted.

        Raises Rejected if it is missing or does not decode.
        """
        return self.image_and_checksum(name)[0]

    def image_and_checksum(self, name: str) -> tuple[np.ndarray, str]:
        """An image, and a name for the content of its file: 16 hexadecimal digits. The file is read once."""
        try:
            content = self.bytes(name)
        except (KeyError, OSError, *DAMAGED) as error:
            raise Rejected("image is missing or its bytes are damaged") from error
        try:
            with Image.open(io.BytesIO(content)) as picture:
                # Alpha is dropped and colours are kept; a palette goes by way of RGBA, else Pillow warns of its alpha.
                opaque = picture.convert("RGBA") if picture.mode == "P" else picture
                image = np.array(opaque.convert("RGB"), dtype=np.uint8)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise Rejected("image does not decode") from error
        return image, hashlib.sha256(content).hexdigest()[:16]
