"""Files that can be downloaded, known by their content: what they must be before anybody reads them."""

import gzip
import hashlib
import io
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol, TypeAlias, TypeVar

from kernels.errors import DataUnavailableError, FileFormatError
from kernels.shortage import out_of_memory

_ALGORITHMS = {"sha256": "SHA-256", "md5": "MD5"}
Stream: TypeAlias = gzip.GzipFile | io.BufferedReader
Content = TypeVar("Content", covariant=True)

# Of an archive, what may come on top of the wanted files: their headers, a readme.
_REST_OF_ARCHIVE = 1 << 20  # bytes


class Remote(Protocol[Content]):
    """Something that can be downloaded as one file."""

    @property
    def name(self) -> str:
        """The file's name, on the mirrors and here."""

    @property
    def size(self) -> int:
        """Bytes of content; about as many are sent at most."""

    def read(self, path: Path) -> Content:
        """The content of the file at `path`, checked.

        Raises:
            FileFormatError: the file is damaged, or is another one.
            DataUnavailableError: the file cannot be read.
            DeviceMemoryError: there is too little memory for it.
        """


@dataclass(frozen=True)
class RemoteFile:
    """A file that can be downloaded, known by its content.

    The content is what is left after gunzip: mirrors and people compress the same data differently.

    Attributes:
        name: the file's name, on the mirrors and here.
        size: bytes of content.
        digest: of the content, in hexadecimal, as it was published.
        algorithm: of the digest, "sha256" or "md5". MD5 tells damaged files and other ones, and nobody knows how to
            make a second file of a given MD5; where a SHA-256 is published, that is better.
    """

    name: str
    size: int
    digest: str
    algorithm: str = "sha256"

    def read(self, path: Path) -> bytes:
        """The content of the file at `path`, compressed or not; reads no more than one byte too many.

        Raises:
            FileFormatError: the file is damaged, or is another one.
            DataUnavailableError: the file cannot be read.
            DeviceMemoryError: there is too little memory for it.
        """
        try:
            with _decompressed(path) as file:
                content = file.read(self.size + 1)
        except EOFError as error:
            raise FileFormatError(f"{path}: cut short: the compressed data have no end") from error
        except MemoryError as error:
            raise out_of_memory(str(path), error) from None
        except (gzip.BadGzipFile, zlib.error) as error:
            raise FileFormatError(f"{path}: damaged: {error}") from error
        except OSError as error:
            raise DataUnavailableError(f"{path} cannot be read: {error.strerror or error}") from error
        self.check(content, str(path))
        return content

    def check(self, content: bytes, source: str) -> None:
        """Raise FileFormatError, with `source` in front, if this is not the file's content."""
        if len(content) != self.size:
            found = f"only {len(content)}" if len(content) < self.size else "more"
            raise FileFormatError(f"{source}: expected {self.size} bytes of content, found {found}")
        digest = hashlib.new(self.algorithm, content, usedforsecurity=False).hexdigest()
        if digest != self.digest:
            raise FileFormatError(
                f"{source}: damaged, or not the {self.name} that was expected "
                f"(the content's {_ALGORITHMS[self.algorithm]} is {digest}, expected {self.digest})"
            )


@dataclass(frozen=True)
class RemoteArchive:
    """A tar archive that can be downloaded, known by the content of the files that are wanted of it.

    It is read in memory, file after file; nothing is unpacked to disk, whatever paths and links it holds.

    Attributes:
        name: the archive's name, on the mirrors and here.
        files: what is wanted of it, by their names without folders.
    """

    name: str
    files: tuple[RemoteFile, ...]

    @property
    def size(self) -> int:
        """The bytes of all wanted files."""
        return sum(file.size for file in self.files)

    def read(self, path: Path) -> list[bytes]:
        """The contents of the wanted files of the archive at `path`, compressed or not, in the order of `files`.

        Raises:
            FileFormatError: the archive is damaged, or a file in it is missing or is another one.
            DataUnavailableError: the archive cannot be read.
            DeviceMemoryError: there is too little memory for its files.
        """
        wanted = {file.name: file for file in self.files}
        contents: dict[str, bytes] = {}
        most = self.size + _REST_OF_ARCHIVE
        try:
            with (
                _decompressed(path) as stream,
                tarfile.open(fileobj=_Limited(stream, most, path), mode="r|") as archive,
            ):
                for member in archive:
                    if member.size > most:
                        raise FileFormatError(f"{path}: {member.name!r} claims {member.size} bytes in it")
                    file = wanted.get(PurePosixPath(member.name).name)
                    if file is None or not member.isreg():
                        continue
                    if member.size != file.size:
                        raise FileFormatError(f"{path}: {file.name} has {member.size} bytes in it, not {file.size}")
                    unpacked = archive.extractfile(member)
                    content = unpacked.read() if unpacked else b""
                    file.check(content, f"{path}: {file.name}")
                    contents[file.name] = content
        except FileFormatError:
            raise
        except MemoryError as error:
            raise out_of_memory(str(path), error) from None
        except OSError as error:
            if isinstance(error, gzip.BadGzipFile):
                raise FileFormatError(f"{path}: damaged: {error}") from error
            raise DataUnavailableError(f"{path} cannot be read: {error.strerror or error}") from error
        except Exception as error:  # whatever tarfile and zlib meet in damaged headers
            raise FileFormatError(f"{path}: damaged, or not a tar archive: {error}") from error
        if missing := [name for name in wanted if name not in contents]:
            raise FileFormatError(f"{path}: cut short, or another archive: it holds no {missing[0]}")
        return [contents[file.name] for file in self.files]


class _Limited(io.RawIOBase):
    """A file to read from, which gives no more than so many bytes: the headers of an archive may claim any size."""

    def __init__(self, file: Stream, most: int, source: Path) -> None:
        self._file, self._left, self._source = file, most, source

    def read(self, size: int = -1) -> bytes:
        chunk = self._file.read(self._left + 1 if size < 0 else min(size, self._left + 1))
        self._left -= len(chunk)
        if self._left < 0:
            raise FileFormatError(f"{self._source}: more in it than in the archive that was expected")
        return chunk


def _decompressed(path: Path) -> Stream:
    """The file open for reading, through gunzip if it is compressed."""
    with open(path, "rb") as start:
        is_compressed = start.read(2) == b"\x1f\x8b"
    return gzip.open(path) if is_compressed else open(path, "rb")
