"""Archives that are read by the content of what is wanted of them, and hostile ones."""

import gzip
import hashlib
import io
import tarfile

import numpy as np
import pytest

from dlcore.data import remote
from dlcore.data.remote import RemoteArchive, RemoteFile
from kernels.errors import DataUnavailableError, FileFormatError

CONTENTS = {f"{name}.bin": np.random.default_rng(ord(name)).bytes(5000) for name in "ab"}
ARCHIVE = RemoteArchive(
    "all.tar.gz",
    tuple(RemoteFile(name, len(content), hashlib.sha256(content).hexdigest()) for name, content in CONTENTS.items()),
)


def tar(members):
    """An archive of files: (name, content), or a TarInfo as it is."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                archive.addfile(member)
            else:
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                archive.addfile(info, io.BytesIO(member[1]))
    return out.getvalue()


def write(tmp_path, content):
    (tmp_path / "all.tar.gz").write_bytes(content)
    return tmp_path / "all.tar.gz"


def test_files_in_the_order_that_was_asked_for(tmp_path):
    members = [("folder/readme", b"text"), *((f"folder/{name}", CONTENTS[name]) for name in ("b.bin", "a.bin"))]
    for content in (tar(members), gzip.compress(tar(members))):
        assert ARCHIVE.read(write(tmp_path, content)) == list(CONTENTS.values())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["all.tar.gz"]
    assert ARCHIVE.size == 10_000


def link(name, kind=tarfile.SYMTYPE):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, "/etc/passwd"
    return info


def claiming(name, size):
    """A header that says so, with nothing behind it."""
    info = tarfile.TarInfo(name)
    info.size = size
    return info.tobuf(tarfile.GNU_FORMAT)


def both():
    return list(CONTENTS.items())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (tar(both()[:1]), "it holds no b.bin"),
        (tar([("a.bin", CONTENTS["a.bin"][:-1])]), "a.bin has 4999 bytes in it, not 5000"),
        (tar([("a.bin", CONTENTS["b.bin"])]), "a.bin: damaged, or not the a.bin that was expected"),
        (tar([link("a.bin"), link("b.bin", tarfile.LNKTYPE)]), "it holds no a.bin"),
        (tar([("../../a.bin", CONTENTS["a.bin"]), ("/b.bin", b"")]), "b.bin has 0 bytes in it"),
        (claiming("a.bin", 10**15), "'a.bin' claims 1000000000000000 bytes in it"),
        (claiming("other", 10**15) + bytes(10_000), "'other' claims 1000000000000000 bytes"),
        (tar([*[("zeros", bytes(800_000))] * 2, *both()]), "more in it than in the archive that was expected"),
        (tar(both())[:7000], "damaged|cut short"),
        (gzip.compress(tar(both()))[:5000], "damaged"),
        (b"", "damaged, or not a tar archive"),
        (b"text" * 1000, "damaged, or not a tar archive"),
        (b"\x1f\x8bno gzip", "damaged, or not a tar archive"),
    ],
    ids=range(13),
)
def test_archives_that_are_not_what_was_expected(tmp_path, content, message):
    path = write(tmp_path, content)
    with pytest.raises(FileFormatError, match=message) as caught:
        ARCHIVE.read(path)
    assert str(caught.value).startswith(str(path))
    assert sorted(tmp_path.rglob("*")) == [path]


def test_a_bomb_is_not_unpacked(tmp_path):
    """Zeros before what is wanted: given up after as much as is expected."""
    header = claiming("other", ARCHIVE.size + remote._REST_OF_ARCHIVE)
    path = write(tmp_path, gzip.compress(header + bytes(1 << 24), 1))
    read = []

    class Counting(remote._Limited):
        def read(self, size=-1):
            chunk = super().read(size)
            read.append(len(chunk))
            return chunk

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(remote, "_Limited", Counting)
        with pytest.raises(FileFormatError, match="more in it than"):
            ARCHIVE.read(path)
    assert sum(read) <= ARCHIVE.size + remote._REST_OF_ARCHIVE < 1 << 24


def test_a_missing_archive(tmp_path):
    with pytest.raises(DataUnavailableError, match="cannot be read: No such file"):
        ARCHIVE.read(tmp_path / "all.tar.gz")


def test_md5_where_nothing_better_was_published(tmp_path):
    file = RemoteFile("a.bin", 5000, hashlib.md5(CONTENTS["a.bin"]).hexdigest(), "md5")
    (tmp_path / "a.bin").write_bytes(CONTENTS["a.bin"])
    assert file.read(tmp_path / "a.bin") == CONTENTS["a.bin"]
    (tmp_path / "a.bin").write_bytes(CONTENTS["b.bin"])
    with pytest.raises(FileFormatError, match="the content's MD5 is"):
        file.read(tmp_path / "a.bin")


def test_headers_with_turned_bits(tmp_path):
    """Read, or refused in one kind of error; never a hang."""
    whole = tar([("readme", b"text"), *both()])
    rng = np.random.default_rng(0)
    messages = []
    for _ in range(200):
        content = bytearray(whole)
        for place in rng.integers(0, 2, 3) * 1024 + rng.integers(0, 512, 3):
            content[place] ^= 1 << rng.integers(8)
        try:
            assert ARCHIVE.read(write(tmp_path, bytes(content))) == list(CONTENTS.values())
        except FileFormatError as error:
            messages.append(str(error))
    assert len(messages) > 100
