"""Files and folders of the user's own, whose faults all end in errors of dlcore's that name them."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from kernels.errors import DLCoreError, FileFormatError, MissingFileError
from kernels.shortage import out_of_memory

# What the system says when a damaged file sends its reader to a place before the file's beginning.
_OF_CONTENT = (None, errno.EINVAL)


@contextmanager
def reading(path: str | os.PathLike[str], fault: str) -> Iterator[BinaryIO]:
    """The file at `path`, open for a parser that may meet anything in it.

    Args:
        path: of a file; a folder, a pipe or a device is none.
        fault: what is said of a damaged one, after its path and before the parser's own words.

    Raises:
        MissingFileError: there is no such file, or it cannot be read; says why.
        FileFormatError: the parser stumbled over its content.
        DeviceMemoryError: there is too little memory for it.
    """
    source = repr(os.fspath(path))
    try:
        if not Path(path).is_file():
            raise MissingFileError(f"there is no file {source}")
        with open(path, "rb") as file:
            yield file
    except DLCoreError:
        raise
    except MemoryError as error:
        raise out_of_memory(source, error) from None
    except Exception as error:  # in damaged files, parsers meet OSError, SyntaxError, struct.error and more
        if isinstance(error, OSError) and error.errno not in _OF_CONTENT:
            raise MissingFileError(f"{source} cannot be read: {error.strerror or error}") from None
        raise FileFormatError(f"{source} {fault}: {str(error) or type(error).__name__}") from error


@contextmanager
def listing(folder: Path) -> Iterator[None]:
    """Within it, what the system says against looking into a folder becomes an error of dlcore's.

    Raises:
        MissingFileError: the folder cannot be read; says why.
    """
    try:
        yield
    except DLCoreError:
        raise
    except OSError as error:
        raise MissingFileError(f"{str(folder)!r} cannot be read: {error.strerror or error}") from None
