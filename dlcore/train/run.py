"""A run folder: everything that one training run leaves behind, and all that is needed to use its network again.

config.json        what was trained, on what, how (`RunConfig`)
metrics.jsonl      one line of figures per epoch
model.safetensors  the weights
checkpoints/       what a run that was broken off goes on from
results.json       the test figures of those weights
*.png              pictures, where matplotlib is installed
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import Any

from dlcore.files import is_left_over, locked, replacing
from kernels.errors import ArgumentError, FileFormatError, MissingFileError


@dataclass(frozen=True)
class RunConfig:
    """What a run was, in the words of the command line.

    Attributes:
        dlcore: the version that wrote it.
        model, data: their names.
        input_shape: of one example, (C, H, W).
        classes: the names of the classes, in the order of the outputs.
        epochs, batch_size, optimizer, learning_rate, weight_decay, seed: as given, or the defaults.
        backend, threads: where it ran.
        schedule, accumulate, checkpoint_every, keep_checkpoints: likewise; 0: checkpoints after epochs alone.
    """

    dlcore: str
    model: str
    data: str
    input_shape: tuple[int, ...]
    classes: tuple[str, ...]
    epochs: int
    batch_size: int
    optimizer: str
    learning_rate: float
    weight_decay: float
    seed: int
    backend: str
    threads: int
    schedule: str = "constant"
    accumulate: int = 1
    checkpoint_every: int = 0
    keep_checkpoints: int = 2

    @classmethod
    def from_json(cls, values: Any) -> "RunConfig":
        """A configuration from what JSON gave.

        Raises:
            ValueError: a field is missing, unknown or of another type; says which.
        """
        if not isinstance(values, dict):
            raise ValueError(f"expected an object, found {type(values).__name__}")
        names = {field.name: field.type for field in fields(cls)}
        values = {field.name: field.default for field in fields(cls) if field.default is not MISSING} | values
        if missing := [name for name in names if name not in values]:
            raise ValueError(f"{missing[0]!r} is missing")
        if unknown := [name for name in values if name not in names]:
            raise ValueError(f"{unknown[0]!r} is unknown")
        shape, classes = values["input_shape"], values["classes"]
        if not _is_list_of(shape, int) or not 1 <= len(shape) <= 3 or not all(0 < size <= 1 << 16 for size in shape):
            raise ValueError("'input_shape' is no list of one to three lengths")
        if not _is_list_of(classes, str) or not classes:
            raise ValueError("'classes' is no list of names")
        for name, expected in names.items():
            if isinstance(expected, type) and not _is_a(values[name], expected):
                raise ValueError(f"{name!r} is no {expected.__name__}")
        return cls(**values | {"input_shape": tuple(shape), "classes": tuple(classes)})


class RunFolder:
    """The files of one run; see the top of this file. Make one with `create`, read one with `open`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / "config.json"
        self.metrics = path / "metrics.jsonl"
        self.weights = path / "model.safetensors"
        self.results = path / "results.json"
        self.checkpoints = path / "checkpoints"

    @classmethod
    def create(cls, path: str | os.PathLike[str], config: RunConfig) -> "RunFolder":
        """A new folder, or an existing empty one, with its configuration in it.

        Raises:
            ArgumentError: there is something in it already, or it is a file. Nothing is changed then.
            OSError: it cannot be made.
        """
        folder = cls(Path(path))
        folder.check_unused()
        folder.path.mkdir(parents=True, exist_ok=True)
        try:
            # The claim: of two runs that begin at once, one gets the folder.
            write_json(folder.config, asdict(config), must_be_new=True)
        except FileExistsError:
            raise ArgumentError(f"{path} was taken by another run just now; name another run folder") from None
        return folder

    @classmethod
    def resume(cls, path: str | os.PathLike[str]) -> "RunFolder":
        """The folder of a run that began.

        Raises:
            MissingFileError: there is no such folder.
            ArgumentError: it holds no run.
        """
        folder = cls(Path(path))
        if not folder.path.is_dir():
            raise MissingFileError(f"there is no folder {str(path)!r}")
        if not folder.config.is_file():
            raise ArgumentError(f"{path} is no run folder: it has no {folder.config.name}")
        return folder

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> "RunFolder":
        """The folder of a run that has reached the end of its first epoch.

        Raises:
            MissingFileError: there is no such folder.
            ArgumentError: it holds no run, or no weights.
        """
        folder = cls.resume(path)
        if not folder.weights.is_file():
            raise ArgumentError(f"{path} has no {folder.weights.name}: that run ended before its first epoch did")
        return folder

    def check_unused(self) -> None:
        """Raise ArgumentError if there is something at this path already, other than an empty folder."""
        if self.path.is_dir():
            if any(not is_left_over(path) for path in self.path.iterdir()):
                raise ArgumentError(
                    f"{self.path} is not empty; name another run folder, nothing was changed in this one"
                )
        elif self.path.exists():
            raise ArgumentError(f"{self.path} is a file; name another run folder")

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Nobody else trains in this folder during the block; what a killed run left half written is removed.

        Raises:
            ArgumentError: somebody does.
        """
        with locked(self.path / ".lock") as is_mine:
            if not is_mine:
                raise ArgumentError(f"{self.path} is being trained in by another process")
            for path in self.path.iterdir():
                if is_left_over(path):
                    path.unlink(missing_ok=True)
            yield

    def write_config(self, config: RunConfig) -> None:
        """Write config.json."""
        write_json(self.config, asdict(config))

    def read_config(self) -> RunConfig:
        """Read config.json.

        Raises:
            FileFormatError: it is damaged, or not one of ours.
        """
        try:
            return RunConfig.from_json(json.loads(self.config.read_text(encoding="utf-8")))
        except (ValueError, RecursionError) as error:  # what json raises derives from ValueError
            raise FileFormatError(f"{self.config}: not the configuration of a run: {error}") from error

    def files(self) -> list[str]:
        """The names of the finished files in it, text and weights before pictures."""
        names = [path.name for path in self.path.iterdir() if path.is_file() and not path.name.startswith(".")]
        return sorted(names, key=lambda name: (name.endswith(".png"), name))


def write_json(path: Path, values: dict[str, Any], *, must_be_new: bool = False) -> None:
    """Write an object as JSON, a field per line; the file is replaced in one piece.

    Raises:
        FileExistsError: it `must_be_new`, and is not.
    """
    lines = (f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in values.items())
    with replacing(path, must_be_new=must_be_new) as temporary:
        temporary.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def _is_a(value: Any, expected: type) -> bool:
    if expected is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, expected) and not isinstance(value, bool)


def _is_list_of(values: Any, expected: type) -> bool:
    return isinstance(values, list) and all(_is_a(value, expected) for value in values)
