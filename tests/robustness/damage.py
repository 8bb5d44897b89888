"""Bytes of good files, damaged: cut, flipped, exchanged for those of another kind; and files that are no files."""

import functools
import gzip
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

#: What a file that is read as code would leave behind.
MARKER = "was-executed"


class Payload:
    """Unpickled, it makes a folder."""

    def __init__(self, marker: Path) -> None:
        self._marker = marker

    def __reduce__(self) -> tuple[Callable[..., None], tuple[str]]:
        return os.mkdir, (str(self._marker),)


def damaged(rng: np.random.Generator, path: Path, marker: Path) -> str:
    """Damage the file at `path` in one way; returns which."""
    kinds = [*BYTES, *FILES]
    name = kinds[int(rng.integers(len(kinds)))]
    if name in BYTES:
        path.write_bytes(BYTES[name](rng, path.read_bytes(), marker))
    else:
        FILES[name](path)
    return name


def _place(rng: np.random.Generator, content: bytes) -> int:
    """A position: anywhere, or, as likely, where headers are."""
    most = len(content) if rng.random() < 0.5 else min(len(content), 200)
    return int(rng.integers(max(most, 1)))


def _flipped(rng: np.random.Generator, content: bytes, marker: Path) -> bytes:
    changed = bytearray(content)
    for _ in range(int(rng.integers(1, 9))):
        if changed:
            changed[_place(rng, content)] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def _overwritten(rng: np.random.Generator, content: bytes, marker: Path) -> bytes:
    at = _place(rng, content)
    noise = rng.integers(0, 256, int(rng.integers(1, 33)), dtype=np.uint8).tobytes()
    return content[:at] + noise + content[at + len(noise) :]


def _cut(rng: np.random.Generator, content: bytes, marker: Path) -> bytes:
    return content[: _place(rng, content)]


def _hole(rng: np.random.Generator, content: bytes, marker: Path) -> bytes:
    at, length = _place(rng, content), int(rng.integers(1, 65))
    return content[:at] + content[at + length :]


def _zeros(rng: np.random.Generator, content: bytes, marker: Path) -> bytes:
    at, length = _place(rng, content), int(rng.integers(1, 65))
    return content[:at] + bytes(len(content[at : at + length])) + content[at + length :]


def _inserted(rng: np.random.Generator, content: bytes, marker: Path) -> bytes:
    at = _place(rng, content)
    return content[:at] + rng.integers(0, 256, int(rng.integers(1, 17)), dtype=np.uint8).tobytes() + content[at:]


def _other_digit(rng: np.random.Generator, content: bytes, marker: Path) -> bytes:
    """In text: a digit exchanged for others, which keeps the syntax and changes the meaning."""
    digits = [at for at, byte in enumerate(content[:20_000]) if 48 <= byte <= 57]
    if not digits:
        return content[::-1]
    at = digits[int(rng.integers(len(digits)))]
    other = [b"-1", b"99999999999999999999", b"1e999", b"0", b"null", b"[]", b'"a"', b"NaN", b"true", b"{}"]
    return content[:at] + other[int(rng.integers(len(other)))] + content[at + 1 :]


@functools.cache
def _bomb() -> bytes:
    return gzip.compress(bytes(1 << 26), 9)


#: What is made of the content of a file: (generator, content, where a payload would leave its marker) → content.
BYTES: dict[str, Callable[[np.random.Generator, bytes, Path], bytes]] = {
    "cut": _cut,
    "cut near the end": lambda rng, content, marker: content[: -int(rng.integers(1, 9))],
    "bits flipped": _flipped,
    "bits flipped, too": _flipped,
    "overwritten": _overwritten,
    "a hole": _hole,
    "zeros": _zeros,
    "bytes inserted": _inserted,
    "another digit": _other_digit,
    "another digit, too": _other_digit,
    "empty": lambda rng, content, marker: b"",
    "twice": lambda rng, content, marker: content * 2,
    "something behind": lambda rng, content, marker: content + b"\0" * int(rng.integers(1, 5000)),
    "noise": lambda rng, content, marker: rng.bytes(int(rng.integers(1, 3000))),
    "text": lambda rng, content, marker: b"this is no such file\n" * int(rng.integers(1, 40)),
    "a pickle": lambda rng, content, marker: pickle.dumps(Payload(marker)),
    "a bomb": lambda rng, content, marker: _bomb(),
    "compressed": lambda rng, content, marker: gzip.compress(content),
}


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


def _nowhere(path: Path) -> None:
    path.unlink()
    path.symlink_to("../no-such-file")


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _endless(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def _unreadable(path: Path) -> None:
    path.chmod(0)  # root reads it all the same


#: What is put in the place of a file.
FILES: dict[str, Callable[[Path], None]] = {
    "a folder": _folder,
    "a loop of links": _loop,
    "a link to nowhere": _nowhere,
    "a pipe": _pipe,
    "an endless device": _endless,
    "gone": Path.unlink,
    "unreadable": _unreadable,
}


def copied(source: Path, target: Path) -> None:
    """A file or a folder, copied."""
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copyfile(source, target)
