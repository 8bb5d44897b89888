"""What the system says against a file is not taken for damage in it."""

import errno
import importlib

import numpy as np
import pytest
from PIL import Image

import dlcore.data as data
from dlcore.data import download as downloads
from dlcore.data.images import read_image
from dlcore.data.reading import reading
from dlcore.data.remote import RemoteArchive, RemoteFile
from kernels.errors import DataUnavailableError, DeviceMemoryError, FileFormatError, MissingFileError

npz_module = importlib.import_module("dlcore.data.npz")  # the package's name `npz` is the function


def raising(error):
    def fail(*arguments, **options):
        raise error

    return fail


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (MemoryError(), DeviceMemoryError, "too little memory"),
        (PermissionError(errno.EACCES, "Permission denied"), MissingFileError, "cannot be read: Permission denied"),
        (OSError(errno.EIO, "Input/output error"), MissingFileError, "cannot be read: Input/output error"),
        (OSError(errno.EINVAL, "Invalid argument"), FileFormatError, "is odd: .*Invalid argument"),
        (OSError("broken data stream"), FileFormatError, "is odd: broken data stream"),
        (IndexError(), FileFormatError, "is odd: IndexError"),
        (FileFormatError("said already"), FileFormatError, "^said already"),
    ],
)
def test_each_fault_by_its_name(tmp_path, error, kind, message):
    (tmp_path / "a").touch()
    with pytest.raises(kind, match=message), reading(tmp_path / "a", "is odd"):
        raise error


@pytest.mark.parametrize("read", [data.npz, read_image, data.image_folder])
def test_a_name_that_no_file_can_have(read):
    with pytest.raises(MissingFileError, match=r"there is no|cannot be read: File name too long"):
        read("a" * 5000)


def test_too_little_memory_is_no_damage(tmp_path, monkeypatch):
    np.savez(tmp_path / "a.npz", x=np.zeros((3, 2)), y=np.zeros(3))
    (tmp_path / "root/a").mkdir(parents=True)
    Image.new("L", (3, 2)).save(tmp_path / "root/a/a.png")
    monkeypatch.setattr(npz_module, "_arrays", raising(MemoryError()))
    with pytest.raises(DeviceMemoryError, match=r"a\.npz': too little memory"):
        data.npz(tmp_path / "a.npz")
    monkeypatch.setattr("dlcore.data.images._to_8_bits", raising(MemoryError()))
    with pytest.raises(DeviceMemoryError, match=r"a\.png': too little memory"):
        data.image_folder(tmp_path / "root")


def test_a_header_of_endless_nesting_is_damage(monkeypatch, tmp_path):
    """Python's parser calls it a MemoryError."""
    np.savez(tmp_path / "a.npz", x=np.zeros((3, 2)), y=np.zeros(3))
    monkeypatch.setattr(np.lib.format, "read_array_header_1_0", raising(MemoryError()))
    with pytest.raises(FileFormatError, match="x has a header that cannot be understood"):
        data.npz(tmp_path / "a.npz")


@pytest.mark.parametrize("is_archive", [False, True])
@pytest.mark.parametrize("error", [MemoryError(), PermissionError(errno.EACCES, "Permission denied")])
def test_a_download_that_cannot_be_checked_is_kept(mirror, tmp_path, monkeypatch, error, is_archive):
    member = RemoteFile("a", 4, "0" * 64)
    file = RemoteArchive("a", (member,)) if is_archive else member
    mirror.files["a"] = b"1234"
    monkeypatch.setattr(downloads, "_PAUSES", (0.0,))
    monkeypatch.setattr("dlcore.data.remote._decompressed", raising(error))
    with pytest.raises(DeviceMemoryError if isinstance(error, MemoryError) else DataUnavailableError):
        downloads.download(file, [mirror.url], tmp_path)
    assert (tmp_path / "a.part").read_bytes() == b"1234"
