"""Launches that a device would refuse, and those that it would take and get wrong: sizes and arguments."""

from typing import Any

import numpy as np
import pytest

from tests import emulation
from tests.emulation.running import cp, kernel, run

pytestmark = pytest.mark.skipif(bool(emulation.why_not()), reason=emulation.why_not())

ONE = "y[0] = n;"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"block": (1025,)}, "CUDA_ERROR_INVALID_VALUE"),
        ({"block": (64, 32)}, "2048 threads in a block; 1024 are the most"),
        ({"block": (1, 1, 65)}, "CUDA_ERROR_INVALID_VALUE"),
        ({"block": (0,)}, "CUDA_ERROR_INVALID_VALUE"),
        ({"grid": (0,)}, "CUDA_ERROR_INVALID_VALUE"),
        ({"grid": (1, 65536)}, "CUDA_ERROR_INVALID_VALUE"),
        ({"shared": 48 * 1024 + 1}, "49153 of dynamic shared memory"),
    ],
)
def test_launches_that_a_device_refuses(options: dict[str, Any], words: str) -> None:
    with pytest.raises(emulation.EmulationError, match=words):
        run(ONE, cp.zeros(1, np.float32), np.int32(1), **options)


def test_static_shared_memory_counts() -> None:
    body = "__shared__ float s[64][64]; s[threadIdx.x][0] = n; __syncthreads(); y[0] = s[threadIdx.x][0];"
    run(body, cp.zeros(1, np.float32), np.int32(1), shared=32 * 1024)
    with pytest.raises(emulation.EmulationError, match="16384 bytes of static and 32769 of dynamic"):
        run(body, cp.zeros(1, np.float32), np.int32(1), shared=32 * 1024 + 1)


def test_launch_bounds_hold() -> None:
    bounded = kernel('extern "C" __global__ void __launch_bounds__(128) kernel() {}')
    bounded((1,), (128,), ())
    with pytest.raises(emulation.EmulationError, match="129 threads in a block; 128 are the most"):
        bounded((1,), (129,), ())


#: Parameters, and arguments that do not fit them.
UNFIT = [
    ("int n", 3),  # CuPy makes it 64 bits
    ("int n", np.uint32(3)),
    ("unsigned n", np.int32(3)),
    ("long long n", np.int32(3)),
    ("float a", 3.0),
    ("float a", np.float64(3)),
    ("double a", np.float32(3)),
    ("bool b", np.int32(1)),
    ("float* x", cp.zeros(1, np.float64)),
    ("float* x", cp.zeros(1, np.int32)),
    ("float* x", np.zeros(1, np.float32)),
    ("float* x", np.float32(0)),
    ("int* x", cp.zeros(1, np.uint32)),
    ("float** x", cp.zeros(1, np.float64)),
    ("int n", cp.zeros((), np.int32)),
    ("", np.int32(1)),
]
FIT = [
    ("long long n", 3),
    ("double a", 3.0),
    ("bool b", True),
    ("unsigned char* x", cp.zeros(1, np.bool_)),
    ("void* x", cp.zeros(1, np.complex64)),
    ("float** x", cp.zeros(1, np.uint64)),
    ("const float* const* x", cp.zeros(1, np.uint64)),
    ("const float* x", None),
]


@pytest.fixture(scope="module")
def typed_kernels() -> Any:
    """A kernel for each parameter."""
    parameters = [parameter for parameter, _ in UNFIT + FIT]
    sources = (f'extern "C" __global__ void typed_{i}({text}) {{}}\n' for i, text in enumerate(parameters))
    return cp.RawModule(code="".join(sources))


@pytest.mark.parametrize("number", range(len(UNFIT)))
def test_arguments_of_another_type_are_refused(typed_kernels: Any, number: int) -> None:
    launched = typed_kernels.get_function(f"typed_{number}")
    with pytest.raises(emulation.EmulationError, match=r"[nabx] is (an? |bool)|takes 0 arguments"):
        launched((1,), (1,), (UNFIT[number][1],))


@pytest.mark.parametrize("number", range(len(FIT)))
def test_arguments_that_fit(typed_kernels: Any, number: int) -> None:
    typed_kernels.get_function(f"typed_{len(UNFIT) + number}")((1,), (1,), (FIT[number][1],))


def test_arrays_of_another_device_are_refused() -> None:
    with cp.cuda.Device(1):
        y = cp.zeros(1, np.float32)
        run(ONE, y, np.int32(1))
    with pytest.raises(emulation.EmulationError, match="y lies on device 1, but the current device is 0"):
        run(ONE, y, np.int32(1))


def test_no_such_kernel() -> None:
    with pytest.raises(emulation.EmulationError, match="named symbol not found: other"):
        kernel('extern "C" __global__ void kernel() {}', "other")
