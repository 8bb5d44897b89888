import sys
from pathlib import Path

import pytest

from dlcore.data.cache import cache_folder, data_folders
from kernels.errors import DataUnavailableError


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch):
    for name in ("DLCORE_CACHE", "DLCORE_DATA", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", lambda: Path("/home/ada"))


@pytest.mark.parametrize(
    ("platform", "variables", "folder"),
    [
        ("linux", {}, "/home/ada/.cache/dlcore"),
        ("linux", {"XDG_CACHE_HOME": "/fast"}, "/fast/dlcore"),
        ("darwin", {}, "/home/ada/Library/Caches/dlcore"),
        ("win32", {}, "/home/ada/AppData/Local/dlcore"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/dlcore"),
        ("linux", {"XDG_CACHE_HOME": "/fast", "DLCORE_CACHE": "/mine"}, "/mine"),
        ("win32", {"DLCORE_CACHE": "/mine"}, "/mine"),
    ],
)
def test_cache_folder(monkeypatch, platform, variables, folder):
    monkeypatch.setattr(sys, "platform", platform)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert cache_folder() == Path(folder)


def test_no_home_folder(monkeypatch):
    def home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", home)
    with pytest.raises(DataUnavailableError, match=r"Could not determine home directory.*set DLCORE_CACHE"):
        cache_folder()


def test_data_folders(monkeypatch):
    monkeypatch.setenv("DLCORE_CACHE", "/cache")
    assert data_folders("mnist") == [Path("/cache/data/mnist")]
    monkeypatch.setenv("DLCORE_DATA", "/data")
    assert data_folders("mnist") == [Path("/data/mnist"), Path("/data"), Path("/cache/data/mnist")]
