"""What times were taken on: processor, caches, threads, versions."""

import os
import platform
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import threadpoolctl

import dlcore
from kernels.cpu import host, threads

_CPU0 = Path("/sys/devices/system/cpu/cpu0/cache")
_DEFAULT_CACHE = 1 << 25
_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}

Machine = dict[str, str | int]


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def describe(*peers: str) -> Machine:
    """The machine, and the versions of what computes on it; `peers` names further packages."""
    blas = [pool for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]
    described: Machine = {
        "processor": _processor(),
        "target": host.cpu_name(),
        "vector bits": host.vector_bits(),
        "cores": cores(),
        "threads": threads.get_num_threads(),
        "last-level cache, MiB": last_level_cache() >> 20,
        "system": platform.platform(),
        "python": platform.python_version(),
        "numpy": version("numpy"),
        "blas": ", ".join(f"{pool['internal_api']} {pool['version']}" for pool in blas),
        "numba": version("numba"),
        "dlcore": dlcore.__version__,
    }
    for package in peers:
        try:
            described[package] = version(package)
        except PackageNotFoundError:
            continue
    return {**described, "date": time.strftime("%Y-%m-%d")}


def last_level_cache() -> int:
    """The size of the first core's largest cache, in bytes; 32 MiB where the system does not tell."""
    sizes = [_bytes(file.read_text().strip()) for file in _CPU0.glob("index*/size")]
    return max(sizes, default=_DEFAULT_CACHE)


def _bytes(size: str) -> int:
    return int(size[:-1]) * _UNITS[size[-1]] if size[-1] in _UNITS else int(size)


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
