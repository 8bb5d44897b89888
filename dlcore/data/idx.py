"""The IDX format of MNIST and its relatives: one array, its type and shape in front.

    byte 0, 1    zero
    byte 2       the element type: one of the codes below
    byte 3       the number of dimensions
    then         each dimension, 4 bytes, most significant first
    then         the elements in C order, most significant byte first

Source: Y. LeCun, C. Cortes, C. J. C. Burges, *The MNIST database of handwritten digits*, "File formats".
"""

import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from kernels.errors import FileFormatError

_DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def parse_idx(content: bytes, source: Path) -> npt.NDArray[Any]:
    """The array in the bytes of an IDX file.

    Args:
        content: the whole file, decompressed.
        source: its path, for messages.

    Returns:
        An array in the machine's byte order; an array of bytes is a read-only view of `content`. Nothing
        larger than `content` is ever allocated, whatever the header claims.

    Raises:
        FileFormatError: these are not the bytes of an IDX file, or they are cut short or too many.
    """
    if len(content) < 4 or content[:2] != b"\0\0":
        raise FileFormatError(f"{source}: not an IDX file: its first bytes are {content[:4]!r}")
    code, ndim = content[2], content[3]
    if code not in _DTYPES:
        known = ", ".join(f"0x{known:02x}" for known in _DTYPES)
        raise FileFormatError(f"{source}: unknown IDX element type 0x{code:02x} (known: {known})")
    if ndim > 64:
        raise FileFormatError(f"{source}: {ndim} dimensions, more than the 64 that an array can have")
    start = 4 + 4 * ndim
    if len(content) < start:
        raise FileFormatError(f"{source}: cut short: the header alone has {start} bytes, not {len(content)}")
    shape = tuple(int.from_bytes(content[at : at + 4], "big") for at in range(4, start, 4))
    dtype = np.dtype(_DTYPES[code])
    expected = start + math.prod(shape) * dtype.itemsize
    if len(content) != expected:
        fault = "cut short" if len(content) < expected else "too long"
        announced = f"the header announces shape {shape}, {expected} bytes in all"
        raise FileFormatError(f"{source}: {fault}: {announced}, but there are {len(content)}")
    elements = np.frombuffer(content, dtype, offset=start).reshape(shape)
    return elements.astype(dtype.newbyteorder("="), copy=False)
