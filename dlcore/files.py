"""Files that are replaced in one piece, and a lock between processes."""

import os
import re
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from kernels.errors import ArgumentError, MissingFileError

try:
    from fcntl import LOCK_EX, LOCK_NB, flock
except ModuleNotFoundError:  # Windows: nothing is locked there
    HAS_LOCKS = False
else:
    HAS_LOCKS = True

# What `replacing` calls the files that it writes, before they get their names.
_LEFT_OVER = re.compile(r"\..+\.writing-\w+(\.\w+)?")

_umask_lock = threading.Lock()


@contextmanager
def replacing(path: Path, *, must_be_new: bool = False) -> Iterator[Path]:
    """A temporary path beside `path` to write to; renamed to `path` when the block ends well, else removed.

    So `path` holds the old content or the new, never a part of it, whatever breaks off the writing.

    Args:
        path: the file.
        must_be_new: refuse to replace one.

    Raises:
        ArgumentError: `path` is a folder.
        MissingFileError: there is no such folder.
        FileExistsError: the file `must_be_new`, and is not, when the block ends.
    """
    if path.is_dir():
        raise ArgumentError(f"cannot write {str(path)!r}: it is a folder; name a file")
    if not path.parent.is_dir():
        raise MissingFileError(f"cannot write {str(path)!r}: there is no folder {str(path.parent)!r}")
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.writing-", suffix=path.suffix, dir=path.parent)
    temporary = Path(name)
    try:
        os.close(handle)
        yield temporary
        with temporary.open("r+b") as written:  # Windows syncs only what can be written
            os.fsync(written.fileno())  # the content before the name: else a power cut could leave an empty file
        temporary.chmod(0o666 & ~umask())  # mkstemp's files are private; these are for whoever may read the folder
        if must_be_new:
            _claim(temporary, path)
        else:
            os.replace(temporary, path)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError) and error.errno is not None and error.filename is None:
            error.filename = str(path)  # a full disk does not say what it had no room for
        raise


def _claim(temporary: Path, path: Path) -> None:
    """Rename the file, if nothing has that name; a mere rename would replace what has."""
    try:
        os.link(temporary, path)
        temporary.unlink()
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        path.touch(exist_ok=False)
        os.replace(temporary, path)


def is_left_over(path: Path) -> bool:
    """Whether this is a temporary file of `replacing`, of a process that was killed, or is writing now."""
    return _LEFT_OVER.fullmatch(path.name) is not None


@contextmanager
def locked(path: Path) -> Iterator[bool]:
    """Hold a lock by the name of `path` during the block, unless another process holds it: whether it is held.

    The system gives it back when the process ends, however that comes about. The file stays.
    """
    if not HAS_LOCKS:
        yield True
        return
    if path.exists() and not path.is_file():
        raise ArgumentError(f"{str(path)!r} is in the way: it is no file, and so no lock; remove it")
    with path.open("a") as file:
        try:
            flock(file, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            yield False
        except OSError:  # a file system without locks
            yield True
        else:
            yield True


def umask() -> int:
    """The permission bits that new files of this process go without."""
    with _umask_lock:  # it can only be read by setting it
        mask = os.umask(0o077)
        os.umask(mask)
    return mask
