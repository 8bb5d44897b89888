"""Arrays out of `.npz` files, and files that lie about what is in them."""

import importlib
import io
import pickle
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest

import dlcore.data as data
from kernels.errors import DataError, FileFormatError, MissingFileError

npz_module = importlib.import_module("dlcore.data.npz")  # the package's name `npz` is the function
RNG = np.random.default_rng(0)
X = RNG.integers(0, 256, (6, 1, 4, 5), np.uint8)
Y = np.array([0, 1, 2, 0, 1, 2])


def saved(path, save=np.savez, **arrays):
    save(path, **{"x": X, "y": Y, **arrays})
    return path


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_x_and_y(tmp_path, save):
    train, test = data.npz(saved(tmp_path / "a.npz", save))
    assert test is None
    assert isinstance(train, data.ArrayDataset)
    assert (train.input_shape, train.classes) == ((1, 4, 5), ["0", "1", "2"])
    np.testing.assert_array_equal(train._inputs, X)
    np.testing.assert_array_equal(train.x, X / np.float32(255))
    np.testing.assert_array_equal(train.y, Y)


def test_test_data_and_classes(tmp_path):
    path = saved(tmp_path / "a.npz", x_test=X[:2], y_test=np.array([2, 3]))
    train, test = data.npz(str(path))
    assert train.classes == test.classes == ["0", "1", "2", "3"]
    assert test.y.tolist() == [2, 3]
    for names in (["ape", "bée", "cat"], np.array([b"ape", "bée".encode(), b"cat"])):
        train, test = data.npz(saved(path, x_test=X[:1], y_test=Y[:1], classes=names))
        assert train.classes == test.classes == ["ape", "bée", "cat"]


@pytest.mark.parametrize("dtype", ["<f8", ">f8", "<f2", ">i2", "i8", "?", "u2"])
def test_other_inputs_become_float32(tmp_path, dtype):
    x = RNG.integers(0, 2, (6, 3)).astype(dtype)
    train, _ = data.npz(saved(tmp_path / "a.npz", x=x, y=RNG.random((6, 2)).astype(">f8")))
    assert train.x.dtype == train.y.dtype == np.float32
    np.testing.assert_array_equal(train.x, x.astype(np.float32))


def test_fortrans_order_and_version_2(tmp_path):
    x = np.asfortranarray(RNG.random((6, 2, 3, 4), dtype=np.float32))
    content = io.BytesIO()
    np.lib.format.write_array(content, x, version=(2, 0))
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("x.npy", content.getvalue())
        labels = io.BytesIO()
        np.save(labels, Y)
        archive.writestr("y.npy", labels.getvalue())
    np.testing.assert_array_equal(data.npz(tmp_path / "a.npz")[0].x, x)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"y": Y[:5]}, "x has 6 items but y has 5"),
        ({"y": Y - 1}, r"y\[0\] is -1"),
        ({"classes": ["a", "b"]}, r"y\[2\] is 2, but there are 2 classes"),
        ({"classes": [["a", "b"]]}, "classes must be names in one row"),
        ({"classes": np.array([b"\xff", b"b", b"c"])}, "classes are no text"),
        ({"x": np.array([1.0, 2, np.nan, 4, 5, 6])[:, None]}, r"x\[2, 0\] is nan"),
        ({"x": np.full((6, 1), 1e300)}, r"x\[0, 0\] is 1e\+300, which is no finite float32"),
        ({"x_test": X[:, :, :2], "y_test": Y}, r"have shape \(1, 4, 5\), but those in x_test \(1, 2, 5\)"),
        ({"x_test": X, "y_test": np.full(6, 2**62)}, "y_test|labels|label|is 4611686018427387904"),
    ],
)
def test_arrays_that_make_no_dataset(tmp_path, arrays, message):
    with pytest.raises(DataError, match=message) as caught:
        data.npz(saved(tmp_path / "a.npz", **arrays))
    assert "a.npz" in str(caught.value)


class Trap:
    """Unpickled, it leaves a file behind."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("name", ["x", "y", "classes"])
def test_pickles_are_not_unpickled(tmp_path, name):
    trap = np.array([Trap(tmp_path / "sprung")] * 6, dtype=object)
    path = saved(tmp_path / "a.npz", **{name: trap})
    with pytest.raises(FileFormatError, match=f"{name} holds Python objects, which would have to be unpickled"):
        data.npz(path)
    path.write_bytes(pickle.dumps(trap))
    with pytest.raises(FileFormatError, match=r"damaged, or no \.npz file"):
        data.npz(path)
    assert not (tmp_path / "sprung").exists()


def member(header, content=b"", version=1):
    """A `.npy` file with this text as its header."""
    text = header.encode() + b"\n"
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H" if version == 1 else "<I", len(text)) + text + content


def described(shape, descr="'|u1'"):
    return f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}"


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (member(described((10**15,)), bytes(100)), "x has shape .10{15},. and dtype uint8"),
        (member(described((10**15, 10**15, 10**15))), "bytes with its header, but"),
        (member(described((6, 1), "'<f8'"), bytes(47)), "bytes with its header, but"),
        (member(described((6, 1), "'<f8'"), bytes(49)), "bytes with its header, but"),
        (member(described((-6, -1)), bytes(6)), r"x has the shape \(-6, -1\)"),
        (member(described((0, 10**18))), "x is empty"),
        (member(described((6,), "'|O'"), bytes(48)), "Python objects"),
        (member(described((6,), "[('a', '<f8')]"), bytes(48)), "must hold real numbers, but its dtype is"),
        (member(described((6,), "'<U100000000'")), "must hold real numbers"),
        (member(described((6,), "'<M8[s]'"), bytes(48)), "must hold real numbers"),
        (member(described("(6,) if __import__('os') else ()")), "damaged, or no .npz file"),
        (member(described("'6'")), "damaged, or no .npz file"),
        (member("{" * 900), "damaged, or no .npz file"),
        (member("(" * 900), "damaged, or no .npz file"),
        (member(described((6,)) + " " * 2000, bytes(6)), "damaged, or no .npz file"),
        (b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + bytes(50), "damaged, or no .npz file"),
        (member(described((6,)), bytes(6), version=3), r"version \(3, 0\) of the .npy format, expected 1.0 or 2.0"),
        (b"\x93NUMPY", "damaged, or no .npz file"),
        (b"", "damaged, or no .npz file"),
        (b"text", "damaged, or no .npz file"),
    ],
    ids=range(20),
)
def test_headers_that_lie(tmp_path, x, message):
    """Refused at once, and without the memory that they claim."""
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", x)
        archive.writestr("y.npy", member(described((6,)), bytes(6)))
    tracemalloc.start()
    try:
        with pytest.raises(FileFormatError, match=message) as caught:
            data.npz(path)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()
    assert "a.npz" in str(caught.value)


def test_a_zip_bomb(tmp_path, monkeypatch):
    """A thousandfold is refused, unless it is small."""
    monkeypatch.setattr(npz_module, "_LARGE", 1 << 20)
    zeros = np.zeros((6, 1, 1000, 1000), np.uint8)
    path = saved(tmp_path / "a.npz", np.savez_compressed, x=zeros)
    with pytest.raises(FileFormatError, match=r"x would unpack from [\d,]+ to 6,000,\d+ bytes; more than 100 times"):
        data.npz(path)
    assert len(data.npz(saved(path, np.savez, x=zeros))[0]) == 6
    assert len(data.npz(saved(path, np.savez_compressed, x=zeros[..., :100]))[0]) == 6


def test_a_member_that_claims_more_than_the_file_holds(tmp_path):
    """The size in the directory says 10**9 bytes, stored as they are."""
    path = saved(tmp_path / "a.npz")
    with zipfile.ZipFile(path) as archive:
        size = archive.getinfo("x.npy").file_size
    content = path.read_bytes()
    directory = content.index(b"PK\x01\x02")
    claimed = content[directory:].replace(struct.pack("<II", size, size), struct.pack("<II", 10**9, 10**9), 1)
    path.write_bytes(content[:directory] + claimed)
    with pytest.raises(FileFormatError, match="x has 1,000,000,000 bytes, but the file only"):
        data.npz(path)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_compressions(tmp_path, method):
    with zipfile.ZipFile(tmp_path / "a.npz", "w", method) as archive:
        archive.writestr("x.npy", member(described((6,)), bytes(6)))
        archive.writestr("y.npy", member(described((6,)), bytes(6)))
    with pytest.raises(FileFormatError, match="x is compressed in another way than NumPy does"):
        data.npz(tmp_path / "a.npz")


def test_paths_in_the_archive_lead_nowhere(tmp_path):
    path = saved(tmp_path / "a.npz")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("../../evil.npy", b"evil")
    before = sorted(tmp_path.rglob("*"))
    assert len(data.npz(path)[0]) == 6
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_damaged_files_end_in_one_kind_of_error(tmp_path, save):
    path = saved(tmp_path / "a.npz", save, classes=["a", "b", "c"])
    whole = path.read_bytes()
    damaged = [whole[: round(length)] for length in np.linspace(0, len(whole) - 1, 40)]
    for _ in range(150):
        content = bytearray(whole)
        for place in RNG.integers(0, len(whole), 2):
            content[place] ^= 1 << RNG.integers(8)
        damaged.append(bytes(content))
    messages = []
    for content in damaged:
        path.write_bytes(content)
        try:
            train, _ = data.npz(path)
            np.testing.assert_array_equal(train._inputs, X)  # what is read is what was written: there are checksums
        except (FileFormatError, DataError) as error:
            messages.append(str(error))
    assert len(messages) > 40
    assert all("a.npz" in message for message in messages)


def test_what_is_missing(tmp_path):
    with pytest.raises(MissingFileError, match=r"there is no file '.*nowhere.npz'"):
        data.npz(tmp_path / "nowhere.npz")
    np.savez(tmp_path / "a.npz", images=X, labels=Y)
    with pytest.raises(FileFormatError, match="expected the arrays x and y, found 'images', 'labels'"):
        data.npz(tmp_path / "a.npz")
    with pytest.raises(FileFormatError, match="of x_test and y_test there is only one"):
        data.npz(saved(tmp_path / "a.npz", x_test=X))
