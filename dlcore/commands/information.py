"""`dlcore info` and `dlcore models`."""

import os
import platform
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version

import dlcore
from dlcore import backend, models, nn
from dlcore.commands.output import table
from dlcore.data.cache import cache_folder
from kernels.errors import DLCoreError

_PACKAGES = ("numpy", "numba", "llvmlite", "safetensors")
#: For the parameter counts of `dlcore models`.
_MNIST_SHAPE, _MNIST_CLASSES = (1, 28, 28), 10


def info() -> None:
    """Print versions, backends and why one is missing, threads, what the processor can do, and folders."""
    # These load Numba.
    from kernels.cpu import host
    from kernels.cpu.jit import cache_folder as kernel_folder

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    rows = [("dlcore", dlcore.__version__), ("Python", f"{platform.python_version()} on {platform.platform()}")]
    rows += [(package, _version(package)) for package in _PACKAGES]
    rows.append(("matplotlib", _version("matplotlib", "no figures; install it with pip install 'dlcore[plot]'")))
    for name, state in backend.available().items():
        rows.append((f"backend {name}", "available" if state is True else str(state)))
    rows += [
        ("active backend", _told(lambda: backend.current().name)),
        ("threads", _told(lambda: f"{dlcore.get_num_threads()}, on {cores} cores")),
        ("processor", host.cpu_name()),
        ("SIMD", f"{', '.join(_simd(host.cpu_features())) or 'nothing known'}; kernels use {host.vector_bits()} bits"),
        ("cache folder", str(cache_folder())),
        ("compiled kernels", str(kernel_folder() or "not kept: no folder can be written")),
    ]
    if own := os.environ.get("DLCORE_DATA"):
        rows.append(("data folder", own))
    table(("", ""), rows)


def list_models() -> None:
    """Print each network's name, how many parameters it has for MNIST, and what it is."""
    rows = []
    for name in models.names():
        with nn.init.skipped():
            network = models.create(name, _MNIST_SHAPE, _MNIST_CLASSES)
        count = sum(parameter.size for parameter in network.parameters())
        rows.append((name, f"{count:,}", models.describe(name)))
    table(("model", "parameters (MNIST)", "what it is"), rows, right=[1])


def _told(ask: Callable[[], str]) -> str:
    """What `ask` says, or why it cannot: whoever asks for information has often set something wrong."""
    try:
        return ask()
    except DLCoreError as error:
        return str(error)


def _version(package: str, otherwise: str = "") -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return f"not installed: {otherwise}" if otherwise else "not installed"


def _simd(features: frozenset[str]) -> list[str]:
    """The vector extensions among a processor's features, without the older ones that every x86-64 has."""
    return sorted(name for name in features if name.startswith(("avx", "fma", "amx", "neon", "asimd", "sve")))
