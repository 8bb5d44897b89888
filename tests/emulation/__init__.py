"""CuPy and CUDA emulated on the CPU, for tests: it shows what is right and wrong, never what is fast.

`install` puts a stand-in for just the part of CuPy that dlcore uses in CuPy's place. Its arrays are as strict as a
device's; its `RawModule` compiles the very `.cu` sources with the host's C++ compiler, and runs them thread by thread
under checks that no device makes. What it does not show: speed, asynchrony, the order of atomic operations, races
within a warp, and what the device's compiler and arithmetic do otherwise.

    memory.py     allocations between guard pages              source.py     CUDA C made C++
    devices.py    cupy.cuda                                    compiler.py   the host's compiler
    storage.py    what arrays are made of                      launches.py   RawModule, and what a launch checks
    arrays.py     cupy.ndarray (indexing.py: its indices)      native/       the header, and the runtime of threads
    functions.py  cupy's functions, by lists of names          counters.py   gets, sets, launches, layout copies
    creation.py   functions that make arrays
"""

import sys
from types import ModuleType

from tests.emulation import creation, functions
from tests.emulation.arrays import ndarray
from tests.emulation.compiler import why_not
from tests.emulation.counters import counting, counts
from tests.emulation.devices import MemoryPool, compute_types, cuda_module
from tests.emulation.errors import CompileException, EmulationError, OutOfMemoryError
from tests.emulation.interchange import from_dlpack
from tests.emulation.launches import RawModule

__all__ = [
    "CompileException",
    "EmulationError",
    "OutOfMemoryError",
    "counting",
    "counts",
    "install",
    "is_installed",
    "modules",
    "stand_in",
    "uninstall",
    "why_not",
]

_modules: dict[str, ModuleType] = {}


def stand_in() -> ModuleType:
    """The module that stands for `cupy`."""
    if not _modules:
        functions.BY_NAME.update({name: getattr(creation, name) for name in creation.NAMES})
        cupy = ModuleType("cupy", "An emulation of the part of CuPy that dlcore uses.")
        vars(cupy).update(functions.BY_NAME)
        cupy.ndarray = ndarray
        cupy.ufunc = functions.ufunc
        cupy.from_dlpack = from_dlpack
        cupy.RawModule = RawModule
        cupy.get_default_memory_pool = MemoryPool
        cupy.cuda = cuda_module()
        cupy._core = compute_types()
        for module in (cupy, cupy._core, cupy.cuda, cupy.cuda.memory, cupy.cuda.runtime):
            _modules[module.__name__] = module
    return _modules["cupy"]


def modules() -> dict[str, ModuleType]:
    """The stand-in's modules by their names."""
    stand_in()
    return _modules


def install() -> None:
    """Let `import cupy` give the stand-in."""
    sys.modules.update(modules())


def uninstall() -> None:
    """Let `import cupy` find the real one again, if there is one."""
    for name in _modules:
        sys.modules.pop(name, None)


def is_installed() -> bool:
    """Whether the stand-in is in CuPy's place."""
    return bool(_modules) and sys.modules.get("cupy") is _modules["cupy"]
