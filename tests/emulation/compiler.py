"""Compiles CUDA C sources with the host's C++ compiler, and keeps what it made."""

import ctypes
import functools
import hashlib
import os
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.emulation.source import Source, rewrite

_NATIVE = Path(__file__).parent / "native"

# Exact arithmetic, and the compiler's own checks; their handlers are in launch.cpp.
_OPTIONS = (
    "-std=c++17",
    "-O1",
    "-fPIC",
    "-w",
    "-fvisibility=hidden",
    "-ffp-contract=off",
    "-fno-strict-aliasing",
    "-fno-exceptions",
    "-U_FORTIFY_SOURCE",
)
_CHECKS = ("-fsanitize=bounds,alignment,signed-integer-overflow,shift,integer-divide-by-zero",)


class CompileError(Exception):
    """A source does not compile; the message is the compiler's."""


@functools.cache
def compiler() -> tuple[str, ...]:
    """The command of the C++ compiler: $CXX, else g++, c++ or clang++; empty where there is none."""
    if given := shlex.split(os.environ.get("CXX", "")):
        return tuple(given) if shutil.which(given[0]) else ()
    return next(((name,) for name in ("g++", "c++", "clang++") if shutil.which(name)), ())


def why_not() -> str:
    """Why nothing can be compiled here, or "" if it can."""
    return "" if compiler() else "no C++ compiler (install g++), which the emulated CuPy needs"


class Module:
    """A compiled source.

    Attributes:
        source: what it was compiled from.
        library: its kernels, loaded.
    """

    def __init__(self, code: str, options: tuple[str, ...]) -> None:
        self.source = _preprocessed(code, options)
        self.library = ctypes.PyDLL(str(_compiled(_translation_unit(self.source))))


@functools.cache
def runtime() -> ctypes.PyDLL:
    """The runtime that all kernels use; its symbols are there for them from now on."""
    text = '#include "launch.cpp"\n#include "runtime.cpp"\n'
    options = ("-O2", "-fvisibility=default")
    return ctypes.PyDLL(str(_compiled(text, checks=False, options=options)), mode=ctypes.RTLD_GLOBAL)


def _translation_unit(source: Source) -> str:
    lines = [
        '#include "kernel.h"',
        source.text,
        *(f"EMULATION_KERNEL({name})" for name in source.kernels),
        *(f"EMULATION_SECTION({name})" for name in source.sections),
    ]
    return "\n".join(lines) + "\n"


def _preprocessed(code: str, options: tuple[str, ...]) -> Source:
    """Macros of the source resolved, with none but CUDA's own headers to be found, as for NVRTC."""
    command = [*compiler(), "-E", "-x", "c++", "-nostdinc", "-D__CUDACC__", "-D__CUDACC_RTC__", "-D__CUDA_ARCH__=900"]
    return rewrite(_run([*command, *options, f"-I{_NATIVE / 'cuda'}", "-"], code))


def _compiled(text: str, *, checks: bool = True, options: tuple[str, ...] = ()) -> Path:
    chosen = (*_OPTIONS, *options, *(_CHECKS if checks else ()))
    path = _folder() / f"{_key(text, chosen)}.so"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            # Linked without -fsanitize, which would bring in a library with handlers of its own.
            made = Path(folder) / "kernels.o"
            _run([*compiler(), *chosen, f"-I{_NATIVE}", "-x", "c++", "-c", "-", "-o", str(made)], text)
            _run([*compiler(), "-shared", str(made), "-o", f"{made}.so"])
            os.replace(f"{made}.so", path)
    return path


def _run(command: list[str], text: str = "") -> str:
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CompileError(f"{shlex.join(command)}\n{done.stderr}")
    return done.stdout


def _folder() -> Path:
    if given := os.environ.get("DLCORE_CACHE"):
        return Path(given).expanduser() / "emulation"
    return Path(tempfile.gettempdir()) / f"dlcore-emulation-{os.getuid()}"


def _key(text: str, options: tuple[str, ...]) -> str:
    parts = [text, *options, _version(), *(path.read_text() for path in sorted(_NATIVE.glob("*.*")))]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


@functools.cache
def _version() -> str:
    return _run([*compiler(), "--version"])
