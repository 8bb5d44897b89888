"""Files made to do harm: headers that promise too much, names that lead elsewhere, payloads, bombs, deep nesting."""

import functools
import gzip
import io
import json
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.robustness.damage import Payload

DEEP = 100_000
NAMES = ["../escaped", "/tmp/escaped", "a\0b", "", "x" * 100_000, "..\\escaped", "\ud800", "0.weight"]


def safetensors(header: Any, data: bytes = b"", length: int | None = None) -> bytes:
    """A file of that header; `length` is what it says the header's length is."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def entry(dtype: Any = "F32", shape: Any = (2,), offsets: Any = (0, 8)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


def _safetensors() -> list[bytes]:
    good, data = {"a": entry()}, bytes(8)
    return [
        *(safetensors(good, data, length) for length in (0, 1, 2**31, 2**63, 2**64 - 1, 10**9)),
        safetensors(b"[" * DEEP, data),
        safetensors(b'{"a":' * DEEP, data),
        safetensors(b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},' * 2 + b"}", data),
        safetensors(b'{"a":1,"a":2}', data),
        safetensors({"a": entry(), "b": entry()}, data),
        safetensors({"a": entry(offsets=(0, 8)), "b": entry(offsets=(4, 12))}, bytes(12)),
        *(
            safetensors({"a": entry(offsets=offsets)}, data)
            for offsets in ((0, 10**15), (8, 0), (-8, 0), (0, 2**64), (10**9, 10**9 + 8), (0,), "all", None)
        ),
        *(
            safetensors({"a": entry(shape=shape)}, data)
            for shape in ((10**15,), (2**40, 2**40), (-2,), (0, 2**63), (1.5,), "2", None, [[2]], (2,) * 5000)
        ),
        *(safetensors({"a": entry(dtype)}, data) for dtype in ("Q9", "BF16", "F8_E4M3", "O", "", None, 5, "F64")),
        *(safetensors({name: entry()}, data) for name in NAMES),
        safetensors({"__metadata__": {"a": "b" * 10**6}, "a": entry()}, data),
        safetensors({"__metadata__": {"a": [1]}}, data),
        safetensors({str(n): entry(shape=(0,), offsets=(0, 0)) for n in range(20_000)}),
        safetensors([], data),
        safetensors(b"null", data),
        safetensors(b"\xff" * 50, data),
    ]


def _npy(header: str, data: bytes = b"", version: tuple[int, int] = (1, 0), length: int | None = None) -> bytes:
    text = header.encode("latin1")
    size = len(text) if length is None else length
    return b"\x93NUMPY" + bytes(version) + struct.pack("<H" if version == (1, 0) else "<I", size) + text + data


def _header(descr: Any = "<f4", shape: Any = (2,), order: Any = False) -> str:
    return repr({"descr": descr, "fortran_order": order, "shape": shape}) + "\n"


def _zip(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content, method)
    return file.getvalue()


def _npz(marker: Path) -> list[bytes]:
    y = _npy(_header("<i8"), bytes(16))
    good = _npy(_header(), bytes(8))
    objects = io.BytesIO()
    np.savez(objects, x=np.array([Payload(marker), 1], dtype=object), y=np.arange(2), allow_pickle=True)
    members = [
        *(
            _npy(_header(shape=shape), bytes(8))
            for shape in ((10**15,), (-1,), (2**62, 4), (1.5,), "ab", (2,) * 70, [])
        ),
        *(_npy(_header(descr), bytes(8)) for descr in ("O", "|O8", "V8", "<c8", "S0", "M8[s]", [("a", "<f4")], "<f99")),
        *(_npy(text, bytes(8)) for text in (f"__import__('os').mkdir({str(marker)!r})\n", "{" * 5000, "", "9" * 9000)),
        _npy(_header(), bytes(8), version=(9, 9)),
        _npy(_header(), bytes(8), length=65535),
        _npy(_header(), bytes(8), version=(2, 0), length=2**31),
        _npy("(" * 3000 + ")" * 3000, bytes(8)),
        bytes(1 << 25),
        b"",
    ]
    return [
        objects.getvalue(),
        *(_zip({"x.npy": member, "y.npy": y}) for member in members),
        _zip({"x.npy": good, "y.npy": y, "../escaped.npy": good, "/tmp/escaped.npy": good}),
        _zip({"x.npy": good, "x": good, "y.npy": y}),
        _zip({"x.npy": good, "y.npy": y, "classes.npy": _npy(_header("<U1"), b"\xff" * 8)}),
        _zip({"x.npy": good, "y.npy": y}, zipfile.ZIP_BZIP2),
        _zip({str(n): b"" for n in range(5000)}),
        # The sizes that the archive says are not those of what is in it.
        _zip({"x.npy": good, "y.npy": y}).replace(struct.pack("<I", len(good)), struct.pack("<I", 2**31 - 1)),
    ]


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, data: bytes, depth: int = 8, colour: int = 0, extra: bytes = b"") -> bytes:
    head = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + extra + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def _images() -> list[bytes]:
    few, many = zlib.compress(bytes(9 * 8)), zlib.compress(bytes(1 << 24))
    return [
        png(60_000, 60_000, few),
        png(2**31 - 1, 2**31 - 1, few),
        png(0, 0, few),
        png(1, 2**31 - 1, few),
        png(9_000, 9_000, few),
        png(8, 8, many),
        png(8, 8, few, depth=99),
        png(8, 8, few, colour=7),
        png(8, 8, few, extra=_chunk(b"zTXt", b"a\0\0" + many)),
        png(8, 8, few, extra=_chunk(b"iCCP", b"a\0\0" + many)),
        png(8, 8, few, extra=_chunk(b"PLTE", b"a" * 7)),
        b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 2**31) + b"IHDR",
        b"\xff\xd8\xff\xe0" + b"\xff\xff" * 2000,
        b"GIF89a" + bytes(100),
        b"P6 99999 99999 255\n",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 1 1\n",
        b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>",
    ]


def _idx() -> list[bytes]:
    lengths = struct.pack(">III", 2**32 - 1, 2**32 - 1, 2**32 - 1)
    return [
        b"\0\0\x08\x03" + lengths,
        b"\0\0\x0e\x03" + lengths + bytes(100),
        b"\0\0\x08\xff" + lengths * 90,
        b"\0\0\x08\x00",
        b"\0\0\x99\x01" + bytes(8),
        b"\0\0\x08\x41" + bytes(4 * 65),
        gzip.compress(bytes(1 << 25)),
        gzip.compress(b"\0\0\x08\x01" + struct.pack(">I", 2**32 - 1)),
    ]


JSON = [
    "[" * DEEP,
    '{"a":' * DEEP,
    "1" * 100_000,
    '{"model": 1e999}',
    "\0",
    "\ufeff{}",
    "NaN",
    "null",
    "[]",
    '"text"',
    "{}",
]

#: Values for one of the entries of a JSON file.
VALUES: list[Any] = [
    None,
    -1,
    0,
    10**30,
    1e308,
    float("nan"),
    True,
    "",
    "../../escaped",
    "a\0b",
    "resnet-34",
    [],
    {},
    [[]],
    {"$array": []},
    {"$array": "no such array"},
    {"$array": {}},
    [1, 65536, 65536],
    [65536, 65536, 65536],
    ["a"] * 1000,
    [1e9, "a", None],
]


@functools.cache
def content(kind: str, marker: Path) -> list[bytes]:
    """Hostile files of one kind."""
    makers: dict[str, Callable[[], list[bytes]]] = {
        "safetensors": _safetensors,
        "npz": lambda: _npz(marker),
        "image": _images,
        "idx": _idx,
        "json": lambda: [text.encode("utf-8", "surrogatepass") for text in JSON],
    }
    return makers[kind]()
