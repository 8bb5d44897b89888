"""What a call says that cannot work: one sentence with what was given and what is expected, for each such call.

`tests/robustness` throws generated input at the whole public face and asks for some documented exception; here stand
the sentences.
"""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import dlcore as dl
import kernels
from dlcore import data, io, nn, optim, random, train
from dlcore import functional as F
from dlcore.backend import common
from kernels.errors import (
    ArgumentError,
    DataError,
    DLCoreError,
    DTypeError,
    GraphError,
    IndexingError,
    MissingFileError,
    ShapeError,
    StateDictError,
)

Refusal = tuple[type[DLCoreError], str, Callable[[], Any]]


class Elsewhere:
    """An array of a machine that is neither a CPU nor a CUDA GPU."""

    def __dlpack__(self) -> None: ...

    def __dlpack_device__(self) -> tuple[int, int]:
        return 7, 0


def x() -> dl.Tensor:
    return dl.tensor(np.arange(6, dtype=np.float32).reshape(2, 3), requires_grad=True)


def empty() -> dl.Tensor:
    return dl.zeros((0, 3))


def array(*shape: int) -> Any:
    return dl.ones(shape).data


def sgd() -> optim.SGD:
    return optim.SGD(nn.Linear(2, 2).parameters(), lr=0.1)


def saved(**changes: Any) -> dict[str, Any]:
    """What SGD's state_dict gives, with something else in it."""
    return {**sgd().state_dict(), **changes}


def step(formula: Any, parameters: Any, numbers: Any) -> None:
    kernels.optimizer_step(formula, parameters, numbers)


def descend(w: Any, g: Any, lr: Any) -> Any:
    return (w - lr * g,)


ARRAYS: list[Refusal] = [
    (ShapeError, "split: axis 1 of length 3 cannot be cut into 2 equal parts", lambda: dl.split(x(), 2, axis=1)),
    (ArgumentError, "pad: expected a pair of ints from 0 for each of 2 axes, got 1", lambda: dl.pad(x(), 1)),  # type: ignore[arg-type]
    (ArgumentError, "pad: expected a pair of ints from 0 for each of 2 axes", lambda: dl.pad(x(), [(1, -1), (0, 0)])),
    (
        ShapeError,
        "pad: axis 1 of length 3 is too short to be mirrored by (3, 0)",
        lambda: dl.pad(x(), [(0, 0), (3, 0)], mode="reflect"),
    ),
    (
        ShapeError,
        "pad: axis 0 is empty and has no edge to repeat",
        lambda: dl.pad(empty(), [(1, 0), (0, 0)], mode="edge"),
    ),
    (
        ShapeError,
        "gather: indices must be integers with the 2 axes of x, got float32 of shape (2, 3)",
        lambda: dl.gather(x(), x().detach(), axis=0),
    ),
    (ArgumentError, "einsum: subscripts must be a str, got 3", lambda: dl.einsum(3, x())),  # type: ignore[arg-type]
    (ArgumentError, "einsum: expected at least one tensor, got none", lambda: dl.einsum("ij")),
    (ArgumentError, "einsum: expected letters, commas and one '->', got 'i2'", lambda: dl.einsum("i2", x())),
    (ArgumentError, "einsum: a letter stands twice in 'ii' of 'ii->i'", lambda: dl.einsum("ii->i", x())),
    (ArgumentError, "einsum: k of the output is in no input of 'ij->ik'", lambda: dl.einsum("ij->ik", x())),
    (
        ShapeError,
        "einsum: 'i->i' is for inputs of [1] axes, but they have [2]",
        lambda: dl.einsum("i->i", x()),
    ),
    (
        ShapeError,
        "einsum: 'j' in 'ij,jk->ik' is 3 long in one input and 2 in another (shapes (2, 3), (2, 3))",
        lambda: dl.einsum("ij,jk->ik", x(), x()),
    ),
    (ArgumentError, "clip: expected low, high or both, got neither", lambda: x().clip()),
    (ShapeError, "var: 2 values and correction=2.0 leave none (shape (2, 3))", lambda: x().var(0, correction=2)),
    (ShapeError, "logsumexp: axis 0 of shape (0, 3) is empty", lambda: empty().logsumexp(0)),
    (ShapeError, "argmax: there is none along axis 0 of shape (0, 3): it is empty", lambda: empty().argmax(0)),
    (ShapeError, "argmin: there is none along axis None of shape (0, 3): it is empty", lambda: empty().argmin()),
    (ShapeError, "squeeze: axis 1 of shape (2, 3) has length 3, not 1", lambda: x().squeeze(1)),
    (ShapeError, "softmax: axis 0 of shape (0, 3) is empty", lambda: empty().softmax(0)),
    (DTypeError, "softmax: expected numbers, got booleans", lambda: (x() > 1).softmax(0)),
    (DTypeError, "grad: inputs must be a Tensor or several, got int at 1", lambda: dl.grad(x().sum(), [x(), 3])),  # type: ignore[list-item]
    (DTypeError, "from_dlpack: the array lies on a device of type 7, ", lambda: dl.from_dlpack(Elsewhere())),
    (ArgumentError, "full: value must be a number, got 'one'", lambda: dl.full(3, "one")),  # type: ignore[arg-type]
    (ArgumentError, "arange: expected a step other than 0 and up to 2**60 values", lambda: dl.arange(0, 1, 0)),
    (DTypeError, "arange: booleans are no evenly spaced values", lambda: dl.arange(2, dtype=bool)),
    (DTypeError, "zeros: 'float33' is no type of elements", lambda: dl.zeros(2, dtype="float33")),
    (DTypeError, 'zeros: expected a type of real numbers like "float32"', lambda: dl.zeros(2, dtype=complex)),
    (ArgumentError, "zeros: there is no array of shape (1099511627776, 1099511627776)", lambda: dl.zeros((2**40,) * 2)),
    (DTypeError, "ReLU: expected a Tensor or an array, got float; make one with dl.tensor(…)", lambda: F.relu(1.0)),  # type: ignore[arg-type]
    (ArgumentError, "sum: keepdims must be True or False, got 2", lambda: x().sum(keepdims=2)),  # type: ignore[arg-type]
    (ArgumentError, "add: expected arrays by name, got ", lambda: common("add", [array(2)])),  # type: ignore[arg-type]
    (DTypeError, "from_dlpack: expected an array that has __dlpack__, got list", lambda: dl.from_dlpack([1.0])),
    (
        DTypeError,
        "gradcheck: input 1 must be a Tensor, got 2.0",
        lambda: dl.gradcheck(lambda a, b: a * b, [x(), 2.0]),  # type: ignore[list-item]
    ),
    (ArgumentError, "gradcheck: expected a function first, got 3", lambda: dl.gradcheck(3, [x()])),  # type: ignore[arg-type]
    (ArgumentError, "draw_graph: expected a Tensor, and Tensors by name, got 3", lambda: dl.draw_graph(3)),  # type: ignore[arg-type]
]

NETWORKS: list[Refusal] = [
    (
        ArgumentError,
        'conv1d: padding must be an int, (before, after), "same" or "valid", got (1, 2, 3)',
        lambda: F.conv1d(dl.ones((1, 2, 5)), dl.ones((3, 2, 2)), padding=(1, 2, 3)),  # type: ignore[arg-type]
    ),
    (
        DTypeError,
        "batch_norm: running_mean must be a Tensor of floats",
        lambda: F.batch_norm(x(), array(3), dl.ones(3), training=True),  # type: ignore[arg-type]
    ),
    (
        ShapeError,
        "layer_norm: x must end with the axes (2,), got x.shape=(2, 3)",
        lambda: F.layer_norm(x(), 2),
    ),
    (
        ShapeError,
        "layer_norm: weight must have shape (3,), got (2,)",
        lambda: F.layer_norm(x(), 3, weight=dl.ones(2)),
    ),
    (
        ArgumentError,
        "adaptive_max_pool2d: output_size=(300, 300) has more parts than the 65,536 at most",
        lambda: F.adaptive_max_pool2d(dl.ones((1, 1, 2, 2)), 300),
    ),
    (ArgumentError, "in_sequence: expected Modules, got function", lambda: nn.in_sequence(x(), F.relu)),  # type: ignore[arg-type]
    (ArgumentError, "ModuleDict: expected modules by name, got list", lambda: nn.ModuleDict([nn.ReLU()])),  # type: ignore[arg-type]
    (ArgumentError, "Residual: function must be a Module, got function", lambda: nn.Residual(F.relu)),  # type: ignore[arg-type]
    (ArgumentError, "LayerNorm: normalized_shape must be positive lengths, got 0", lambda: nn.LayerNorm(0)),
    (
        DTypeError,
        "init: expected a Tensor of floats",
        lambda: nn.init.he_normal_(dl.zeros((2, 2), dtype="int64")),
    ),
    (DTypeError, "astype: parameters are floating-point, and cannot be int32", lambda: nn.Linear(2, 2).astype("int32")),
    (StateDictError, "load_state_dict: expected arrays by name, got 3", lambda: nn.Linear(2, 2).load_state_dict(3)),  # type: ignore[arg-type]
    (
        StateDictError,
        "load_state_dict: Linear does not match: weight holds no real numbers",
        lambda: nn.Linear(2, 2).load_state_dict({"weight": "none", "bias": np.zeros(2)}),
    ),
    (DTypeError, "clip: parameters must be Tensors, got 3", lambda: nn.utils.clip_grad_norm_([3], 1.0)),  # type: ignore[list-item]
    (ArgumentError, "save: expected a Module or a mapping of arrays first, got int", lambda: io.save(3, "x")),  # type: ignore[arg-type]
    (ArgumentError, "load: expected a Module first and then a path, got str", lambda: io.load("x", nn.ReLU())),  # type: ignore[arg-type]
    (
        MissingFileError,
        "load: there is no file 'nothing.safetensors'",
        lambda: io.load(nn.ReLU(), "nothing.safetensors"),
    ),
]

TRAINING: list[Refusal] = [
    (ArgumentError, "Adam: betas must be two numbers, got (0.9,)", lambda: optim.Adam([x()], betas=(0.9,))),  # type: ignore[arg-type]
    (
        ArgumentError,
        "SGD: parameter 0 must be a leaf Tensor, got int; pass network.parameters()",
        lambda: optim.SGD([3], lr=0.1),  # type: ignore[list-item]
    ),
    (
        ArgumentError,
        "SGD: parameter 0 is int64, not a floating-point type",
        lambda: optim.SGD([dl.zeros(2, dtype="int64")], lr=0.1),
    ),
    (StateDictError, "SGD: expected what state_dict() gives, got 3", lambda: sgd().load_state_dict(3)),  # type: ignore[arg-type]
    (
        StateDictError,
        "SGD: the saved state of parameter 0 holds no arrays of numbers",
        lambda: sgd().load_state_dict(saved(state=[3, {}])),
    ),
    (
        StateDictError,
        "SGD: lr[0] must be a number at least 0.0, got -1.0 (in the saved state)",
        lambda: sgd().load_state_dict(saved(lr=[-1.0])),
    ),
    (
        StateDictError,
        "StepLR: expected what state_dict() gives, got 3",
        lambda: optim.StepLR(sgd(), 2).load_state_dict(3),  # type: ignore[arg-type]
    ),
    (
        StateDictError,
        "StepLR: expected what state_dict() gives, got ",
        lambda: optim.StepLR(sgd(), 2).load_state_dict({"count": -1, "initial": [0.1]}),
    ),
    (
        StateDictError,
        "(in the saved state)",
        lambda: optim.StepLR(sgd(), 2).load_state_dict({"count": 1, "initial": [-0.1]}),
    ),
    (
        StateDictError,
        "(in the saved state)",
        lambda: optim.ReduceLROnPlateau(sgd()).load_state_dict({"best": 1.0, "bad_steps": -1, "cooling": 0}),
    ),
    (
        ArgumentError,
        "OneCycleLR: expected an Optimizer first, got 3",
        lambda: optim.OneCycleLR(3, max_lr=1.0, total_steps=5),  # type: ignore[arg-type]
    ),
    (
        StateDictError,
        "Generator: expected a state of a seed and counters, got {}",
        lambda: random.Generator(0).load_state_dict({}),
    ),
    (ArgumentError, "random: purpose must be a str, got 3", lambda: random.Generator(0).uniform((2,), purpose=3)),  # type: ignore[arg-type]
    (
        DTypeError,
        "random numbers are floating-point, got dtype int32",
        lambda: random.Generator(0).uniform((2,), dtype="int32"),
    ),
    (
        ArgumentError,
        "evaluate: expected a network (a Module) first, got 3",
        lambda: train.evaluate(3, []),  # type: ignore[arg-type]
    ),
    (
        DataError,
        "expected batches (a DataLoader, or pairs of inputs and labels), got 3",
        lambda: train.evaluate(nn.Linear(2, 2), 3),  # type: ignore[arg-type]
    ),
    (ArgumentError, "DataLoader: expected a Dataset first, got list", lambda: data.DataLoader([1, 2])),  # type: ignore[arg-type]
    (ArgumentError, "Subset: expected a Dataset first, got list", lambda: data.Subset([1, 2], [0])),  # type: ignore[arg-type]
    (
        DataError,
        "Subset: indices must be one or more integers in one row",
        lambda: data.Subset(images(), [[0], [0, 1]]),  # type: ignore[list-item]
    ),
    (
        ArgumentError,
        "random_split: lengths must be several numbers, got 3",
        lambda: data.random_split(images(), 3),  # type: ignore[arg-type]
    ),
    (IndexingError, "ArrayDataset: only integers, slices", lambda: images()["a"]),  # type: ignore[index]
    (
        DataError,
        "ArrayDataset: classes must be a list of names, got int",
        lambda: data.ArrayDataset(np.zeros((2, 3), np.float32), np.zeros(2, np.int64), classes=3),  # type: ignore[arg-type]
    ),
]

KERNELS: list[Refusal] = [
    (
        ArgumentError,
        "conv2d: packed must be None or a dict, got 3.",
        lambda: kernels.conv2d(array(1, 1, 3, 3), array(1, 1, 2, 2), packed=3),  # type: ignore[arg-type]
    ),
    (
        ShapeError,
        "matmul: bias.shape is (2,) but (3,) is expected (b.shape=(2, 3)).",
        lambda: kernels.matmul(array(2, 2), array(2, 3), array(2)),
    ),
    (
        ShapeError,
        "relu_grad: grad_output and y must have one shape, got grad_output.shape=(2,), y.shape=(3,).",
        lambda: kernels.relu_grad(array(2), array(3)),
    ),
    (DTypeError, "relu: x must be a NumPy or CuPy array, got None.", lambda: kernels.relu(None)),
    (
        ShapeError,
        "conv2d: the output would have 4294967295×4294967295 cells, more than memory holds",
        lambda: kernels.conv2d(array(1, 1, 1, 1), array(1, 1, 1, 1), padding=2**31 - 1),
    ),
    (
        ArgumentError,
        "optimizer_step: formula must be a Python function, got 3.",
        lambda: step(3, [[array(2), array(2)]], [[0.1]]),
    ),
    (
        ArgumentError,
        "optimizer_step: parameters and numbers must be lists, of one length.",
        lambda: step(descend, 3, 3),
    ),
    (
        ArgumentError,
        "optimizer_step: expected numbers for each parameter, got 1 and 0.",
        lambda: step(descend, [[array(2), array(2)]], []),
    ),
    (
        ArgumentError,
        "optimizer_step: each parameter must be a list of its array, its gradient and what is kept.",
        lambda: step(descend, [[array(2)]], [[0.1]]),
    ),
    (
        ArgumentError,
        "optimizer_step: the formula takes 3 arguments, but there are 2 arrays and 2 numbers.",
        lambda: step(descend, [[array(2), array(2)]], [[0.1, 0.1]]),
    ),
    (
        ArgumentError,
        "optimizer_step: each of numbers must be a number, got 'a'",
        lambda: step(descend, [[array(2), array(2)]], [["a"]]),
    ),
    (
        DTypeError,
        "optimizer_step: arrays of floats are expected, got int64.",
        lambda: step(descend, [[array(2), dl.zeros(2, dtype="int64").data]], [[0.1]]),
    ),
    (
        ShapeError,
        "optimizer_step: the arrays of a parameter must have one shape, got [(2,), (3,)].",
        lambda: step(descend, [[array(2), array(3)]], [[0.1]]),
    ),
]

READ_ONLY: list[Refusal] = [
    (
        GraphError,
        "copy_: this tensor's memory is read-only; overwrite a copy of it",
        lambda: dl.Tensor(frozen(2)).copy_(np.zeros(2, np.float32)),
    ),
    (
        ArgumentError,
        "batch_norm: running_var is in read-only memory, and cannot be moved",
        lambda: F.batch_norm(x(), dl.zeros(3), dl.Tensor(frozen(3)), training=True),
    ),
    (
        ArgumentError,
        "optimizer_step: a parameter, or what is kept beside it, is in read-only memory.",
        lambda: step(descend, [[frozen(2), np.ones(2, np.float32)]], [[0.1]]),
    ),
]


def frozen(*shape: int) -> Any:
    ones = np.ones(shape, np.float32)
    ones.setflags(write=False)
    return ones


def images() -> data.ArrayDataset:
    return data.ArrayDataset(np.zeros((4, 1, 2, 2), np.float32), np.array([0, 1, 0, 1]))


def _refuses(refusal: Refusal) -> None:
    kind, sentence, call = refusal
    with pytest.raises(kind, match=re.escape(sentence)) as caught:
        call()
    assert type(caught.value) is kind
    assert "\n" not in str(caught.value)


def _named(refusals: list[Refusal]) -> Any:
    return pytest.mark.parametrize("refusal", refusals, ids=lambda refusal: refusal[1][:60])


@_named(ARRAYS + NETWORKS + TRAINING + KERNELS)
def test_the_call_says_what_is_wrong(backend: dl.backend.Backend, refusal: Refusal) -> None:
    _refuses(refusal)


@_named(READ_ONLY)
def test_memory_that_nobody_may_write(refusal: Refusal) -> None:
    _refuses(refusal)
