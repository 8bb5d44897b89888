import contextlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcore.data.idx import parse_idx
from kernels.errors import FileFormatError

CODES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}


def idx(array, code=None):
    code = CODES[array.dtype.str[1:]] if code is None else code
    header = bytes([0, 0, code, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


def parse(content):
    return parse_idx(content, Path("a.idx"))


@pytest.mark.parametrize("dtype", CODES)
@pytest.mark.parametrize("shape", [(5,), (2, 3, 4), (0, 28, 28), ()])
def test_round_trip(dtype, shape):
    array = (np.arange(np.prod(shape)) - 3).astype(dtype).reshape(shape)
    parsed = parse(idx(array))
    assert parsed.dtype == np.dtype(dtype)
    assert parsed.dtype.isnative
    np.testing.assert_array_equal(parsed, array)


WHOLE = idx(np.arange(24, dtype=np.uint8).reshape(2, 3, 4))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not an IDX file: its first bytes are b''"),
        (b"\x89PNG\r\n", "not an IDX file: its first bytes are b'.x89PNG'"),
        (b"\0\0\x0a\x01" + WHOLE[4:], "unknown IDX element type 0x0a"),
        (WHOLE[:10], "cut short: the header alone has 16 bytes, not 10"),
        (WHOLE[:-1], r"cut short: the header announces shape \(2, 3, 4\), 40 bytes in all, but there are 39"),
        (WHOLE + b"\0", "too long: .* 40 bytes in all, but there are 41"),
        (b"\0\0\x08\x03" + b"\xff" * 12 + bytes(9), "cut short: the header announces shape"),
        (b"\0\0\x0e\xff" + b"\xff" * 1020, "255 dimensions"),
    ],
)
def test_damage_is_named(content, message):
    with pytest.raises(FileFormatError, match=f"^a.idx: {message}"):
        parse(content)


@settings(max_examples=300)
@given(st.one_of(st.binary(max_size=64), st.binary(max_size=60).map(lambda tail: b"\0\0" + tail)))
def test_any_bytes_give_an_array_or_the_documented_error(content):
    with contextlib.suppress(FileFormatError):
        assert parse(content).nbytes <= len(content)
