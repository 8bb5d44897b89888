"""`jit`: Numba's compiler with the options that every kernel of dlcore shares, and a disk cache that stays true.

Numba's own cache notices edits of a function's file, but not of functions in other files that it calls, nor
another vector width. So each state of our sources, host and compiler gets a folder of its own:

    $DLCORE_CACHE/kernels/<key>      where that is set, else
    $NUMBA_CACHE_DIR/dlcore/<key>    where that is set, else
    <the user's cache folder>/dlcore/kernels/<key>

Where no such folder can be written, kernels are compiled in each process: that costs time and nothing else.
Folders of other keys that nobody wrote to for 30 days are removed when a new one is made.
"""

import functools
import hashlib
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, overload

import llvmlite
import numba
from numba.core.caching import FunctionCache
from numba.core.ccallback import CFunc

from kernels.cpu import host, threads

#: Contraction gives fused multiply-adds, reassociation gives vectorised sums. The full set ("fast") would also
#: assume that no NaN and no infinity ever appears, and a diverging loss must show up as NaN.
FASTMATH = frozenset({"contract", "reassoc", "nsz"})

_DAYS_KEPT = 30


@overload
def jit(function: Callable[..., Any], /) -> Any: ...
@overload
def jit(*, parallel: bool = False, **options: Any) -> Callable[[Callable[..., Any]], Any]: ...
def jit(function: Callable[..., Any] | None = None, /, *, parallel: bool = False, **options: Any) -> Any:
    """Compile a kernel at its first call: `@jit`, `@jit(parallel=True)` or with other options of Numba's.

    Defaults: nopython, the GIL released, NumPy's error model (no exception on a division by zero), and
    `FASTMATH`; any option of `numba.njit` overrides them. Compiled code is kept on disk.

    With `parallel=True` the result is a `ParallelKernel`, called from Python only: keep these shells thin, as
    each takes seconds to compile, with the work in serial functions that they call.
    """
    if function is None:
        return functools.partial(_compile, parallel=parallel, options=options)
    return _compile(function, parallel=parallel, options=options)


def _compile(function: Callable[..., Any], *, parallel: bool, options: dict[str, Any]) -> Any:
    if parallel:
        return ParallelKernel(function, options)
    return _dispatcher(function, options, cached=True)


def _dispatcher(function: Callable[..., Any], options: dict[str, Any], *, cached: bool) -> Any:
    defaults = {"nogil": True, "error_model": "numpy", "fastmath": set(FASTMATH)}
    dispatcher = numba.njit(**{**defaults, **options})(function)
    if cached and (cache := _cache_for(function)):
        dispatcher._cache = cache
    return dispatcher


def _cache_for(function: Callable[..., Any]) -> "_TolerantCache | None":
    folder = cache_folder()
    if folder is not None:
        with suppress(RuntimeError):  # Numba finds no source file for this function
            return _TolerantCache(function, folder)
    return None


def compile_c_function(function: Callable[..., Any], signature: Any) -> int:
    """Compile `function` at once as a C function of Numba's `signature`, and return its address.

    For code that several kernels call by address, so that none of them compiles it again. It lives as long as
    the process.
    """
    _link_symbols()
    return _compile_c_function(function, signature)


def _compile_c_function(function: Callable[..., Any], signature: Any) -> int:
    compiled: Any = CFunc(
        function, (signature.args, signature.return_type), locals={}, options={"error_model": "numpy"}
    )
    if cache := _cache_for(function):
        compiled._cache = cache
    compiled.compile()
    _c_functions.append(compiled)
    return int(compiled.address)


_c_functions: list[CFunc] = []
_symbols: list[tuple[str, Callable[..., Any], Any]] = []
_symbols_lock = threading.Lock()


def add_symbol(name: str, function: Callable[..., Any], signature: Any) -> None:
    """Let compiled code call `function`, itself compiled as a C function of `signature`, by `name`.

    It is compiled before the first code that might call it. Code on disk finds it by its name, wherever it then lies.
    """
    _symbols.append((name, function, signature))


def _link_symbols() -> None:
    with _symbols_lock:
        while _symbols:
            name, function, signature = _symbols[-1]
            llvmlite.binding.add_symbol(name, _compile_c_function(function, signature))
            _symbols.pop()  # now that it is known: an interruption before leaves it here for the next time


class ParallelKernel:
    """A kernel with `prange` loops; each call runs on `threads.get_num_threads()` threads, or as many as `on` says.

    In a forked child, where the pool is unusable, the same function compiled without threads runs instead.
    """

    def __init__(self, function: Callable[..., Any], options: dict[str, Any]) -> None:
        functools.update_wrapper(self, function)
        self._options = options
        self.dispatcher = _dispatcher(function, {**options, "parallel": True}, cached=True)

    def __call__(self, *arguments: Any) -> Any:
        """Run the kernel; it takes positional arguments only."""
        return self.on(threads.get_num_threads(), *arguments)

    def on(self, count: int, *arguments: Any) -> Any:
        """Run the kernel on at most `count` threads."""
        if threads.must_run_serially():
            return self._serial(*arguments)
        return threads.launch(self.dispatcher, arguments, count)

    @functools.cached_property
    def _serial(self) -> Any:
        # Numba's cache index does not tell parallel code from serial code of one function: so not cached.
        return _dispatcher(self.dispatcher.py_func, self._options, cached=False)


class _TolerantCache(FunctionCache):  # type: ignore[misc]  # Numba has no type hints
    """Numba's disk cache in a folder of ours; damage, a full disk or a vanished folder only cost time."""

    def __init__(self, function: Callable[..., Any], folder: Path) -> None:
        # The folder is read from Numba's settings while the cache is made. Only then: they are the user's.
        users = numba.config.CACHE_DIR
        numba.config.CACHE_DIR = str(folder)
        try:
            super().__init__(function)
        finally:
            numba.config.CACHE_DIR = users

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # a truncated file can fail in any way while it is unpickled
            with suppress(OSError):
                self.flush()  # so that what is compiled now can be saved
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        with suppress(OSError):
            super().save_overload(sig, data)


@functools.cache
def cache_folder() -> Path | None:
    """The folder that holds this state's compiled kernels, made on the way; None where none can be written."""
    try:
        folder = _cache_base() / _cache_key()
        is_new = not folder.exists()
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except (OSError, RuntimeError):  # RuntimeError: the user has no home folder
        return None
    if is_new:
        _remove_stale_folders(folder)
    return folder


def _cache_base() -> Path:
    if given := os.environ.get("DLCORE_CACHE"):
        return Path(given).expanduser() / "kernels"
    if numba.config.CACHE_DIR:
        return Path(numba.config.CACHE_DIR) / "dlcore"
    if sys.platform == "win32":
        users = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        users = Path.home() / "Library" / "Caches"
    else:
        users = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return users / "dlcore" / "kernels"


def _cache_key() -> str:
    """A hash of all that compiled code depends on: sources, processor, vector width, compiler versions."""
    state = hashlib.sha256()
    here = Path(__file__).parent
    for source in sorted([*here.glob("*.py"), *here.parent.glob("*.py")]):
        state.update(source.name.encode() + b"\0" + source.read_bytes())
    versions = [numba.__version__, llvmlite.__version__, sys.version]
    processor = [host.cpu_name(), *sorted(host.cpu_features()), str(host.vector_bits())]
    state.update("\n".join(versions + processor).encode())
    return state.hexdigest()[:20]


def _remove_stale_folders(current: Path) -> None:
    oldest = time.time() - _DAYS_KEPT * 24 * 3600
    with suppress(OSError):
        for folder in current.parent.iterdir():
            if folder != current and folder.is_dir() and _last_written(folder) < oldest:
                shutil.rmtree(folder, ignore_errors=True)


def _last_written(folder: Path) -> float:
    return max(entry.stat().st_mtime for entry in (folder, *folder.iterdir()))
