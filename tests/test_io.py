"""Weights in files: round trips, and files that are missing, damaged, foreign, or cut off while being written."""

import os
import stat
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dlcore as dl
from dlcore import files, io, nn


def network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 3))


def values(module: nn.Module) -> dict[str, np.ndarray]:
    return {name: dl.backend.to_numpy(array).copy() for name, array in module.state_dict().items()}


def assert_same(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert found.keys() == expected.keys()
    for name, array in found.items():
        assert array.dtype == expected[name].dtype
        np.testing.assert_array_equal(array, expected[name])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "net.safetensors"


@pytest.mark.parametrize("as_text", [False, True], ids=["Path", "str"])
def test_round_trip(backend: dl.backend.Backend, path: Path, as_text: bool) -> None:
    saved, loaded = network(), network()
    saved(dl.randn(4, 1, 4, 4))  # moves the running statistics: buffers are saved as well
    dl.save(saved, str(path) if as_text else path)
    dl.load(loaded, str(path) if as_text else path)
    assert_same(values(loaded), values(saved))
    assert loaded.backend is backend
    assert_same(io.load_arrays(path), values(saved))


@pytest.mark.parametrize(
    "array",
    [
        np.float32(1.5) * np.ones(()),
        np.zeros((0, 3), np.float32),
        np.arange(6.0).reshape(2, 3).T,
        np.arange(24, dtype=np.float32).reshape(1, 2, 3, 4).transpose(0, 3, 1, 2)[:, ::2],
        np.array([1, 2], dtype=np.int64),
        np.array([True, False]),
        np.array([1.5], dtype=np.float16),
    ],
    ids=lambda array: f"{array.dtype}-{array.shape}",
)
def test_any_array(backend: dl.backend.Backend, path: Path, array: np.ndarray) -> None:
    dl.save({"some.array": backend.asarray(array), "tensor": dl.Tensor(backend.asarray(array))}, path)
    assert_same(io.load_arrays(path), {"some.array": array, "tensor": array})


def test_other_tools_read_it(backend: dl.backend.Backend, torch: Any, path: Path) -> None:
    from safetensors.torch import load_file

    net = network()
    dl.save(net, path)
    assert_same({name: tensor.numpy() for name, tensor in load_file(path).items()}, values(net))


def test_a_file_of_another_network_changes_nothing(backend: dl.backend.Backend, path: Path) -> None:
    dl.save(nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)), path)
    net = network()
    before = values(net)
    with pytest.raises(dl.StateDictError, match=r"missing 3.weight \(3, 8\); missing 3.bias \(3,\)$"):
        dl.load(net, path)
    assert_same(values(net), before)


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:7],
        lambda content: content[:40],
        lambda content: content[:-1],
        lambda content: b"\xff" * 8 + content[8:],
        lambda content: content.replace(b"F32", b"F99"),
        lambda content: content.replace(b'"shape":[2]', b'"shape":[3]'),
        lambda content: b"PK\x03\x04 a zip file, or anything else",
    ],
    ids=["empty", "cut in the length", "cut in the header", "cut at the end", "length", "dtype", "shape", "foreign"],
)
def test_damaged_files(backend: dl.backend.Backend, path: Path, damage: Any) -> None:
    net = network()
    dl.save(net, path)
    before, content = values(net), path.read_bytes()
    assert damage(content) != content
    path.write_bytes(damage(content))
    with pytest.raises(dl.FileFormatError, match=r"load: '.*net.safetensors' is damaged or not a safetensors file"):
        dl.load(net, path)
    assert_same(values(net), before)


def test_a_type_of_number_that_numpy_lacks(backend: dl.backend.Backend, path: Path) -> None:
    header = b'{"w":{"dtype":"BF16","shape":[1],"data_offsets":[0,2]}}'
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(2))
    with pytest.raises(dl.FileFormatError, match=r"load: '.*' holds BF16 numbers, which NumPy does not have"):
        io.load_arrays(path)


@pytest.mark.parametrize("name", ["missing.safetensors", "no/folder.safetensors", "."])
def test_missing_files(backend: dl.backend.Backend, tmp_path: Path, name: str) -> None:
    with pytest.raises(dl.MissingFileError, match="load: there is no file '") as caught:
        dl.load(network(), tmp_path / name)
    assert isinstance(caught.value, FileNotFoundError)


def test_a_missing_folder_is_named(backend: dl.backend.Backend, tmp_path: Path) -> None:
    with pytest.raises(dl.MissingFileError, match=r"cannot write '.*net.safetensors': there is no folder '.*nowhere'"):
        dl.save(network(), tmp_path / "nowhere" / "net.safetensors")


# ---- replacing a file in one piece -----------------------------------------------------------------------------------


def test_a_failure_while_writing_leaves_the_old_file(
    backend: dl.backend.Backend, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = network()
    dl.save(net, path)
    before = path.read_bytes()

    def disk_full(self: Path, content: bytes) -> int:
        with self.open("wb") as file:
            file.write(content[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", disk_full)
    with pytest.raises(OSError, match="No space left"):
        dl.save(network(), path)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_replacing_cleans_up_after_any_error(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")

    def write() -> None:
        with files.replacing(path) as temporary:
            assert (temporary.parent, temporary.suffix) == (path.parent, path.suffix)
            temporary.write_text("new")
            raise error

    with pytest.raises(error):
        write()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file.txt"]


def test_replacing_gives_the_permissions_of_a_new_file(tmp_path: Path) -> None:
    (tmp_path / "ordinary").write_text("")
    with files.replacing(tmp_path / "replaced") as temporary:
        temporary.write_text("")
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("ordinary", "replaced")]
    assert modes[0] == modes[1]


def test_a_folder_is_no_place_for_a_file(tmp_path: Path) -> None:
    with pytest.raises(dl.ArgumentError, match="it is a folder"):
        dl.save({"x": np.zeros(1)}, tmp_path)
    assert list(tmp_path.iterdir()) == []
