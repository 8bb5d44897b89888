"""What the processor under us can do: its name, its features, and the vector width that kernels are compiled for.

`DLCORE_VECTOR_BITS` (128, 256 or 512) forces a narrower width than the host's widest, so that tests cover the
forms that other machines run.
"""

import functools
import os

from llvmlite import binding

from kernels.errors import ArgumentError

#: The widths that the microkernel generator knows, with the feature that each needs. 128 bits need none: LLVM
#: lowers four lanes to SSE2, to NEON or, without either, to scalars.
WIDTH_FEATURES: dict[int, str | None] = {512: "avx512f", 256: "avx2", 128: None}


@functools.cache
def cpu_name() -> str:
    """The processor's name as LLVM spells it, such as `znver3` or `skylake-avx512`."""
    return str(binding.get_host_cpu_name())


@functools.cache
def cpu_features() -> frozenset[str]:
    """The instruction set extensions that the processor and the operating system offer, in LLVM's names."""
    try:
        return frozenset(name for name, present in binding.get_host_cpu_features().items() if present)
    except RuntimeError:  # LLVM cannot tell on every platform; the generic form needs no feature.
        return frozenset()


def supported_vector_bits() -> list[int]:
    """The vector widths, in bits, that this host can run, widest first."""
    return [bits for bits, feature in WIDTH_FEATURES.items() if feature is None or feature in cpu_features()]


@functools.cache
def vector_bits() -> int:
    """The vector width, in bits, that kernels of this process are compiled for.

    The widest that the host has, or `DLCORE_VECTOR_BITS` where that is set. Read once per process.

    Raises:
        ArgumentError: `DLCORE_VECTOR_BITS` is no width that this host can run.
    """
    supported = supported_vector_bits()
    wanted = os.environ.get("DLCORE_VECTOR_BITS", "").strip()
    if not wanted:
        return supported[0]
    if not wanted.isdecimal() or int(wanted) not in supported:
        raise ArgumentError(
            f"vector_bits: DLCORE_VECTOR_BITS is {wanted!r} but this processor ({cpu_name()}) runs "
            f"{', '.join(map(str, sorted(supported)))}; set one of these, or unset it."
        )
    return int(wanted)


def vector_registers() -> int:
    """How many vector registers the instruction set names: 32 with AVX-512 or on ARM, otherwise 16."""
    return 32 if cpu_features() & {"avx512vl", "neon", "asimd"} else 16
