"""Whether a damaged or hostile file ended as it should: read after all, or refused, and nothing changed or executed."""

import functools
import hashlib
import json
import os
import shutil
import stat
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from tests.robustness import hostile
from tests.robustness.damage import BYTES, MARKER, copied, damaged
from tests.robustness.judging import SEED, Outcome, judged_exception
from tests.robustness.readers import READERS, Reader


def judge_file(number: int, folder: Path) -> Outcome:
    """Make case `number` in a folder of its own, read it, and judge what came of it."""
    rng = np.random.default_rng([SEED, number])
    reader = READERS[number % len(READERS)]
    place = folder / f"case-{number}"
    place.mkdir()
    try:
        path = place / f"file{reader.suffix}"
        copied(_good(number % len(READERS), folder), path)
        title = f"{reader.name} ({_worsened(rng, reader, path, folder / MARKER)})"
        return _judged(number, title, reader, path, folder)
    finally:
        shutil.rmtree(place)


@functools.cache
def _good(index: int, folder: Path) -> Path:
    path = folder / f"good-{index}{READERS[index].suffix}"
    READERS[index].make(path)
    return path


def _worsened(rng: np.random.Generator, reader: Reader, path: Path, marker: Path) -> str:
    """Make one file of it bad; returns how."""
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    file = files[int(rng.integers(len(files)))]
    kinds = [kind for end, kind in reader.hostile.items() if file.name.endswith(end)]
    if kinds and kinds[0] == "json" and rng.random() < 0.5:
        note = _other_value(rng, file)
    elif kinds and rng.random() < 0.5:
        contents = hostile.content(kinds[0], marker)
        chosen = int(rng.integers(len(contents)))
        file.write_bytes(contents[chosen])
        note = f"hostile {kinds[0]} {chosen}"
    elif reader.only_content:
        name = list(BYTES)[int(rng.integers(len(BYTES)))]
        file.write_bytes(BYTES[name](rng, file.read_bytes(), marker))
        note = name
    else:
        note = damaged(rng, file, marker)
    if reader.signed is not None and rng.random() < 0.6:
        reader.signed(path)
        note += ", signed"
    return f"{file.name}: {note}"


def _other_value(rng: np.random.Generator, file: Path) -> str:
    """Another value at one place of a JSON file."""
    content = json.loads(file.read_text())
    node, names = content, []
    while True:
        keys: list[Any] = list(node) if isinstance(node, dict) else list(range(len(node)))
        key = keys[int(rng.integers(len(keys)))]
        names.append(str(key))
        if not isinstance(node[key], (dict, list)) or not node[key] or rng.random() < 0.3:
            break
        node = node[key]
    value = hostile.VALUES[int(rng.integers(len(hostile.VALUES)))]
    node[key] = value
    file.write_text(json.dumps(content))
    return f"{'.'.join(names)} is {value!r:.40}"


def _judged(number: int, title: str, reader: Reader, path: Path, folder: Path) -> Outcome:
    place, marker = path.parent, folder / MARKER
    before = _contents(place)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            reader.read(path)
        except Exception as error:
            ended, detail = judged_exception(error, ())
        else:
            ended, detail = "result", ""
    if marker.exists():
        marker.rmdir()
        return Outcome(number, title, "executed code", MARKER)
    if _contents(place) != before and not (reader.writes and ended == "result"):
        return Outcome(number, title, "changed files", detail)
    return Outcome(number, title, ended, detail)


def _contents(place: Path) -> dict[str, str]:
    """What lies there: of each file the digest, of each link where it leads, of others what they are."""
    found = {}
    for path in sorted(place.rglob("*")):
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            found[str(path)] = os.readlink(path)
        elif stat.S_ISREG(mode):
            found[str(path)] = hashlib.sha256(path.read_bytes()).hexdigest()
        else:
            found[str(path)] = f"{stat.S_IFMT(mode):o}"
    return found
