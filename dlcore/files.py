"""Files that are replaced in one piece."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from kernels.errors import ArgumentError, MissingFileError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` to write to; renamed to `path` when the block ends well, else removed.

    So `path` holds the old content or the new, never a part of it, whatever breaks off the writing.

    Raises:
        ArgumentError: `path` is a folder.
        MissingFileError: there is no such folder.
    """
    if path.is_dir():
        raise ArgumentError(f"cannot write {str(path)!r}: it is a folder; name a file")
    if not path.parent.is_dir():
        raise MissingFileError(f"cannot write {str(path)!r}: there is no folder {str(path.parent)!r}")
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=path.suffix, dir=path.parent)
    temporary = Path(name)
    try:
        os.close(handle)
        yield temporary
        temporary.chmod(0o666 & ~_umask())  # mkstemp's files are private; these are for whoever may read the folder
        with temporary.open("rb") as written:
            os.fsync(written.fileno())  # the content before the name: else a power cut could leave an empty file
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
