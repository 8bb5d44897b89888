"""What the benchmarks are held against: how many times faster than which peer dlcore should be.

The one place where goals stand. A goal is met by the geometric mean of a group's ratios (the peer's time divided by
ours). A single row may instead come close to what the machine can do at all, and none may be much slower than the
peer.
"""

from collections.abc import Mapping

from benchmarks.cases import (
    BATCH_NORM,
    DEPTHWISE,
    FORWARD,
    INPUT_GRAD,
    MAX_POOL,
    MNIST,
    POINTWISE,
    SQUARE,
    STRIDED,
    WEIGHT_GRAD,
)

PYTHON_LOOPS, NUMBA_LOOPS, TEXTBOOK = "Python loops", "Numba loops", "textbook NumPy"
PYTORCH, PYTORCH_BEST, ONNX_RUNTIME = "PyTorch", "PyTorch best", "ONNX Runtime"

#: A row below this ratio to PyTorch at its best is marked, unless it reaches `NEAR_CEILING` of what can be done.
LEAST_RATIO = 0.9
NEAR_CEILING = 0.9

#: Group, pass and peer; of whole networks: the network, what it does, and the peer.
Key = tuple[str, str, str]


def _best(group: str, forward: float, input_grad: float, weight_grad: float | None = None) -> dict[Key, float]:
    passes = {FORWARD: forward, INPUT_GRAD: input_grad, WEIGHT_GRAD: weight_grad}
    return {(group, name, PYTORCH_BEST): goal for name, goal in passes.items() if goal is not None}


#: Kernels against frameworks, on all cores.
KERNEL_GOALS: Mapping[Key, float] = {
    **_best(MNIST, 1.5, 1.5, 1.5),
    **_best(SQUARE, 1.6, 1.5, 1.3),
    **_best(POINTWISE, 1.1, 1.1, 1.1),
    **_best(STRIDED, 1.1, 1.1, 1.1),
    **_best(DEPTHWISE, 1.5, 1.5, 2.0),
    **_best(MAX_POOL, 1.3, 1.3),
    **_best(BATCH_NORM, 1.5, 1.5),
    (MAX_POOL, FORWARD, PYTORCH): 4.0,
    (MAX_POOL, INPUT_GRAD, PYTORCH): 4.0,
}

STEP = "training step, batch 100"

#: Whole networks.
STEP_GOALS: Mapping[Key, float] = {
    ("DeepConvNet", STEP, PYTORCH_BEST): 2.0,
    ("DeepConvNet", STEP, PYTORCH): 3.0,
    ("DeepConvNet", STEP, TEXTBOOK): 40.0,
    ("MLP 784-50-10", STEP, PYTORCH_BEST): 1.5,
}

BOOK_STEP = "gradient and Adam, batch 100, float64"

#: Scripts of the book, under `dlcore.book`.
BOOK_GOALS: Mapping[Key, float] = {("the book's DeepConvNet", BOOK_STEP, TEXTBOOK): 10.0}

COLD_IMPORT = "import dlcore"
COLD_EMPTY = "import dlcore and the first DeepConvNet step, empty kernel cache"
COLD_WARM = "import dlcore and the first DeepConvNet step, warm kernel cache"

#: Seconds, at most.
COLD_GOALS: Mapping[str, float] = {COLD_IMPORT: 0.3, COLD_EMPTY: 20.0, COLD_WARM: 1.5}


def loop_goal(kernel: str, peer: str) -> float:
    """How many times faster than naive loops, or the textbook's NumPy, a kernel should be."""
    if peer == PYTHON_LOOPS:
        return 1000.0
    if peer == NUMBA_LOOPS:
        return 30.0 if kernel.startswith("conv2d") else 3.0
    return 5.0
