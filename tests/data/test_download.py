import gzip
import hashlib
import os
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from dlcore.data import download as downloads
from dlcore.data.download import download
from dlcore.data.remote import RemoteFile
from kernels.errors import DataUnavailableError, FileFormatError

CONTENT = np.random.default_rng(0).integers(0, 64, 300_000, np.uint8).tobytes()
COMPRESSED = gzip.compress(CONTENT, mtime=0)
KILOBYTES = f"{len(COMPRESSED) / 1000:.1f}"
FILE = RemoteFile("a.gz", len(CONTENT), hashlib.sha256(CONTENT).hexdigest())


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch):
    monkeypatch.setattr(downloads, "_PAUSES", (0.0, 0.0, 0.001))


@pytest.fixture(autouse=True)
def _serve(mirror):
    mirror.files["a.gz"] = COMPRESSED


def fetch(mirror, folder, *more):
    return download(FILE, [mirror.url, *more], folder)


def names(folder: Path):
    return sorted(path.name for path in folder.iterdir())


def test_fetches_a_file_into_a_new_folder(mirror, tmp_path):
    path = fetch(mirror, tmp_path / "new" / "folder")
    assert path == tmp_path / "new" / "folder" / "a.gz"
    assert path.read_bytes() == COMPRESSED
    assert names(path.parent) == ["a.gz"]
    assert mirror.requests == [("/files/a.gz", None)]


def test_a_mirror_may_compress_differently_or_not_at_all(mirror, tmp_path):
    mirror.files["a.gz"] = gzip.compress(CONTENT, 1)
    fetch(mirror, tmp_path / "1")
    mirror.files["a.gz"] = CONTENT
    assert fetch(mirror, tmp_path / "2").read_bytes() == CONTENT


def test_plain_lines_without_a_terminal(mirror, tmp_path, capsys):
    mirror.answers = [503]
    fetch(mirror, tmp_path)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.splitlines() == [
        f"downloading {mirror.url}a.gz",
        "a.gz: HTTP 503 Service Unavailable",
        f"downloading {mirror.url}a.gz",
    ]


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "100")


@pytest.mark.usefixtures("terminal")
def test_a_progress_bar_on_a_terminal(mirror, tmp_path, capsys):
    fetch(mirror, tmp_path)
    shown = capsys.readouterr().err
    assert "━" in shown
    assert f"{KILOBYTES}/{KILOBYTES} kB" in shown


def test_a_broken_connection_is_continued(mirror, tmp_path):
    mirror.answers = [("break", 100_000), ("break", 50_000)]
    assert fetch(mirror, tmp_path).read_bytes() == COMPRESSED
    assert mirror.requests == [
        ("/files/a.gz", None),
        ("/files/a.gz", "bytes=100000-"),
        ("/files/a.gz", "bytes=150000-"),
    ]


def test_what_has_arrived_waits_for_the_next_call(mirror, tmp_path):
    mirror.answers = [("break", 1000), 503, 503]
    with pytest.raises(DataUnavailableError, match="HTTP 503"):
        fetch(mirror, tmp_path)
    assert names(tmp_path) == ["a.gz.part"]
    assert (tmp_path / "a.gz.part").read_bytes() == COMPRESSED[:1000]
    mirror.requests.clear()
    assert fetch(mirror, tmp_path).read_bytes() == COMPRESSED
    assert mirror.requests == [("/files/a.gz", "bytes=1000-")]
    assert names(tmp_path) == ["a.gz"]


@pytest.mark.usefixtures("terminal")
def test_a_server_without_ranges_starts_over(mirror, tmp_path, capsys):
    (tmp_path / "a.gz.part").write_bytes(COMPRESSED[:1000])
    mirror.answers = ["whole"]
    assert fetch(mirror, tmp_path).read_bytes() == COMPRESSED
    assert len(mirror.requests) == 1
    assert f"{KILOBYTES}/{KILOBYTES} kB" in capsys.readouterr().err


@pytest.mark.parametrize("leftover", [b"something else", COMPRESSED, COMPRESSED + b"more"])
def test_a_leftover_that_does_not_fit_is_thrown_away(mirror, tmp_path, leftover):
    (tmp_path / "a.gz.part").write_bytes(leftover)
    assert fetch(mirror, tmp_path).read_bytes() == COMPRESSED
    assert names(tmp_path) == ["a.gz"]


def test_the_leftover_of_a_killed_process_is_continued(mirror, tmp_path):
    dead = tmp_path / "a.gz.1-1.part"
    dead.write_bytes(COMPRESSED[:1000])
    long_ago = time.time() - 2 * downloads._ABANDONED
    os.utime(dead, (long_ago, long_ago))
    fetch(mirror, tmp_path)
    assert mirror.requests == [("/files/a.gz", "bytes=1000-")]
    assert names(tmp_path) == ["a.gz"]


def test_another_process_at_work_is_left_alone(mirror, tmp_path):
    (tmp_path / "a.gz.1-1.part").write_bytes(COMPRESSED[:1000])
    fetch(mirror, tmp_path)
    assert mirror.requests == [("/files/a.gz", None)]
    assert names(tmp_path) == ["a.gz", "a.gz.1-1.part"]


def test_many_at_once(mirror, tmp_path):
    threads = [threading.Thread(target=fetch, args=(mirror, tmp_path)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "a.gz").read_bytes() == COMPRESSED
    assert names(tmp_path) == ["a.gz"]


@pytest.mark.parametrize(
    ("served", "message"),
    [
        (
            gzip.compress(bytes(len(CONTENT)), mtime=0),
            "damaged, or not the a.gz that was expected .the content's SHA-256",
        ),
        (COMPRESSED[:-100], "cut short"),
        (COMPRESSED[:1000] + bytes(100) + COMPRESSED[1100:], "damaged|SHA-256|found more"),
        (gzip.compress(CONTENT + b"more"), f"expected {len(CONTENT)} bytes of content, found more"),
        (b"<html>Please log in</html>", "found only 26"),
        (b"", "found only 0"),
        (gzip.compress(bytes(100_000_000), 1), "bytes sent|found more"),
    ],
)
def test_a_wrong_file_is_refused_and_nothing_stays(mirror, tmp_path, served, message):
    mirror.files["a.gz"] = served
    with pytest.raises(DataUnavailableError, match=message) as caught:
        fetch(mirror, tmp_path)
    assert ".part" not in str(caught.value)
    assert names(tmp_path) == []
    assert len(mirror.requests) == 3


def test_a_file_without_an_end_is_not_read_for_ever(mirror, tmp_path):
    mirror.answers = ["endless"]
    assert fetch(mirror, tmp_path).read_bytes() == COMPRESSED
    assert len(mirror.requests) == 2


def test_the_next_mirror_takes_over(mirror, tmp_path):
    mirror.answers = [404]
    fetch(mirror, tmp_path, mirror.url.replace("files", "second"))
    assert mirror.requests == [("/files/a.gz", None), ("/second/a.gz", None)]


def test_a_mirror_that_does_not_have_the_file_is_asked_once(mirror, tmp_path):
    mirror.files.clear()
    with pytest.raises(DataUnavailableError, match=r"a.gz is not on this machine .*HTTP 404 Not Found"):
        fetch(mirror, tmp_path)
    assert len(mirror.requests) == 1
    mirror.answers = [429, 408]
    with pytest.raises(DataUnavailableError, match="HTTP 404"):
        fetch(mirror, tmp_path)
    assert len(mirror.requests) == 4


def test_no_server(tmp_path):
    with pytest.raises(DataUnavailableError, match=r"could not be downloaded \(http://127.0.0.1:1/: .*refused"):
        download(FILE, ["http://127.0.0.1:1/"], tmp_path)
    assert names(tmp_path) == []


@pytest.mark.parametrize("answer", ["silence", "nonsense"])
def test_a_server_that_is_silent_or_speaks_no_http(mirror, tmp_path, monkeypatch, answer):
    monkeypatch.setattr(downloads, "_TIMEOUT", 0.1)
    mirror.answers = [answer] * 2
    assert fetch(mirror, tmp_path).read_bytes() == COMPRESSED
    assert len(mirror.requests) == 3


def test_a_folder_that_cannot_be_made(mirror, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DataUnavailableError, match="file/folder cannot be made: Not a directory"):
        fetch(mirror, tmp_path / "file" / "folder")


def test_a_full_disk(mirror, tmp_path, monkeypatch):
    class Full:
        def __init__(self, path, mode):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *exception):
            pass

        def write(self, chunk):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(downloads, "open", Full, raising=False)
    with pytest.raises(DataUnavailableError, match="part cannot be written: No space left on device"):
        fetch(mirror, tmp_path)


def test_reading_names_the_file_and_the_fault(tmp_path):
    path = tmp_path / "a.gz"
    path.write_bytes(COMPRESSED[:5000])
    with pytest.raises(FileFormatError, match=f"^{path}: cut short"):
        FILE.read(path)
    with pytest.raises(DataUnavailableError, match="cannot be read: No such file"):
        FILE.read(tmp_path / "b.gz")
