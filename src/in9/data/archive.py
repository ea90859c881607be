"""Read files by name from a folder or from a zip archive, the same way."""

from __future__ import annotations

import hashlib
import io
import lzma
import os
import struct
import tarfile
import zipfile
import zlib
from bisect import bisect_left
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from in9.data.source import Rejected
from in9.errors import UNUSABLE, In9Error, reason
from in9.files import kept_until_changed

DAMAGED = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, RuntimeError)
"""What reading a damaged file of a zip archive may raise, or one that is encrypted or packed in an unknown way."""
PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
ENCRYPTED = 1  # the bit of a file in a zip


@kept_until_changed(4)  # a large zip takes seconds to open
def _open(path: Path) -> tuple[zipfile.ZipFile, list[str]]:
    """The zip of that path, with its file names in order."""
    file = zipfile.ZipFile(path)
    for member in file.infolist():
        if member.flag_bits & ENCRYPTED or member.compress_type not in PACKED:
            how = "encrypted" if member.flag_bits & ENCRYPTED else "packed in a way that Python cannot unpack"
            raise In9Error(f"{member.filename} in {path} is {how}; unpack the archive and give the folder.")
    return file, sorted(name for name in file.namelist() if not name.endswith("/"))


def check_names(names: Iterable[str], folder: Path) -> None:
    """Raise In9Error for the name of a file in a folder that is not UTF-8, and could not be written to a dataset."""
    for name in names:
        if not name.isascii():
            try:
                name.encode()
            except UnicodeEncodeError:
                raise In9Error(f"The name of {name!r} in {folder} is not UTF-8; rename the file.") from None


class Archive:
    """A folder or a zip file as a flat set of slash-separated names. Pickles; the zip is opened where it is used.

    Raises In9Error if the path does not exist, is no folder and no whole zip archive, or a zip that cannot be unpacked.
    """

    def __init__(self, path: Path | str) -> None:
        if not isinstance(path, Path | str):
            raise In9Error(f"{path!r} is no path of an archive or folder; put it in quotes if it is one.")
        self.path = Path(path)
        try:
            if not self.path.exists():
                raise In9Error(f"There is no archive or folder {self.path}; check the path.")
        except OSError as error:  # of a path that no file can have
            raise In9Error(f"{self.path} cannot be read ({reason(error)}); check the path.") from error
        if self.path.is_file():
            try:
                _open(self.path)
            except (OSError, ValueError, *DAMAGED) as error:
                if isinstance(error, OSError) and error.errno in UNUSABLE:
                    raise In9Error(f"{self.path} cannot be read ({reason(error)}).") from error
                if tarfile.is_tarfile(self.path):
                    raise In9Error(f"{self.path} is a tar archive; unpack it and give the folder.") from error
                raise In9Error(
                    f"{self.path} is not a whole zip archive ({reason(error)}); it may be truncated: fetch it again."
                ) from error
        elif not self.path.is_dir():
            raise In9Error(f"{self.path} is neither a zip archive nor a folder; check the path.")

    def names(self, under: str = "") -> list[str]:
        """All file names, or those that begin with the folder ``under`` and a slash; sorted, folders left out.

        Raises In9Error for a name that is not UTF-8.
        """
        if self.path.is_dir():
            walk = os.walk(self.path / under)  # asks nothing of each file, where a stat of each takes minutes
            root = f"{self.path.as_posix().rstrip('/')}/"
            listed = sorted(Path(at, name).as_posix().removeprefix(root) for at, _, files in walk for name in files)
            check_names(listed, self.path)
            return listed
        _, names = _open(self.path)
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
        """The content of a file. Raises KeyError if there is none of that name in the archive."""
        if self.path.is_file():
            return _open(self.path)[0].read(name)
        path = self.path / name
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise KeyError(name)  # a listing may name any file
        try:
            if not path.is_file():  # a pipe would be waited for
                raise KeyError(name)
            return path.read_bytes()
        except (FileNotFoundError, ValueError) as error:
            raise KeyError(name) from error

    def text(self, name: str) -> str:
        """The content of a UTF-8 text file; raises In9Error if it is missing or cannot be read."""
        try:
            return self.bytes(name).decode("utf-8")
        except (KeyError, OSError, UnicodeDecodeError, *DAMAGED) as error:
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
                if picture.mode in ("I", "F"):
                    raise Rejected("image has pixels of 32 bits")
                # Alpha is dropped and colours are kept; a palette goes by way of RGBA, else Pillow warns of its alpha.
                opaque = picture.convert("RGBA") if picture.mode == "P" else picture
                if picture.mode.startswith("I;16"):  # Pillow would cut off what is above 255
                    opaque = Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))
                image = np.array(opaque.convert("RGB"), dtype=np.uint8)
        except (OSError, ValueError, SyntaxError, *DAMAGED, Image.DecompressionBombError) as error:
            raise Rejected("image does not decode") from error
        return image, hashlib.sha256(content).hexdigest()[:16]
