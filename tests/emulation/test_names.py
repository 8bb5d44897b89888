"""The stand-in has no name that CuPy has not; and it takes CuPy's place only when told to."""

import functools
import inspect
import subprocess
import sys
from typing import Any

import pytest

from tests import emulation

#: Modules of the stand-in that real CuPy has too, and what of the stand-in's arrays is its own.
MODULES = ["cupy", "cupy.cuda", "cupy.cuda.memory", "cupy.cuda.runtime", "cupy._core"]
OWN = {"array_type", "over", "viewed_as"}


@pytest.fixture
def cupy() -> Any:
    return pytest.importorskip(
        "cupy", minversion="14.2", reason="CuPy 14.2 is not installed (pip install cupy-cuda12x)"
    )


def public(thing: Any) -> set[str]:
    return {name for name in vars(thing) if not name.startswith("_")} - OWN


@pytest.mark.parametrize("name", MODULES)
def test_names_of_modules(cupy: Any, name: str) -> None:
    real = functools.reduce(getattr, name.split(".")[1:], cupy)
    assert {each for each in public(emulation.modules()[name]) if not hasattr(real, each)} == set()


@pytest.mark.parametrize("path", ["ndarray", "ufunc", "RawModule", "cuda.Device", "cuda.Event", "cuda.MemoryPointer"])
def test_names_of_classes(cupy: Any, path: str) -> None:
    ours, theirs = emulation.stand_in(), cupy
    for part in path.split("."):
        ours, theirs = getattr(ours, part), getattr(theirs, part)
    found = {name for kind in inspect.getmro(ours)[:-1] for name in public(kind)}
    assert {name for name in found if not hasattr(theirs, name)} == set()


def test_nobody_gets_it_unasked() -> None:
    script = """
import sys
from tests import emulation
assert "cupy" not in sys.modules
emulation.install()
import cupy
from cupy.cuda.memory import OutOfMemoryError
assert emulation.is_installed() and cupy is emulation.stand_in()
from dlcore import backend
assert backend.available()["cupy"] is True
with backend.using("cupy:1") as chosen:
    assert repr(backend.asarray([1.0]).device) == "<CUDA Device 1>"
emulation.uninstall()
assert "cupy" not in sys.modules and not emulation.is_installed()
"""
    subprocess.run([sys.executable, "-W", "error", "-c", script], check=True)
