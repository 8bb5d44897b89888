"""What reads files: for each kind, how a good one is made, and who opens it."""

import contextlib
import hashlib
import io
import json
import struct
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import dlcore as dl
from dlcore import backend, cli, data, models, nn, optim, train
from dlcore.commands.images import read_grey
from dlcore.data.idx import parse_idx
from dlcore.data.remote import RemoteArchive, RemoteFile


class CommandError(dl.DLCoreError):
    """The command line said one line and ended with 2."""


@dataclass(frozen=True)
class Reader:
    """A kind of file or folder.

    Attributes:
        name: of the kind.
        make: writes a good one to a path.
        read: opens the one at a path.
        hostile: for each file, by its end, the kind of hostile content made for it.
        suffix: of the path.
        only_content: whether nothing but a file is put in its place: whoever opens it was told that it is one.
        writes: whether the reader may add to it, once all is well.
        signed: after damage, makes checksums right again, so that what lies behind them is reached.
    """

    name: str
    make: Callable[[Path], None]
    read: Callable[[Path], Any]
    hostile: dict[str, str]
    suffix: str = ""
    only_content: bool = False
    writes: bool = False
    signed: Callable[[Path], None] | None = None


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2))


@contextlib.contextmanager
def unchanged(*networks: nn.Module) -> Iterator[None]:
    """If reading fails, what is in the networks must be what was in them."""
    before = [{name: array.copy() for name, array in each.state_dict().items()} for each in networks]
    try:
        yield
    except Exception:
        for each, arrays in zip(networks, before, strict=True):
            for name, array in each.state_dict().items():
                if backend.to_numpy(array).tobytes() != backend.to_numpy(arrays[name]).tobytes():
                    raise AssertionError(f"{name} was changed by a file that could not be read") from None
        raise


def _load_weights(path: Path) -> None:
    target = network()
    with unchanged(target):
        dl.load(target, path)


def _dataset() -> data.ArrayDataset:
    return data.ArrayDataset(np.linspace(-1, 1, 36).reshape(12, 3).astype(np.float32), np.arange(12) % 2)


def _trainer(folder: Path, made: nn.Module) -> train.Trainer:
    optimizer = optim.Adam(made.parameters(), 0.01)
    checkpoints = train.Checkpoints(folder, report=lambda message: None)
    return train.Trainer(made, optimizer, callbacks=[checkpoints], progress=False)


def _make_checkpoints(path: Path) -> None:
    backend.seed(1)
    _trainer(path, network()).fit(data.DataLoader(_dataset(), 4, shuffle=True, prefetch=0), epochs=1)


def _resume(path: Path) -> None:
    made = network()
    trainer = _trainer(path, made)
    with unchanged(made):
        # Nothing is left to train: the checkpoint is read and taken over, and the folder stays as it is.
        trainer.fit(data.DataLoader(_dataset(), 4, shuffle=True, prefetch=0), epochs=1, resume=True)


def _sign(path: Path) -> None:
    """Let manifests say of the other files what they are now."""
    for manifest in (file for file in path.rglob("manifest.json") if file.is_file()):
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError, RecursionError):
            said = json.loads(manifest.read_text())
            for name in said["files"]:
                file = manifest.parent / name
                if file.is_file():
                    content = file.read_bytes()
                    said["files"][name] = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            manifest.write_text(json.dumps(said))


_CONFIG = {
    "dlcore": dl.__version__,
    "model": "perceptron",
    "data": "digits",
    "input_shape": [1, 8, 8],
    "classes": [str(digit) for digit in range(10)],
    "epochs": 1,
    "batch_size": 32,
    "optimizer": "adam",
    "learning_rate": 1e-3,
    "weight_decay": 0.0,
    "seed": 0,
    "backend": "numpy",
    "threads": 1,
}


def _make_run(path: Path) -> None:
    path.mkdir()
    (path / "config.json").write_text(json.dumps(_CONFIG))
    backend.seed(1)
    dl.save(models.create("perceptron", (1, 8, 8), 10), path / "model.safetensors")


def _command(*arguments: str) -> None:
    """Run the command line; a failure is one line on standard error and exit code 2."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        code = cli.main(arguments)
    if code == 2 and said.getvalue().startswith("dlcore: ") and said.getvalue().count("\n") == 1:
        raise CommandError(said.getvalue().strip())
    if code != 0:
        raise AssertionError(f"exit code {code}, and said {said.getvalue()!r}")


def _make_image(path: Path) -> None:
    pixels = (np.add.outer(np.arange(12), np.arange(10)) * 11).astype(np.uint8)
    Image.fromarray(pixels).save(path)


def _make_folders(path: Path) -> None:
    for name in ("cats", "dogs"):
        (path / name).mkdir(parents=True)
        for number in range(2):
            _make_image(path / name / f"{number}.png")


def _make_npz(path: Path) -> None:
    x = np.linspace(0, 1, 6 * 4).reshape(6, 1, 2, 2).astype(np.float32)
    np.savez_compressed(path, x=x, y=np.arange(6) % 2, x_test=x[:2], y_test=np.arange(2), classes=["a", "b"])


_IDX = b"\0\0\x08\x03" + struct.pack(">III", 3, 4, 4) + bytes(range(48))


def _read_remote(path: Path) -> Any:
    content = RemoteFile("file", len(_IDX), hashlib.sha256(_IDX).hexdigest()).read(path)
    return parse_idx(content, path)


_MEMBERS = {"first.bin": bytes(range(200)), "second.bin": bytes(100)}


def _make_archive(path: Path) -> None:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in _MEMBERS.items():
            member = tarfile.TarInfo(f"folder/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def _read_archive(path: Path) -> Any:
    files = tuple(RemoteFile(n, len(c), hashlib.sha256(c).hexdigest()) for n, c in _MEMBERS.items())
    return RemoteArchive("archive.tar.gz", files).read(path)


READERS = [
    Reader("weights", lambda path: dl.save(network(), path), _load_weights, {"": "safetensors"}, ".safetensors"),
    Reader("npz", _make_npz, data.npz, {"": "npz"}, ".npz"),
    Reader("image", _make_image, read_grey, {"": "image"}, ".png"),
    Reader("image", _make_image, read_grey, {"": "image"}, ".jpg"),
    Reader("image folder", _make_folders, data.image_folder, {".png": "image"}),
    Reader(
        "IDX",
        lambda path: _write(path, _IDX),
        lambda path: parse_idx(path.read_bytes(), path),
        {"": "idx"},
        only_content=True,
    ),
    Reader("IDX, published", lambda path: _write(path, _IDX), _read_remote, {"": "idx"}, only_content=True),
    Reader("tar archive", _make_archive, _read_archive, {"": "idx"}, ".tar.gz", only_content=True),
    Reader(
        "checkpoints",
        _make_checkpoints,
        _resume,
        {".safetensors": "safetensors", ".json": "json"},
        writes=True,
        signed=_sign,
    ),
    Reader(
        "run folder",
        _make_run,
        lambda path: _command("evaluate", str(path)),
        {".safetensors": "safetensors", ".json": "json"},
    ),
    Reader(
        "run folder, and an image",
        lambda path: (_make_run(path), _make_image(path / "digit.png"))[0],
        lambda path: _command("predict", str(path), str(path / "digit.png")),
        {".safetensors": "safetensors", ".json": "json", ".png": "image"},
    ),
]


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)
