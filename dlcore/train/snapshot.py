"""Snapshots: the state of a training run in a folder, which is there whole or not at all.

manifest.json      size and SHA-256 of the other files: what was damaged later is noticed
model.safetensors  the network's weights, as `dlcore.load` reads them
state.json         everything else; where it held an array there is {"$array": name}
state.safetensors  these arrays, by name

Plain numbers and text throughout: nothing in a snapshot can execute.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from dlcore import backend
from dlcore.files import umask
from dlcore.io import load_arrays, save
from kernels.errors import ArgumentError, DLCoreError, FileFormatError, MissingFileError
from kernels.types import Array

_FORMAT = 1
_MANIFEST = "manifest.json"
_FILES = ("model.safetensors", "state.json", "state.safetensors")
_ARRAY = "$array"
_LONGEST_MANIFEST = 1 << 16


def write_snapshot(path: Path, weights: Mapping[str, Array], state: Mapping[str, Any]) -> None:
    """Write a snapshot beside `path` under a name that begins with ".", then rename it to `path`.

    Whatever breaks off the writing, there is no half a snapshot at `path`. One that is there already gives way once
    this one is whole.

    Args:
        path: the folder to make; the one it lies in must be there.
        weights: name → array of any backend.
        state: dicts (with str keys), lists, tuples, None, bool, int, float, str, and arrays of any backend.

    Raises:
        ArgumentError: something in `state` is of another type; says where.
        OSError: the disk is full, the folder can't be written, …
    """
    arrays: dict[str, Array] = {}
    plain = _pack(state, arrays, "state")
    folder = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        save(weights, folder / "model.safetensors")
        save(arrays, folder / "state.safetensors")
        _write(folder / "state.json", json.dumps(plain))
        files = {name: {"size": (folder / name).stat().st_size, "sha256": _digest(folder / name)} for name in _FILES}
        _write(folder / _MANIFEST, json.dumps({"format": _FORMAT, "files": files}, indent=1))
        _sync(folder)
        folder.chmod(0o777 & ~umask())  # mkdtemp's folders are private; this is for whoever may read the one above
        if path.exists():
            remove_snapshot(path)
        folder.rename(path)
        _sync(path.parent)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def read_snapshot(path: Path) -> tuple[dict[str, Array], dict[str, Any]]:
    """The weights and the state of a snapshot, with NumPy arrays, after a check of every byte.

    Raises:
        MissingFileError: one of its files is not there.
        FileFormatError: one of its files is damaged.
    """
    for name in (_MANIFEST, *_FILES):
        if not (path / name).is_file():
            raise MissingFileError(f"{path}: there is no {name}")
    manifest = _read_json(path / _MANIFEST, _LONGEST_MANIFEST)
    if not isinstance(manifest, dict) or manifest.get("format") != _FORMAT:
        raise FileFormatError(f"{path / _MANIFEST}: not the manifest of a snapshot of format {_FORMAT}")
    for name in _FILES:
        try:
            said = manifest["files"][name]
            size, digest = said["size"], said["sha256"]
        except (KeyError, TypeError):
            raise FileFormatError(f"{path / _MANIFEST}: it does not describe {name}") from None
        if (path / name).stat().st_size != size or _digest(path / name) != digest:
            raise FileFormatError(f"{path / name}: damaged, its content is not what was written")
    arrays = load_arrays(path / "state.safetensors")
    try:
        state = _unpack(_read_json(path / "state.json"), arrays)
    except (KeyError, TypeError, RecursionError):
        raise FileFormatError(f"{path / 'state.json'}: it does not fit state.safetensors") from None
    return load_arrays(path / "model.safetensors"), state


def check_state(state: Mapping[str, Any]) -> None:
    """Raise what `write_snapshot` would raise of this state, and write nothing."""
    _pack(state, {}, "state")


def first_not_finite(state: Any, where: str = "") -> str:
    """The place of the first array that holds NaN or infinity, in dicts and lists; "" if all are finite."""
    if isinstance(state, Mapping):
        parts = ((f"{where}.{name}" if where else str(name), part) for name, part in state.items())
    elif isinstance(state, (list, tuple)):
        parts = ((f"{where}[{number}]", part) for number, part in enumerate(state))
    elif not _is_array(state) or state.dtype.kind not in "fV":
        return ""
    else:
        with backend.of(state).active_device():
            finite = backend.of(state).xp.isfinite(state.astype(np.float32) if state.dtype.itemsize == 2 else state)
            return "" if bool(backend.to_numpy(finite.all())) else where
    return next((found for place, part in parts if (found := first_not_finite(part, place))), "")


def remove_snapshot(path: Path) -> None:
    """Remove a snapshot; it is out of the way at once, even where removing its files is broken off."""
    with suppress(FileNotFoundError):
        trash = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
        path.rename(trash / "removed")
        shutil.rmtree(trash, ignore_errors=True)


def _pack(value: Any, arrays: dict[str, Array], where: str) -> Any:
    """The value as JSON takes it, with its arrays set aside."""
    if isinstance(value, np.generic):
        return value.item()
    if _is_array(value):
        name = str(len(arrays))
        arrays[name] = value
        return {_ARRAY: name}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Mapping):
        if _ARRAY in value or any(not isinstance(key, str) for key in value):
            raise ArgumentError(f"checkpoint: {where} has keys that are no names: {list(value)!r:.60}")
        return {key: _pack(part, arrays, f"{where}.{key}") for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_pack(part, arrays, f"{where}[{number}]") for number, part in enumerate(value)]
    raise ArgumentError(
        f"checkpoint: {where} is a {type(value).__qualname__}; a state holds arrays, numbers, text, lists and dicts"
    )


def _is_array(value: Any) -> bool:
    try:
        backend.of(value)
    except DLCoreError:
        return False
    return True


def _unpack(value: Any, arrays: Mapping[str, Array]) -> Any:
    if isinstance(value, dict):
        if _ARRAY in value:
            return arrays[value[_ARRAY]]
        return {key: _unpack(part, arrays) for key, part in value.items()}
    return [_unpack(part, arrays) for part in value] if isinstance(value, list) else value


def _write(path: Path, text: str) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _read_json(path: Path, longest: int | None = None) -> Any:
    if longest is not None and path.stat().st_size > longest:
        raise FileFormatError(f"{path}: {path.stat().st_size:,} bytes are too many for it")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:  # what json raises derives from ValueError
        raise FileFormatError(f"{path}: damaged: {error}") from None


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(folder: Path) -> None:
    """Let the folder's list of names reach the disk, where the system lets a folder be opened."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
