"""Datasets in `.npz` files: NumPy arrays in a zip archive, read so that no file can do harm.

A zip archive says of each member how many bytes it will be, and a `.npy` member says in its header what array these
are. Either may lie, so nothing is allocated before they agree with each other and with the bytes that are there.
"""

import io
import math
import os
import warnings
import zipfile
from typing import Any

import numpy as np
import numpy.typing as npt

from dlcore.data.dataset import MOST_UNNAMED_CLASSES, ArrayDataset
from dlcore.data.reading import reading
from kernels.errors import DataError, FileFormatError
from kernels.shortage import within_memory

# What NumPy writes. Others compress further, and the limits below would not hold.
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
# An array of more bytes than this that is compressed to less than a hundredth is taken for a trap.
_LARGE = 1 << 28
_MOST_RATIO = 100
_MOST_HEADER = 1000  # bytes; those of arrays of numbers have about 100


@within_memory
def npz(path: str | os.PathLike[str]) -> tuple[ArrayDataset, ArrayDataset | None]:
    """The dataset in an `.npz` file, as `numpy.savez` and `savez_compressed` write them.

    It holds arrays of these names:

        x           inputs, shape (N, ...); images as (N, C, H, W), the channels first: nothing is guessed
        y           targets, N of them: integer labels of shape (N,), or floating-point values
        classes     optionally, the names of the classes: text, in the order of the labels
        x_test, y_test  optionally, the same for testing

    uint8 inputs are pixels: they stay bytes, and come out as float32 in [0, 1]. Other inputs, and targets that are no
    labels, become float32.

    Returns:
        The dataset of x and y, and that of x_test and y_test or None.

    Raises:
        MissingFileError: there is no such file, or it cannot be read; says why.
        FileFormatError: it is damaged or no `.npz` file, lacks x or y, holds Python objects (which would have to be
            unpickled), or an array whose size is not what the file says. Arrays that unpack to more than 256 MiB and
            100 times their compressed size are refused, too.
        DataError: the arrays are no dataset: lengths differ, a label lies outside the classes, a value is not finite.
        DeviceMemoryError: there is too little memory for them.
    """
    with reading(path, "is damaged, or no .npz file") as file:
        try:
            with warnings.catch_warnings(), zipfile.ZipFile(file) as archive:
                warnings.simplefilter("ignore")  # of odd headers: they are read right, or refused
                arrays = _arrays(archive, os.fstat(file.fileno()).st_size)
        except FileFormatError as error:
            raise FileFormatError(f"{str(path)!r}: {error}") from error.__cause__
    try:
        return _datasets(arrays)
    except DataError as error:
        raise DataError(f"{str(path)!r}: {error}") from error


def _arrays(archive: zipfile.ZipFile, file_size: int) -> dict[str, npt.NDArray[Any]]:
    kinds = {"x": "biuf", "y": "biuf", "classes": "US", "x_test": "biuf", "y_test": "biuf"}
    members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
    for name in ("x", "y"):
        if name not in members:
            found = ", ".join(repr(other) for other in sorted(members)[:10]) or "nothing"
            raise FileFormatError(f"expected the arrays x and y, found {found}")
    if ("x_test" in members) != ("y_test" in members):
        raise FileFormatError("of x_test and y_test there is only one")
    return {
        name: _array(archive, members[name], name, kind, file_size) for name, kind in kinds.items() if name in members
    }


def _array(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, name: str, kinds: str, file_size: int
) -> npt.NDArray[Any]:
    _check_sizes(member, name, file_size)
    with archive.open(member) as stream:
        start = stream.read(_MOST_HEADER + 12)
        header = io.BytesIO(start)
        shape, is_fortran, dtype = _read_header(header, name)
        if dtype.kind not in kinds or dtype.itemsize == 0:
            expected = "text" if kinds == "US" else "real numbers"
            raise FileFormatError(f"{name} must hold {expected}, but its dtype is {dtype}")
        if any(length < 0 for length in shape):
            raise FileFormatError(f"{name} has the shape {shape}")
        expected_size = header.tell() + math.prod(shape) * dtype.itemsize
        if expected_size != member.file_size:
            raise FileFormatError(
                f"{name} has shape {shape} and dtype {dtype}, {expected_size:,} bytes with its header, "
                f"but {member.file_size:,} are there"
            )
        if 0 in shape:
            raise FileFormatError(f"{name} is empty: its shape is {shape}")
        content = start + stream.read(expected_size - len(start) + 1)  # the end is reached, so the CRC is checked
    array = np.frombuffer(content, dtype, math.prod(shape), header.tell())
    array = array.reshape(shape[::-1]).T if is_fortran else array.reshape(shape)
    return array.astype(dtype.newbyteorder("="), copy=False)


def _check_sizes(member: zipfile.ZipInfo, name: str, file_size: int) -> None:
    if member.compress_type not in _METHODS:
        raise FileFormatError(f"{name} is compressed in another way than NumPy does")
    if member.compress_size > file_size:
        raise FileFormatError(f"{name} has {member.compress_size:,} bytes, but the file only {file_size:,}")
    if member.file_size > max(_LARGE, _MOST_RATIO * member.compress_size):
        raise FileFormatError(
            f"{name} would unpack from {member.compress_size:,} to {member.file_size:,} bytes; more than "
            f"{_MOST_RATIO} times is not read"
        )


def _read_header(header: io.BytesIO, name: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether Fortran's order, and dtype; `header` then stands where the elements begin.

    NumPy reads it by `ast.literal_eval`, which runs no code.
    """
    version = np.lib.format.read_magic(header)
    if version not in ((1, 0), (2, 0)):
        raise FileFormatError(f"{name} is of version {version} of the .npy format, expected 1.0 or 2.0")
    reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    try:
        shape, is_fortran, dtype = reader(header, _MOST_HEADER)
    except MemoryError:  # so Python's parser calls an expression that is nested too deeply
        raise FileFormatError(f"{name} has a header that cannot be understood") from None
    if dtype.hasobject:
        raise FileFormatError(f"{name} holds Python objects, which would have to be unpickled; save numbers instead")
    return shape, is_fortran, dtype


def _datasets(arrays: dict[str, npt.NDArray[Any]]) -> tuple[ArrayDataset, ArrayDataset | None]:
    classes = _class_names(arrays)
    train = ArrayDataset(_inputs("x", arrays["x"]), _targets("y", arrays["y"]), classes)
    if "x_test" not in arrays:
        return train, None
    test = ArrayDataset(_inputs("x_test", arrays["x_test"]), _targets("y_test", arrays["y_test"]), classes)
    if test.input_shape != train.input_shape:
        raise DataError(f"inputs in x have shape {train.input_shape}, but those in x_test {test.input_shape}")
    return train, test


def _inputs(name: str, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return array if array.dtype == np.uint8 else _as_float32(name, array)


def _targets(name: str, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return _as_float32(name, array) if array.dtype.kind == "f" else array


def _as_float32(name: str, array: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    with np.errstate(over="ignore"):  # what is too large becomes infinite, and is refused
        values = array.astype(np.float32, copy=False)
    if not np.isfinite(values).all():
        place = tuple(np.argwhere(~np.isfinite(values))[0].tolist())
        raise DataError(f"{name}{list(place)} is {array[place]}, which is no finite float32")
    return values


def _class_names(arrays: dict[str, npt.NDArray[Any]]) -> list[str] | None:
    """The names; without an array of them, one for each label up to the largest, in training or in test data."""
    if "classes" in arrays:
        names = arrays["classes"]
        if names.ndim != 1:
            raise DataError(f"classes must be names in one row, got shape {names.shape}")
        try:
            return [name.decode() if isinstance(name, bytes) else name for name in names.tolist()]
        except (ValueError, SystemError) as error:  # no code points, no UTF-8
            raise DataError(f"classes are no text: {error}") from error
    if "y_test" not in arrays or any(arrays[name].dtype.kind not in "iu" for name in ("y", "y_test")):
        return None
    largest = max(int(arrays[name].max()) for name in ("y", "y_test"))
    return [str(label) for label in range(min(largest + 1, MOST_UNNAMED_CLASSES))]
