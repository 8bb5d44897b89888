"""The public functions: one face for all implementations, layout of results, messages for wrong arguments."""

import functools
import inspect
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import kernels
from dlcore import backend as backends
from dlcore.backend import Backend, to_numpy
from kernels import cpu, cuda, reference
from kernels.cpu.threads import get_num_threads, set_num_threads
from kernels.errors import ArgumentError, BackendMismatchError, DTypeError, ShapeError

PACKAGES = {"cpu": cpu, "cuda": cuda, "reference": reference}

#: Names of the kernels that every implementation has.
KERNELS = sorted(set(kernels.__all__) - {"OWNER", "matmul"})


@pytest.mark.parametrize("package", PACKAGES.values(), ids=PACKAGES)
@pytest.mark.parametrize("name", KERNELS)
def test_implementations_share_names_and_signatures(name: str, package: Any) -> None:
    assert inspect.signature(getattr(package, name)) == inspect.signature(getattr(kernels, name))


def test_implementations_have_no_kernel_that_the_face_lacks() -> None:
    assert set(cpu.__all__) == set(cuda.__all__) == {*KERNELS, "matmul"}


@functools.cache
def calls(backend: Backend) -> dict[str, Callable[[Any], Any]]:
    """One call of each kernel that returns 4-D arrays: many blocks and rows, fewer where kernels are emulated."""
    random = np.random.default_rng(0)
    N, size = (9, 40) if backend.is_host else (2, 13)

    def normal(*shape: int) -> Any:
        return backend.asarray(random.standard_normal(shape).astype(np.float32))

    x, weight, deep = normal(N, 16, size, size), normal(24, 16, 3, 3), normal(32, 1, 3, 3)
    y, deep_y = normal(N, 24, size - 2, size - 2), normal(N, 32, size - 2, size - 2)
    pooled, bias, cols = normal(N, 16, size // 3, size // 3), normal(24), normal(N * (size - 2) ** 2, 16 * 9)
    argmax = backend.asarray(random.integers(0, 9, pooled.shape).astype(np.uint8))
    channels = normal(4, 16)
    channels[3] = 1  # a variance
    kept = backend.asarray(random.random(x.shape) < 0.5)
    return {
        "col2im": lambda k: k.col2im(cols, x.shape, 3),
        "conv2d": lambda k: k.conv2d(x, weight, bias, activation="relu"),
        "conv2d_input_grad": lambda k: k.conv2d_input_grad(y, weight, x.shape),
        "conv2d_weight_grad": lambda k: k.conv2d_weight_grad(x, y, weight.shape),
        "conv2d, depthwise": lambda k: k.conv2d(x, deep, groups=16),
        "conv2d_input_grad, depthwise": lambda k: k.conv2d_input_grad(deep_y, deep, x.shape, groups=16),
        "conv2d_weight_grad, depthwise": lambda k: k.conv2d_weight_grad(x, deep_y, deep.shape, groups=16),
        "max_pool2d": lambda k: k.max_pool2d(x, 3)[0],
        "argmax of max_pool2d": lambda k: k.max_pool2d(x, 3)[1],
        "max_pool2d_grad": lambda k: k.max_pool2d_grad(pooled, argmax, x.shape, 3),
        "max_pool2d_gather": lambda k: k.max_pool2d_gather(x, argmax, 3),
        "avg_pool2d": lambda k: k.avg_pool2d(x, 3),
        "avg_pool2d_grad": lambda k: k.avg_pool2d_grad(pooled, x.shape, 3),
        "batch_norm": lambda k: k.batch_norm(x, *channels[:2], activation="relu")[0],
        "batch_norm_inference": lambda k: k.batch_norm_inference(x, *channels),
        "batch_norm_grad": lambda k: k.batch_norm_grad(x + 1, x, *channels, activation="relu")[0],
        "dropout": lambda k: k.dropout(x, 0.5, key=1)[0],
        "kept by dropout": lambda k: k.dropout(x, 0.5, key=1)[1],
        "dropout_grad": lambda k: k.dropout_grad(x, kept, 0.5),
        "relu": lambda k: k.relu(x),
        "erf": lambda k: k.erf(x),
        "relu_grad": lambda k: k.relu_grad(y, y),
    }


@functools.cache
def other_calls(backend: Backend) -> dict[str, Callable[[Any], Any]]:
    """The same of kernels whose results are not 4-D: each gives several, as a tuple."""
    random = np.random.default_rng(0)
    N, size, length = (9, 40, 3000) if backend.is_host else (2, 13, 300)

    def normal(*shape: int) -> Any:
        return backend.asarray(random.standard_normal(shape).astype(np.float32))

    x, dy, rows, grad, weights = (
        normal(*shape) for shape in (*[(N, 16, size, size)] * 2, *[(length, 40)] * 2, (4, 40))
    )
    channels, per_row = (backend.asarray(np.ones(shape, np.float32)) for shape in ((4, 16), (2, length)))
    labels = backend.asarray(random.integers(0, 40, length))

    def step(k: Any) -> tuple[Any, ...]:
        arrays = [x.copy(), dy]
        k.optimizer_step(lambda w, g, lr: (w - lr * g,), [arrays], [(0.5,)])
        return (arrays[0],)

    return {
        "batch_norm": lambda k: k.batch_norm(x, *channels[:2])[1:],
        "batch_norm_grad": lambda k: k.batch_norm_grad(dy, x, *channels)[1:],
        "layer_norm": lambda k: k.layer_norm(rows, *weights[:2]),
        "layer_norm_grad": lambda k: k.layer_norm_grad(grad, rows, weights[0], *per_row),
        "softmax_cross_entropy": lambda k: k.softmax_cross_entropy(rows, labels),
        "softmax_cross_entropy_grad": lambda k: (k.softmax_cross_entropy_grad(per_row[0], rows, labels),),
        "optimizer_step": step,
    }


CALLS = list(calls(backends.get("numpy")))
OTHER_CALLS = list(other_calls(backends.get("numpy")))


@pytest.mark.parametrize("name", CALLS)
def test_results_are_channels_last_in_memory(name: str, backend: Backend) -> None:
    result = calls(backend)[name](kernels)
    assert result.transpose(0, 2, 3, 1).flags.c_contiguous
    if backend.is_host:
        assert result.flags.writeable


@pytest.mark.parametrize(("of", "name"), [*((calls, name) for name in CALLS), *((other_calls, n) for n in OTHER_CALLS)])
def test_results_are_repeatable(of: Callable[[Backend], dict[str, Any]], name: str, backend: Backend) -> None:
    """The same bits again: on the CPU at another number of threads, on the GPU in whatever order its threads run."""
    call = of(backend)[name]
    before = get_num_threads()
    try:
        results = []
        for threads in (1, 2, 3):
            set_num_threads(threads)
            result = call(kernels)
            results.append([to_numpy(part) for part in (result if isinstance(result, tuple) else (result,))])
    finally:
        set_num_threads(before)
    for result in results[1:]:
        np.testing.assert_equal(result, results[0])


def test_the_reference_can_be_asked_for() -> None:
    random = np.random.default_rng(0)
    x, weight = random.standard_normal((2, 3, 5, 4)), random.standard_normal((4, 3, 2, 2))
    y = kernels.conv2d(x, weight, algorithm="reference")
    np.testing.assert_array_equal(y, reference.conv2d(x, weight))
    for result in (
        y,
        kernels.conv2d_input_grad(y, weight, x.shape, algorithm="reference"),
        kernels.conv2d_weight_grad(x, y, weight.shape, algorithm="reference"),
    ):
        assert result.transpose(0, 2, 3, 1).flags.c_contiguous


X = np.zeros((8, 3, 32, 32), np.float32)
WEIGHT = np.zeros((32, 3, 3, 3), np.float32)
ROW = np.zeros((2, 32), np.float32)


class CuPyArray:
    """Looks like CuPy's to the dispatcher, and has nothing else."""

    __module__ = "cupy"


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: kernels.conv2d(X, np.zeros((32, 16, 3, 3), np.float32)),
            ShapeError,
            "conv2d: x has 3 channels but weight expects 16 "
            "(x.shape=(8, 3, 32, 32), weight.shape=(32, 16, 3, 3), groups=1)",
        ),
        (
            lambda: kernels.conv2d(X, WEIGHT[:31, :1], groups=3),
            ShapeError,
            "conv2d: weight has 31 output channels, which 3 groups cannot share equally",
        ),
        (lambda: kernels.conv2d(X, WEIGHT, groups=0), ArgumentError, "conv2d: groups must be an int of at least 1"),
        (lambda: kernels.conv2d(X[0], WEIGHT), ShapeError, "conv2d: x must have axes (N, C, H, W), got x.shape=(3, "),
        (lambda: kernels.conv2d(X, WEIGHT[:0]), ShapeError, "conv2d: weight has an empty axis"),
        (lambda: kernels.conv2d(X[:, :, :0], WEIGHT), ShapeError, "only the batch N may be empty"),
        (
            lambda: kernels.conv2d(X, WEIGHT, WEIGHT[0, 0, 0]),
            ShapeError,
            "conv2d: bias.shape is (3,) but (32,) is expected",
        ),
        (
            lambda: kernels.conv2d(X, WEIGHT.astype(np.float64)),
            DTypeError,
            "conv2d: x is float32 but weight is float64; convert one of them",
        ),
        (
            lambda: kernels.conv2d(X.astype(np.float16), WEIGHT),
            DTypeError,
            "conv2d: x is float16 but weight is float32; convert one of them, for example with weight.astype(",
        ),
        (
            lambda: kernels.conv2d(X.astype(int), WEIGHT),
            DTypeError,
            "conv2d: x is int64 but float32, float64 or float16 is expected",
        ),
        (lambda: kernels.conv2d(X.tolist(), WEIGHT), DTypeError, "conv2d: x must be a NumPy or CuPy array, got list"),
        (
            lambda: kernels.conv2d(X, WEIGHT, algorithm="fft"),
            ArgumentError,
            'conv2d: algorithm must be one of "auto", "direct", "winograd", "gemm", "reference", got \'fft\'',
        ),
        (
            lambda: kernels.conv2d(X, WEIGHT, activation="gelu"),  # type: ignore[arg-type]
            ArgumentError,
            "conv2d: activation must be None or \"relu\", got 'gelu'",
        ),
        (
            lambda: kernels.conv2d(X, CuPyArray()),  # type: ignore[arg-type]
            BackendMismatchError,
            "conv2d: x is a NumPy array, weight is a CuPy array; bring them to one backend first",
        ),
        (
            lambda: kernels.conv2d_input_grad(X, WEIGHT, (8, 3, 32)),  # type: ignore[arg-type]
            ArgumentError,
            "conv2d_input_grad: input_shape must be four ints (N, C, H, W), got (8, 3, 32)",
        ),
        (
            lambda: kernels.conv2d_input_grad(X, WEIGHT, (8, 3, 32, 32)),
            ShapeError,
            "conv2d_input_grad: grad_output.shape is (8, 3, 32, 32) but (8, 32, 30, 30) is expected",
        ),
        (
            lambda: kernels.conv2d_weight_grad(X, X, (3, 0, 1, 1)),
            ArgumentError,
            "conv2d_weight_grad: weight_shape must be four positive ints (K, C/groups, R, S)",
        ),
        (
            lambda: kernels.max_pool2d_grad(X, X, X.shape, 1),  # type: ignore[arg-type]
            DTypeError,
            "max_pool2d_grad: argmax is float32 but max_pool2d returns uint8",
        ),
        (
            lambda: kernels.max_pool2d_gather(X, X.astype(np.uint8), 2),
            ShapeError,
            "max_pool2d_gather: argmax.shape is (8, 3, 32, 32) but (8, 3, 16, 16) is expected",
        ),
        (
            lambda: kernels.col2im(X[0, 0], (1, 3, 4, 4), 2),
            ShapeError,
            "col2im: cols.shape is (32, 32) but (9, 12) is expected",
        ),
        (lambda: kernels.batch_norm(X[0, 0, 0], *ROW), ShapeError, "batch_norm: x must have axes (N, C) or (N, C, …)"),
        (lambda: kernels.batch_norm(X, *ROW), ShapeError, "batch_norm: weight.shape is (32,) but (3,) is expected"),
        (
            lambda: kernels.batch_norm(X[0, 0], *ROW, activation="gelu"),  # type: ignore[arg-type]
            ArgumentError,
            "batch_norm: activation must be None or \"relu\", got 'gelu'",
        ),
        (
            lambda: kernels.batch_norm_grad(X[0], X[0, 0], *ROW, *ROW),
            ShapeError,
            "batch_norm_grad: grad_output.shape is (3, 32, 32) but (32, 32) is expected",
        ),
        (lambda: kernels.layer_norm(X, X[0, 0, :2], X), ShapeError, "layer_norm: x must end with the axes of weight"),
        (
            lambda: kernels.layer_norm_grad(X, X, ROW[0], ROW[0], ROW[0]),
            ShapeError,
            "layer_norm_grad: mean.shape is (32,) but (8, 3, 32) is expected",
        ),
        (
            lambda: kernels.softmax_cross_entropy(X[0, 0], ROW[0]),
            DTypeError,
            "softmax_cross_entropy: labels are float32 but integers are expected",
        ),
        (
            lambda: kernels.softmax_cross_entropy(X[0, 0], np.zeros(3, int)),
            ShapeError,
            "softmax_cross_entropy: labels.shape is (3,) but (32,) is expected",
        ),
        (
            lambda: kernels.dropout(X, 1.5, key=0),
            ArgumentError,
            "dropout: p must be a probability from 0 to 1",
        ),
        (lambda: kernels.dropout_grad(X, X, 0.5), DTypeError, "dropout_grad: kept is float32 but dropout returns bool"),
        (
            lambda: kernels.optimizer_step(lambda w, g: (w,), [(X, ROW[0])], [()]),
            ShapeError,
            "optimizer_step: the arrays of a parameter must have one shape",
        ),
        (lambda: kernels.matmul(X, X), ShapeError, "matmul: a and b must be matrices (M, K) and (K, N)"),
    ],
)
def test_wrong_arguments_get_one_clear_sentence(
    call: Callable[[], object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as caught:
        call()
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("algorithm", ["winograd", "reference"])
def test_what_the_gpu_lacks_is_said(backend: Backend, algorithm: str) -> None:
    if backend.is_host:
        return  # has them
    x, weight = backend.asarray(X), backend.asarray(WEIGHT)
    with pytest.raises(
        ArgumentError, match=f'algorithm="{algorithm}" takes NumPy arrays.*use "auto", "direct" or "gemm"'
    ):
        kernels.conv2d(x, weight, algorithm=algorithm)


@pytest.mark.parametrize("dtype", ["int32", "bool", "complex64"])
def test_element_types_are_checked(backend: Backend, dtype: str) -> None:
    x = backend.asarray(np.zeros((1, 2, 3, 3), dtype))
    with pytest.raises(DTypeError, match=f"im2col: x is {dtype} but float32, float64 or float16 is expected"):
        kernels.im2col(x, 2)


def test_bfloat16_is_for_the_gpu(backend: Backend) -> None:
    dtype = pytest.importorskip("ml_dtypes", reason="bfloat16 needs ml_dtypes").bfloat16
    x = backend.asarray(np.zeros((1, 2, 3, 3), dtype))
    if not backend.is_host:
        assert kernels.im2col(x, 2).dtype == dtype
        return
    with pytest.raises(DTypeError, match=r"im2col: x is bfloat16, which only the GPU takes \(CuPy arrays\)"):
        kernels.im2col(x, 2)


def test_half_precision_is_rounded_once_and_keeps_the_memory_order(backend: Backend) -> None:
    random = np.random.default_rng(0)
    x, weight = (random.standard_normal(shape).astype(np.float16) for shape in ((2, 3, 5, 4), (4, 3, 2, 2)))
    wide = reference.conv2d(x.astype(np.float32), weight.astype(np.float32)).astype(np.float16)
    for algorithm in ("auto", "reference") if backend.is_host else ("auto",):
        y = kernels.conv2d(backend.asarray(x), backend.asarray(weight), algorithm=algorithm)
        assert (y.dtype, y.transpose(0, 2, 3, 1).flags.c_contiguous) == (np.float16, True)
        np.testing.assert_allclose(to_numpy(y), wide, rtol=2**-10, atol=1e-6)


def test_importing_kernels_loads_neither_numba_nor_cupy() -> None:
    code = "import sys, kernels; print(kernels.OWNER, 'numba' in sys.modules, 'cupy' in sys.modules)"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.split() == ["dlcore", "False", "False"]
