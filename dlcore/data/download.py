"""Downloads that end with a whole file or with none.

A download is written beside its destination under a temporary name, continued after a break, tried again on
every mirror, checked against what its content must be (`dlcore.data.remote`), and only then renamed. So a file
under its own name is always whole.
"""

import glob
import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

from dlcore.data.remote import Remote
from kernels.errors import DataUnavailableError, FileFormatError

if TYPE_CHECKING:
    from http.client import HTTPResponse

    from rich.progress import Progress, TaskID

# All mirrors are tried in turn, once after each of these pauses (seconds).
_PAUSES = (0.0, 1.0, 3.0)
_TIMEOUT = 20.0  # seconds without an answer
_CHUNK = 1 << 16  # bytes
# An unfinished download that has not grown for so many seconds belongs to a process that is gone.
_ABANDONED = 600.0
# Refusals that may be over by the next try; the other codes from 400 to 499 are final.
_PASSING_REFUSALS = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)


def download(file: Remote[object], mirrors: Sequence[str], folder: Path) -> Path:
    """Fetch `file` from the first of `mirrors` that delivers it whole, showing progress on standard error.

    Args:
        file: what to fetch.
        mirrors: addresses of folders that hold it, ending in "/"; tried in turn, three times each.
        folder: where to put it; made if it is missing.

    Returns:
        The path of the file, complete and checked.

    Raises:
        DataUnavailableError: no mirror delivered the file, or `folder` cannot be written. What has arrived so
            far is kept, and the next call continues it.
        DeviceMemoryError: there is too little memory to check what has arrived, which is kept.
    """
    destination = folder / file.name
    willing = list(mirrors)
    failures: dict[str, str] = {}  # the last one of each mirror
    with _partial(destination) as partial, _progress() as progress:
        task = progress.add_task(file.name, total=None)
        for pause in _PAUSES:
            time.sleep(pause if willing else 0)
            for mirror in tuple(willing):
                _say(progress, f"downloading {mirror}{file.name}")
                try:
                    _receive(mirror + file.name, partial, file.size, progress, task)
                    file.read(partial)
                except _RefusedError as error:
                    willing.remove(mirror)
                    failures[mirror] = str(error)
                except _InterruptedError as error:
                    failures[mirror] = str(error)
                except FileFormatError as error:
                    partial.unlink()
                    failures[mirror] = str(error).removeprefix(f"{partial}: ")
                else:
                    os.replace(partial, destination)
                    return destination
                _say(progress, f"{file.name}: {failures[mirror]}")
    reasons = "; ".join(f"{mirror}: {failure}" for mirror, failure in failures.items())
    raise DataUnavailableError(f"{file.name} is not on this machine and could not be downloaded ({reasons})")


class _RefusedError(Exception):
    """The mirror answered, and does not have the file."""


class _InterruptedError(Exception):
    """The mirror cannot be reached, or stopped in the middle; another try may help."""


def _receive(url: str, partial: Path, content_size: int, progress: "Progress", task: "TaskID") -> None:
    """Fetch what is missing of `partial` from `url`."""
    # Slow to import, and rarely needed.
    from http.client import HTTPException
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    have = partial.stat().st_size if partial.exists() else 0
    headers = {"User-Agent": "dlcore", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    try:
        with urlopen(Request(url, headers=headers), timeout=_TIMEOUT) as response:
            _write(response, partial, have, content_size, progress, task)
    except DataUnavailableError:
        raise
    except HTTPError as error:
        error.close()
        if have and error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            partial.unlink()
            raise _InterruptedError("what was there before is not the beginning of this file") from error
        is_final = 400 <= error.code < 500 and error.code not in _PASSING_REFUSALS
        kind = _RefusedError if is_final else _InterruptedError
        raise kind(f"HTTP {error.code} {error.reason}") from error
    except (OSError, HTTPException) as error:  # no network, unknown host, time-out, reset, not HTTP
        raise _InterruptedError(_reason(error)) from error


def _write(
    response: "HTTPResponse",
    partial: Path,
    have: int,
    content_size: int,
    progress: "Progress",
    task: "TaskID",
) -> None:
    """Append the response to `partial`, or replace it where the server sends the file from its beginning."""
    is_continued = response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
    have = have if is_continued else 0
    length = response.headers.get("Content-Length", "")
    total = have + int(length) if length.isdecimal() else None
    progress.update(task, completed=have, total=total)
    # gzip adds little to what cannot be compressed: a server that sends more is not sending this file.
    most = content_size + content_size // 100 + _CHUNK
    try:
        with open(partial, "ab" if is_continued else "wb") as out:
            for chunk in _chunks(response):
                have += len(chunk)
                if have > most:
                    raise FileFormatError(f"more than {most} bytes sent for {content_size} of content")
                out.write(chunk)
                progress.update(task, completed=have)
    except OSError as error:
        raise DataUnavailableError(f"{partial} cannot be written: {_reason(error)}") from error
    if total is not None and have < total:
        raise _InterruptedError(f"the connection broke off after {have} of {total} bytes")


def _chunks(response: "HTTPResponse") -> Iterator[bytes]:
    try:
        while chunk := response.read(_CHUNK):
            yield chunk
    except OSError as error:
        raise _InterruptedError(_reason(error)) from error


@contextmanager
def _partial(destination: Path) -> Iterator[Path]:
    """A path for the unfinished file, to which no other process or thread writes.

    What an earlier download left unfinished is taken over by renaming it, which only one process can.
    """
    resting = destination.with_name(f"{destination.name}.part")
    mine = destination.with_name(f"{destination.name}.{os.getpid()}-{threading.get_ident()}.part")
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataUnavailableError(f"{destination.parent} cannot be made: {_reason(error)}") from error
    for leftover in destination.parent.glob(f"{glob.escape(destination.name)}*.part"):
        with suppress(OSError):
            if leftover == resting or time.time() - leftover.stat().st_mtime > _ABANDONED:
                os.replace(leftover, mine)
                break
    try:
        yield mine
    finally:
        with suppress(OSError):  # complete, it has its own name by now
            os.replace(mine, resting)


@contextmanager
def _progress() -> Iterator["Progress"]:
    """A progress bar on a terminal; elsewhere only the lines of `_say` appear."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        yield progress


def _say(progress: "Progress", line: str) -> None:
    progress.console.print(line, markup=False, highlight=False, soft_wrap=True)


def _reason(error: Exception) -> str:
    """What went wrong, without number and path."""
    stated = getattr(error, "reason", None) or getattr(error, "strerror", None)
    return str(stated or error or type(error).__name__)
