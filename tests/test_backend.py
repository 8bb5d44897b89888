"""The switch between array libraries: choosing, finding, mixing, and what it says when CuPy cannot be used.

CuPy's part is played in subprocesses by modules of that name that behave as it does.
"""

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dlcore as dl
from dlcore import backend as backends

ROOT = Path(__file__).parents[1]

# ---- choosing ------------------------------------------------------------------------------------------------------


def test_new_arrays_are_made_on_the_active_backend(backend: backends.Backend) -> None:
    assert backends.current() is backend
    assert (backends.name, backends.xp) == (backend.name, backend.xp)
    assert repr(backend) == f"Backend('{backend.name}')"
    for array in (backends.asarray([1, 2]), dl.zeros(2).data, dl.randn(2).data, dl.nn.Linear(2, 2).weight.data):
        assert backends.of(array) is backend
    assert backends.asarray([1, 2], "float32").dtype == "float32"


def test_an_array_of_the_backend_is_not_copied(backend: backends.Backend) -> None:
    array = backends.asarray(np.arange(3.0))
    assert backends.asarray(array) is array
    assert backend.asarray(array, "float64") is array
    assert backend.asarray(array, "float32") is not array


@pytest.mark.parametrize("make", [list, np.asarray, dl.tensor, backends.asarray], ids=lambda make: make.__name__)
def test_to_numpy_takes_anything(backend: backends.Backend, make: Any) -> None:
    array = backends.to_numpy(make([1.0, 2.0]))
    assert type(array) is np.ndarray
    assert array.tolist() == [1.0, 2.0]


def test_using_nests_and_ends_with_errors_too(backend: backends.Backend) -> None:
    outer = backends.current()
    with backends.using("numpy") as inner:
        assert backends.current() is inner
        with backends.using(outer):
            assert backends.current() is outer
        assert backends.current() is inner
    assert backends.current() is outer
    with pytest.raises(KeyError), backends.using(backends.Backend("another", np)):
        raise KeyError
    assert backends.current() is outer


def test_using_holds_for_its_thread_only(backend: backends.Backend) -> None:
    seen: list[str] = []
    other = backends.Backend("another", np)
    with backends.using(other):
        thread = threading.Thread(target=lambda: seen.append(backends.name))
        thread.start()
        thread.join()
        assert backends.current() is other
    assert seen == [backends.get(os.environ.get("DLCORE_BACKEND") or "numpy").name]


def test_use_inside_using_lasts_until_its_end(backend: backends.Backend) -> None:
    other = backends.Backend("another", np)
    with backends.using("numpy"):
        assert backends.use(other) is other
        assert backends.current() is other
    assert backends.current() is backend


@pytest.mark.parametrize("choice", ["cuda", "cupy:", "cupy:-1", "cupy:x", "numpy:0", "", None, 3])
def test_unknown_names(backend: backends.Backend, choice: Any) -> None:
    with pytest.raises(dl.ArgumentError, match=r'backend: expected "numpy", "cupy", "cupy:N" or "auto", got'):
        backends.get(choice)


def test_available_tells_why_not(backend: backends.Backend) -> None:
    states = backends.available()
    assert list(states) == ["numpy", "cupy"]
    assert states["numpy"] is True
    if isinstance(states["cupy"], str):
        assert "dlcore[cuda12]" in states["cupy"]
        with pytest.raises(dl.BackendUnavailableError, match="backend 'cupy' is not available: CuPy is"):
            backends.use("cupy")
        assert backends.get("auto").name == "numpy"


def test_synchronize_returns(backend: backends.Backend) -> None:
    backends.synchronize()
    assert backend.is_host == (backend.name == "numpy")


def test_the_module_has_no_other_attributes(backend: backends.Backend) -> None:
    with pytest.raises(AttributeError, match=r"module 'dlcore.backend' has no attribute 'nam'"):
        backends.nam  # noqa: B018


# ---- finding -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("thing", [[1.0], 1.0, None, memoryview(b"a")], ids=lambda thing: type(thing).__name__)
def test_of_foreign_things(backend: backends.Backend, thing: Any) -> None:
    with pytest.raises(
        dl.BackendMismatchError, match=f"expected a NumPy or CuPy array, got builtins.{type(thing).__name__}"
    ):
        backends.of(thing)


def test_of_numpys_arrays_and_scalars(backend: backends.Backend) -> None:
    assert backends.of(np.zeros(2)) is backends.of(np.float32(1)) is backends.get("numpy")
    assert backends.common("test", {}) is backend


# ---- element-wise functions keep the layout --------------------------------------------------------------------------


class ForgetsOrder(np.ndarray):
    """An array whose element-wise functions return C order, as CuPy's do."""

    def __array_ufunc__(self, function: Any, method: str, *inputs: Any, **options: Any) -> Any:
        plain = [x.view(np.ndarray) if isinstance(x, ForgetsOrder) else x for x in inputs]
        return np.ascontiguousarray(function(*plain, **options)).view(ForgetsOrder)


@pytest.mark.parametrize(
    "other",
    [np.float32(2), np.ones((2, 3, 4, 5)), np.ones((3, 1, 1)), np.ones((4, 1)), np.ones(()), np.arange(5.0)],
    ids=np.shape,
)
def test_pointwise_keeps_channels_last_where_the_library_does_not(backend: backends.Backend, other: Any) -> None:
    block = np.random.default_rng(0).normal(size=(2, 4, 5, 3))
    x = block.transpose(0, 3, 1, 2).view(ForgetsOrder)
    y = np.asarray(other).view(ForgetsOrder) if isinstance(other, np.ndarray) else other
    for found, expected in (
        (backends.pointwise(np.multiply, x, y), np.multiply(np.asarray(x), other)),
        (backends.pointwise(np.subtract, y, x), np.subtract(other, np.asarray(x))),
    ):
        assert found.transpose(0, 2, 3, 1).flags.c_contiguous
        np.testing.assert_array_equal(np.asarray(found), expected)
    plain = np.ones((2, 3)).view(ForgetsOrder)
    assert backends.pointwise(np.add, plain, plain).shape == (2, 3)


# ---- CuPy's part, played ---------------------------------------------------------------------------------------------

MISSING = "import sys; sys.modules['cupy'] = None"

BROKEN = """
import sys, types
class Loader:
    def find_spec(self, name, path=None, target=None):
        if name == "cupy":
            raise ImportError("libnvrtc.so.12: cannot open shared object file")
sys.meta_path.insert(0, Loader())
"""

PLAYED = """
import contextlib, sys, types
import numpy as np

class ndarray:
    def __init__(self, array, device):
        self.array, self.device = array, types.SimpleNamespace(id=device)
    dtype = property(lambda self: self.array.dtype)
    shape = property(lambda self: self.array.shape)
    ndim = property(lambda self: self.array.ndim)
    size = property(lambda self: self.array.size)
    def get(self):
        return self.array
ndarray.__module__ = "cupy"

where = [0]
@contextlib.contextmanager
def on(device):
    before, where[0] = where[0], device
    yield
    where[0] = before

cupy = sys.modules["cupy"] = types.ModuleType("cupy")
cupy.ndarray = ndarray
cupy.asarray = lambda x, dtype=None: ndarray(np.asarray(x.get() if isinstance(x, ndarray) else x, dtype), where[0])
cupy.ascontiguousarray = lambda x: x
cupy.cuda = types.SimpleNamespace(
    is_available=lambda: DEVICES > 0,
    runtime=types.SimpleNamespace(getDeviceCount=lambda: DEVICES),
    Device=on,
)
"""


def run(cupy: str, script: str, **environment: str) -> list[str]:
    """The lines that the script prints in a Python of its own; `say` prints what a call returns or raises."""
    preparation = """
import numpy as np, dlcore as dl
from dlcore import backend, functional as F
def say(function):
    try:
        print(function())
    except dl.DLCoreError as error:
        print(f"{type(error).__name__}: {error}")
"""
    found = subprocess.run(
        [sys.executable, "-W", "error", "-c", cupy + preparation + script],
        env={name: value for name, value in os.environ.items() if name != "DLCORE_BACKEND"}
        | {"PYTHONPATH": str(ROOT)}
        | environment,
        check=False,
        capture_output=True,
        text=True,
    )
    assert found.returncode == 0, found.stderr
    return found.stdout.splitlines()


INSTALL = "'dlcore[cuda12]' (CUDA 12) or 'dlcore[cuda13]' (CUDA 13)"


@pytest.mark.parametrize(
    ("cupy", "reason"),
    [
        (MISSING, f"CuPy is not installed; install it with pip install {INSTALL}"),
        (
            BROKEN,
            "CuPy is installed but does not load (libnvrtc.so.12: cannot open shared object file); "
            f"reinstall it with pip install {INSTALL}",
        ),
        (
            f"DEVICES = 0{PLAYED}",
            "CuPy is installed but no CUDA device was found; it needs an NVIDIA GPU, its driver, "
            f"and {INSTALL} to match",
        ),
    ],
    ids=["missing", "broken", "no device"],
)
def test_why_cupy_cannot_be_used(cupy: str, reason: str) -> None:
    script = """
say(lambda: backend.available()["cupy"])
say(lambda: backend.use("cupy"))
say(lambda: backend.get("cupy:1"))
say(lambda: backend.use("auto"))
say(lambda: dl.zeros(2).backend)
"""
    assert run(cupy, script) == [
        reason,
        f"BackendUnavailableError: backend 'cupy' is not available: {reason}",
        f"BackendUnavailableError: backend 'cupy:1' is not available: {reason}",
        "Backend('numpy')",
        "Backend('numpy')",
    ]


def test_devices_are_found_by_name_and_by_array() -> None:
    script = """
say(lambda: backend.available())
say(lambda: backend.use("auto"))
second = backend.get("cupy:1")
array = second.asarray([1.0, 2.0])
say(lambda: (backend.of(array) is second, second.asarray(array) is array, backend.get("cupy:0") is backend.get("cupy")))
say(lambda: (backend.of(backend.asarray([1.0])), backend.of(backend.get("cupy").asarray(array))))
say(lambda: backend.to_numpy(array))
say(lambda: backend.get("cupy:2"))
"""
    assert run(f"DEVICES = 2{PLAYED}", script) == [
        "{'numpy': True, 'cupy': True}",
        "Backend('cupy')",
        "(True, True, True)",
        "(Backend('cupy'), Backend('cupy'))",
        "[1. 2.]",
        'BackendUnavailableError: backend "cupy:2" is not available: this machine has 2 CUDA device(s)',
    ]


def test_mixing_backends_names_operation_arguments_and_fix() -> None:
    script = """
here = dl.zeros((2, 2), requires_grad=True)
there = dl.Tensor(backend.get("cupy").asarray(np.zeros((2, 2), np.float32)))
second = dl.Tensor(backend.get("cupy:1").asarray(np.zeros((2, 2), np.float32)))
say(lambda: here + there)
say(lambda: there.data * here)
say(lambda: there @ second)
say(lambda: dl.concat([here, here, there]))
say(lambda: F.linear(here, here, there))
say(lambda: dl.where(there, here, 0.0))
say(lambda: here < there)
say(lambda: F.cross_entropy(there, [0, 1]))
say(lambda: (here * 1.0).backward(there))
"""
    fix = 'move them to one backend first, for example with .to("{}")'.format
    assert run(f"DEVICES = 2{PLAYED}", script) == [
        f"BackendMismatchError: {line}"
        for line in (
            f"Add: a is on numpy, b is on cupy; {fix('numpy')}",
            f"Multiply: a is on numpy, b is on cupy; {fix('numpy')}",
            f"Matmul: a is on cupy, b is on cupy:1; {fix('cupy')}",
            f"Concat: input 0 is on numpy, input 1 is on numpy, input 2 is on cupy; {fix('numpy')}",
            f"Linear: x is on numpy, weight is on numpy, bias is on cupy; {fix('numpy')}",
            f"Where: condition is on cupy, a is on numpy; {fix('cupy')}",
            f"less: self is on numpy, other is on cupy; {fix('numpy')}",
            f"cross_entropy: x is on cupy, target is on numpy; {fix('cupy')}",
            f"backward: output is on numpy, gradient is on cupy; {fix('numpy')}",
        )
    ]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", "numpy"),
        ("numpy", "numpy"),
        ("auto", "cupy"),
        ("cupy:1", "cupy:1"),
        ("gpu", 'ArgumentError: backend: expected "numpy", "cupy", "cupy:N" or "auto", got \'gpu\''),
        ("cupy:5", 'BackendUnavailableError: backend "cupy:5" is not available: this machine has 2 CUDA device(s)'),
    ],
)
def test_the_environment_variable(value: str, expected: str) -> None:
    note = " (asked for by the environment variable DLCORE_BACKEND)" if "Error" in expected else ""
    assert run(f"DEVICES = 2{PLAYED}", "say(lambda: backend.name)", DLCORE_BACKEND=value) == [expected + note]
