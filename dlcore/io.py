"""Weights to and from safetensors files: plain arrays with names, nothing that can execute."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as parse
from safetensors.numpy import save as serialize

from dlcore import backend
from dlcore.files import replacing
from dlcore.nn.module import Module
from kernels.errors import ArgumentError, FileFormatError, MissingFileError
from kernels.types import Array


def save(source: Module | Mapping[str, Array], path: str | os.PathLike[str]) -> None:
    """Write a network's parameters and buffers (or a mapping of arrays) to a safetensors file.

    The file is replaced in one piece: if writing breaks off, what was there before is still there. It does not say
    on which backend the arrays were.
    """
    if not isinstance(source, (Module, Mapping)):
        raise ArgumentError(f"save: expected a Module or a mapping of arrays first, got {type(source).__qualname__}")
    arrays = source.state_dict() if isinstance(source, Module) else source
    content = serialize({name: np.asarray(backend.to_numpy(array), order="C") for name, array in arrays.items()})
    with replacing(Path(path)) as temporary:
        temporary.write_bytes(content)


def load(network: Module, path: str | os.PathLike[str]) -> None:
    """Read a safetensors file into a network's parameters and buffers, wherever these are.

    Raises:
        MissingFileError: there is no such file, or it cannot be read.
        FileFormatError: the file is damaged, or no safetensors file.
        StateDictError: its names or shapes are not the network's; nothing is loaded.
    """
    if not isinstance(network, Module):
        raise ArgumentError(f"load: expected a Module first and then a path, got {type(network).__qualname__}")
    network.load_state_dict(load_arrays(path))


def load_arrays(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Name → NumPy array of everything in a safetensors file; errors as for `load`."""
    if not Path(path).is_file():  # a pipe or a device would never end
        raise MissingFileError(f"load: there is no file {os.fspath(path)!r}")
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise MissingFileError(f"load: {os.fspath(path)!r} cannot be read: {error.strerror or error}") from None
    try:
        return parse(content)
    except KeyError as error:  # safetensors looks the type up in a table of NumPy's
        kind = error.args[0]
        raise FileFormatError(f"load: {os.fspath(path)!r} holds {kind} numbers, which NumPy does not have") from None
    except (SafetensorError, ValueError) as error:
        raise FileFormatError(f"load: {os.fspath(path)!r} is damaged or not a safetensors file ({error})") from None
