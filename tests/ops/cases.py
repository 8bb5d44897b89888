"""One case per operation and way to use it: what every test of derivatives runs over.

A new operation is one more line here; a test holds that none is missing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

import dlcore as dl
from dlcore import functional as F
from dlcore import ops


@dataclass(frozen=True)
class Case:
    """An operation, used in one way.

    Attributes:
        name: the test's id.
        op: the Function that it is about.
        function: takes Tensors of the shapes given, returns one Tensor.
        shapes: of the inputs.
        low: the inputs' values lie from here to `high`, all different and none 0.
        high: see `low`.
        peer: the same in PyTorch: takes the module and its tensors; "same" calls `function` on PyTorch's tensors; None
            where PyTorch has no such operation.
    """

    name: str
    op: type[dl.Function]
    function: Callable[..., dl.Tensor]
    shapes: Sequence[tuple[int, ...]]
    low: float = -2.0
    high: float = 2.1
    peer: Callable[..., Any] | str | None = "same"

    def arrays(self) -> list[np.ndarray]:
        """The inputs, float64: evenly spaced values in random order, so that no step of 1e-6 meets a tie or a kink."""
        rng = np.random.default_rng(len(self.name))
        return [rng.permutation(np.linspace(self.low, self.high, int(np.prod(s)))).reshape(s) for s in self.shapes]

    def on_torch(self, torch: ModuleType, *tensors: Any) -> Any:
        """The peer's result."""
        return self.function(*tensors) if self.peer == "same" else self.peer(torch, *tensors)

    def __str__(self) -> str:
        return self.name


WHERE = np.array([[True, False, True], [False, True, False]])
ROWS = np.array([2, 0, 2])
IMAGE = (2, 2, 3, 4)
#: Of IMAGE's 2×2 windows: which cell of each is the greatest.
WINNERS = np.arange(2 * 2 * 1 * 2).reshape(2, 2, 1, 2).astype(np.uint8) % 4
POOL = {"kernel_size": 2, "stride": None, "padding": 0, "dilation": 1, "ceil_mode": False}


def constant(values: np.ndarray) -> Any:
    """An array on the active backend."""
    return dl.backend.asarray(values)


def torch_pad(torch: ModuleType, x: Any, padding: Sequence[Sequence[int]]) -> Any:
    (top, bottom), (left, right) = padding
    return torch.nn.functional.pad(x, (left, right, top, bottom))


def convolution(
    name: str, x: tuple[int, ...], weight: tuple[int, ...], bias: bool, activation: Any = None, **options: Any
) -> Case:
    asymmetric = isinstance(options.get("padding"), tuple) and isinstance(options["padding"][0], tuple)

    def function(*inputs: dl.Tensor) -> dl.Tensor:
        return F.conv2d(*inputs, **options, activation=activation)

    def peer(torch: ModuleType, x: Any, *rest: Any) -> Any:
        padded = torch_pad(torch, x, options["padding"]) if asymmetric else x
        y = torch.nn.functional.conv2d(padded, *rest, **options | ({"padding": 0} if asymmetric else {}))
        return y if activation is None else y.relu()

    shapes = [x, weight, (weight[0],)] if bias else [x, weight]
    return Case(f"conv2d-{name}", ops.Conv2d, function, shapes, peer=peer)


def batch_norm(name: str, shape: tuple[int, ...], activation: Any = None) -> Case:
    def peer(torch: ModuleType, x: Any, weight: Any, bias: Any) -> Any:
        y = torch.nn.functional.batch_norm(x, None, None, weight, bias, training=True)
        return y if activation is None else y.relu()

    return Case(
        f"batch_norm-{name}",
        ops.BatchNorm,
        lambda x, weight, bias: F.batch_norm(x, None, None, weight, bias, training=True, activation=activation),
        [shape, shape[1:2], shape[1:2]],
        peer=peer,
    )


def batch_norm_inference(name: str, shape: tuple[int, ...], activation: Any = None) -> Case:
    def function(x: dl.Tensor, weight: dl.Tensor, bias: dl.Tensor, mean: dl.Tensor, var: dl.Tensor) -> dl.Tensor:
        return F.batch_norm(x, mean, var, weight, bias, activation=activation)

    def peer(torch: ModuleType, x: Any, weight: Any, bias: Any, mean: Any, var: Any) -> Any:
        # PyTorch's own takes the statistics for constants.
        y = ((x.movedim(1, -1) - mean) / (var + 1e-5).sqrt() * weight + bias).movedim(-1, 1)
        return y if activation is None else y.relu()

    shapes = [shape, *[shape[1:2]] * 4]
    return Case(f"batch_norm_inference-{name}", ops.BatchNormInference, function, shapes, low=0.2, peer=peer)


def layer_norm(name: str, shape: tuple[int, ...], normalized_shape: tuple[int, ...]) -> Case:
    return Case(
        f"layer_norm-{name}",
        ops.LayerNorm,
        lambda x, weight, bias: F.layer_norm(x, normalized_shape, weight, bias),
        [shape, normalized_shape, normalized_shape],
        peer=lambda torch, x, *rest: torch.nn.functional.layer_norm(x, normalized_shape, *rest),
    )


def cross_entropy(reduction: str) -> Case:
    return Case(
        f"cross_entropy-{reduction}",
        ops.CrossEntropy,
        lambda x: F.cross_entropy(x, constant(ROWS), reduction),
        [(3, 4)],
        peer=lambda torch, x: torch.nn.functional.cross_entropy(x, torch.from_numpy(ROWS), reduction=reduction),
    )


def dropout(x: dl.Tensor) -> dl.Tensor:
    dl.backend.seed(3)  # the same mask at each call
    return F.dropout(x, 0.4)


CASES = [
    # arithmetic
    Case("add", ops.Add, lambda a, b: a + b, [(2, 3), (2, 3)]),
    Case("add-broadcast", ops.Add, lambda a, b: a + b, [(2, 1, 3), (4, 1)]),
    Case("add-number", ops.Add, lambda a: 2 + a + 1.5, [(2, 3)]),
    Case("add-itself", ops.Add, lambda a: a + a, [(3,)]),
    Case("subtract", ops.Subtract, lambda a, b: a - b, [(2, 3), (3,)]),
    Case("subtract-number", ops.Subtract, lambda a: (1 - a) - 2.5, [(3,)]),
    Case("multiply", ops.Multiply, lambda a, b: a * b, [(2, 3), (2, 3)]),
    Case("multiply-broadcast", ops.Multiply, lambda a, b: a * b, [(3,), (2, 1)]),
    Case("multiply-number", ops.Multiply, lambda a: 2 * a * 1.5, [()]),
    Case("multiply-itself", ops.Multiply, lambda a: a * a * a, [(3,)]),
    Case("divide", ops.Divide, lambda a, b: a / b, [(2, 3), (3,)], low=0.5),
    Case("divide-number", ops.Divide, lambda a: (2 / a) / 3, [(4,)]),
    Case("negative", ops.Negative, lambda a: -a, [(2, 3)]),
    Case(
        "floor_divide",
        ops.FloorDivide,
        lambda a, b: ((a + 0.05) // b) * a * b,
        [(2, 3), (3,)],
        low=0.5,
        peer=lambda torch, a, b: ((a + 0.05) / b).floor() * a * b,
    ),
    Case("remainder", ops.Remainder, lambda a, b: ((a + 0.05) % b) * a, [(2, 3), (3,)], low=0.5),
    Case(
        "remainder-of-number",
        ops.Remainder,
        lambda b: (7.03 % b) * b,
        [(4,)],
        low=0.5,
        peer=lambda torch, b: (7.03 - (7.03 / b).floor() * b) * b,
    ),
    Case("power", ops.Power, lambda a, b: a**b, [(2, 3), (3,)], low=0.5),
    Case("power-number", ops.Power, lambda a: a**3 + a**2 + a**1 + a**0, [(4,)]),
    Case("power-of-number", ops.Power, lambda a: 2**a, [(4,)]),
    # element by element
    Case("exp", ops.Exp, lambda x: x.exp(), [(2, 3)]),
    Case("log", ops.Log, lambda x: x.log(), [(2, 3)], low=0.5),
    Case("sqrt", ops.Sqrt, lambda x: x.sqrt(), [(2, 3)], low=0.5),
    Case("tanh", ops.Tanh, lambda x: x.tanh(), [(2, 3)]),
    Case("sigmoid", ops.Sigmoid, lambda x: x.sigmoid(), [(2, 3)], low=-8.0, high=8.1),
    Case("softplus", ops.Softplus, F.softplus, [(2, 3)], peer=lambda torch, x: torch.nn.functional.softplus(x)),
    Case("relu", ops.ReLU, lambda x: x.relu(), [(2, 3)]),
    Case(
        "relu_grad",
        ops.ReLUGrad,
        lambda g: ops.ReLUGrad.apply(g, y=constant(WHERE.astype(g.dtype))),
        [(2, 3)],
        peer=lambda torch, g: g * torch.tensor(WHERE),
    ),
    Case(
        "where",
        ops.Where,
        lambda a, b: dl.where(constant(WHERE), a, b),
        [(2, 3), (3,)],
        peer=lambda torch, a, b: torch.where(torch.from_numpy(WHERE), a, b),
    ),
    Case(
        "where-number",
        ops.Where,
        lambda a: dl.where(constant(WHERE), a, 0.5),
        [(3,)],
        peer=lambda torch, a: torch.where(torch.from_numpy(WHERE), a, 0.5),
    ),
    Case("log1p", ops.Log1p, lambda x: x.log1p(), [(2, 3)], low=-0.9),
    Case("expm1", ops.Expm1, lambda x: x.expm1(), [(2, 3)]),
    Case("sin", ops.Sin, lambda x: x.sin(), [(2, 3)]),
    Case("cos", ops.Cos, lambda x: x.cos(), [(2, 3)]),
    Case("erf", ops.Erf, lambda x: x.erf(), [(2, 3)]),
    Case("abs", ops.Abs, lambda x: x.abs() * x, [(2, 3)]),
    Case("sign", ops.Sign, lambda x: x.sign() * x, [(2, 3)]),
    Case("floor", ops.Floor, lambda x: x.floor() * x, [(2, 3)], low=-1.9),
    Case("round", ops.Round, lambda x: x.round() * x, [(2, 3)]),
    Case("clip", ops.Clip, lambda x: x.clip(-1.1, 1.2), [(2, 3)]),
    Case(
        "clip-below", ops.Clip, lambda x: x.clip(low=-1.1) ** 2, [(2, 3)], peer=lambda torch, x: x.clip(min=-1.1) ** 2
    ),
    Case("clip-above", ops.Clip, lambda x: x.clip(high=1.2), [(2, 3)], peer=lambda torch, x: x.clip(max=1.2)),
    Case(
        "maximum",
        ops.Maximum,
        lambda a, b: dl.maximum(a, b + 0.1),
        [(2, 3), (3,)],
        peer=lambda torch, a, b: torch.maximum(a, b + 0.1),
    ),
    Case("maximum-number", ops.Maximum, lambda a: dl.maximum(a, 0.3), [(2, 3)], peer=lambda torch, a: a.clip(min=0.3)),
    Case(
        "minimum",
        ops.Minimum,
        lambda a, b: dl.minimum(a, b + 0.1),
        [(2, 1), (3,)],
        peer=lambda torch, a, b: torch.minimum(a, b + 0.1),
    ),
    Case("minimum-number", ops.Minimum, lambda b: dl.minimum(0.3, b), [(2, 3)], peer=lambda torch, b: b.clip(max=0.3)),
    Case("elementwise-0d", ops.Exp, lambda x: x.exp() * x.tanh() * x.sigmoid() * (x * x).sqrt() * x**2, [()]),
    Case("clip-0d", ops.Clip, lambda x: x.clip(-3.0, 3.0) ** 2, [()]),
    Case("maximum-0d", ops.Maximum, lambda a, b: dl.maximum(a, b - 1.0) * a, [(), ()], peer=None),
    Case("minimum-0d", ops.Minimum, lambda a, b: dl.minimum(a, b - 1.0) * a, [(), ()], peer=None),
    # reductions
    Case("sum", ops.Sum, lambda x: x.sum(), [(2, 3)]),
    Case("sum-axis", ops.Sum, lambda x: x.sum(axis=1), [(2, 3, 2)]),
    Case("sum-axes", ops.Sum, lambda x: x.sum(axis=(0, -1), keepdims=True), [(2, 3, 2)]),
    Case("mean", ops.Sum, lambda x: x.mean(axis=-1, keepdims=True), [(2, 3)]),
    Case("max", ops.Max, lambda x: x.max(), [(2, 3)]),
    Case("max-axis", ops.Max, lambda x: x.max(axis=1), [(2, 3, 2)], peer=lambda torch, x: x.amax(1)),
    Case(
        "max-axes",
        ops.Max,
        lambda x: x.max(axis=(2, 0), keepdims=True),
        [(2, 3, 2)],
        peer=lambda torch, x: x.amax((0, 2), keepdim=True),
    ),
    Case("max-0d", ops.Max, lambda x: x.max() * x.sum(), [()]),
    Case("min-axis", ops.Max, lambda x: x.min(axis=1), [(2, 3, 2)], peer=lambda torch, x: x.amin(1)),
    Case("var", ops.Sum, lambda x: x.var(), [(2, 3)], peer=lambda torch, x: x.var(correction=0)),
    Case(
        "std-axis",
        ops.Sum,
        lambda x: x.std(axis=(0, 2), correction=1, keepdims=True),
        [(2, 3, 2)],
        peer=lambda torch, x: x.std((0, 2), correction=1, keepdim=True),
    ),
    Case("prod", ops.Multiply, lambda x: x.prod(), [(5,)]),
    Case(
        "prod-axis",
        ops.Multiply,
        lambda x: x.prod(axis=1, keepdims=True),
        [(2, 3, 2)],
        peer=lambda torch, x: x.prod(1, keepdim=True),
    ),
    Case(
        "prod-axes", ops.Multiply, lambda x: x.prod(axis=(0, 2)), [(2, 2, 3)], peer=lambda torch, x: x.prod(2).prod(0)
    ),
    Case("cumsum", ops.CumSum, lambda x: x.cumsum(axis=1) ** 2, [(2, 3, 2)]),
    Case("cumsum-first", ops.CumSum, lambda x: x.cumsum(axis=0), [(3, 2)]),
    Case("logsumexp", ops.Exp, lambda x: x.logsumexp(1), [(2, 3)]),
    Case("logsumexp-all", ops.Exp, lambda x: x.logsumexp(), [(2, 3)], peer=lambda torch, x: x.logsumexp((0, 1))),
    Case("softmax", ops.Softmax, lambda x: x.softmax(-1), [(2, 4)]),
    Case("softmax-axis", ops.Softmax, lambda x: x.softmax(0), [(3, 2)]),
    Case("log_softmax", ops.LogSoftmax, lambda x: x.log_softmax(-1), [(2, 4)]),
    Case("log_softmax-axis", ops.LogSoftmax, lambda x: x.log_softmax(1), [(2, 3, 2)]),
    # shape
    Case("reshape", ops.Reshape, lambda x: x.reshape(3, -1), [(2, 3)]),
    Case("flatten", ops.Reshape, lambda x: x.flatten(1), [(2, 3, 2)]),
    Case(
        "permute_dims",
        ops.PermuteDims,
        lambda x: x.permute_dims((1, -1, 0)),
        [(2, 3, 2)],
        peer=lambda torch, x: x.permute(1, 2, 0),
    ),
    Case("transpose", ops.PermuteDims, lambda x: x.mT, [(2, 3, 2)]),
    Case("broadcast_to", ops.BroadcastTo, lambda x: x.broadcast_to((2, 3, 4)), [(3, 1)]),
    Case(
        "sum_to",
        ops.SumTo,
        lambda x: ops.SumTo.apply(x, shape=(3, 1)),
        [(2, 3, 4)],
        peer=lambda torch, x: x.sum_to_size(3, 1),
    ),
    Case(
        "sum_to-ones",
        ops.SumTo,
        lambda x: ops.SumTo.apply(x, shape=(1, 1)) ** 2,
        [(1, 3, 1)],
        peer=lambda torch, x: x.sum_to_size(1, 1) ** 2,
    ),
    Case("getitem-slice", ops.GetItem, lambda x: x[1:, ..., None, ::2], [(3, 4)]),
    Case("getitem-number", ops.GetItem, lambda x: x[-1], [(3, 2)]),
    Case("getitem-repeated", ops.GetItem, lambda x: x[[2, 0, 2]], [(3, 2)]),
    Case(
        "getitem-arrays",
        ops.GetItem,
        lambda x: x[constant(ROWS), constant(ROWS)],
        [(3, 3)],
        peer=lambda torch, x: x[ROWS, ROWS],
    ),
    Case("getitem-mask", ops.GetItem, lambda x: x[constant(WHERE)], [(2, 3)], peer=lambda torch, x: x[WHERE]),
    Case(
        "putitem",
        ops.PutItem,
        lambda x: ops.PutItem.apply(x, index=(slice(None), 1), shape=(2, 3)),
        [(2,)],
        peer=lambda torch, x: torch.stack([0 * x, x, 0 * x], dim=1),
    ),
    Case(
        "putitem-repeated",
        ops.PutItem,
        lambda x: ops.PutItem.apply(x, index=constant(ROWS), shape=(3, 2)),
        [(3, 2)],
        peer=lambda torch, x: torch.zeros((3, 2), dtype=x.dtype).index_add(0, torch.from_numpy(ROWS), x),
    ),
    Case(
        "concat",
        ops.Concat,
        lambda a, b: dl.concat([a, b, a], axis=-1),
        [(2, 3), (2, 1)],
        peer=lambda torch, a, b: torch.concat([a, b, a], dim=1),
    ),
    Case(
        "stack",
        ops.Concat,
        lambda a, b: dl.stack([a, b], axis=1),
        [(2, 3), (2, 3)],
        peer=lambda torch, a, b: torch.stack([a, b], dim=1),
    ),
    Case("squeeze", ops.Reshape, lambda x: x.squeeze(1).squeeze(), [(2, 1, 3, 1)]),
    Case("expand_dims", ops.Reshape, lambda x: x.expand_dims(-1), [(2, 3)], peer=lambda torch, x: x.unsqueeze(-1)),
    Case(
        "split",
        ops.GetItem,
        lambda x: dl.split(x, 2, axis=1)[1] * dl.split(x, [1, 3], axis=1)[1],
        [(2, 4)],
        peer=lambda torch, x: x[:, 2:] * x[:, 1:3],
    ),
    Case(
        "pad",
        ops.PutItem,
        lambda x: dl.pad(x, [(1, 0), (0, 2)], value=3.0) ** 2,
        [(2, 3)],
        peer=lambda torch, x: torch.nn.functional.pad(x, (0, 2, 1, 0), value=3.0) ** 2,
    ),
    Case(
        "pad-reflect",
        ops.Concat,
        lambda x: dl.pad(x, [(0, 0), (1, 2)], "reflect"),
        [(2, 3)],
        peer=lambda torch, x: torch.nn.functional.pad(x, (1, 2), "reflect"),
    ),
    Case(
        "pad-edge",
        ops.Concat,
        lambda x: dl.pad(x, [(0, 0), (1, 2)], "edge"),
        [(2, 3)],
        peer=lambda torch, x: torch.nn.functional.pad(x, (1, 2), "replicate"),
    ),
    Case("flip", ops.GetItem, lambda x: dl.flip(x, 1), [(2, 3)], peer=lambda torch, x: x.flip(1)),
    Case("roll", ops.Concat, lambda x: dl.roll(x, -4, axis=1), [(2, 3)], peer=lambda torch, x: x.roll(-4, 1)),
    Case(
        "take",
        ops.GetItem,
        lambda x: dl.take(x, constant(ROWS), axis=1),
        [(2, 3)],
        peer=lambda torch, x: x[:, ROWS],
    ),
    Case(
        "gather",
        ops.GetItem,
        lambda x: dl.gather(x, constant(ROWS[:, None]), axis=1),
        [(3, 3)],
        peer=lambda torch, x: torch.gather(x, 1, torch.from_numpy(ROWS[:, None])),
    ),
    Case("astype", ops.AsType, lambda x: ops.AsType.apply(x, dtype=x.dtype), [(2, 3)], peer=None),
    Case("transfer", ops.Transfer, lambda x: ops.Transfer.apply(x, to=x.backend), [(2, 3)], peer=None),
    # products
    Case("matmul", ops.Matmul, lambda a, b: a @ b, [(2, 3), (3, 4)]),
    Case("matmul-vectors", ops.Matmul, lambda a, b: a @ b, [(3,), (3,)]),
    Case("matmul-matrix-vector", ops.Matmul, lambda a, b: a @ b, [(2, 3), (3,)]),
    Case("matmul-stacks", ops.Matmul, lambda a, b: a @ b, [(2, 1, 2, 3), (3, 3, 2)]),
    *(
        Case(
            f"einsum-{subscripts}",
            ops.Einsum,
            lambda *inputs, subscripts=subscripts: dl.einsum(subscripts, *inputs),
            shapes,
            peer=lambda torch, *inputs, subscripts=subscripts: torch.einsum(subscripts, *inputs),
        )
        for subscripts, shapes in {
            "ij,jk->ik": [(2, 3), (3, 2)],
            "ij->j": [(2, 3)],
            "ij->i": [(2, 3)],
            "nij,njk,k->ni": [(2, 2, 3), (2, 3, 2), (2,)],
            "i,j": [(2,), (3,)],
        }.items()
    ),
    Case(
        "linear",
        ops.Linear,
        F.linear,
        [(4, 3), (2, 3), (2,)],
        peer=lambda torch, *inputs: torch.nn.functional.linear(*inputs),
    ),
    Case(
        "linear-without-bias",
        ops.Linear,
        F.linear,
        [(2, 2, 3), (2, 3)],
        peer=lambda torch, *inputs: torch.nn.functional.linear(*inputs),
    ),
    *(
        Case(
            f"linear-relu-{len(shapes)}",
            ops.Linear,
            lambda *inputs: F.linear(*inputs, activation="relu"),
            shapes,
            peer=lambda torch, *inputs: torch.nn.functional.linear(*inputs).relu(),
        )
        for shapes in ([(4, 3), (2, 3)], [(2, 2, 3), (2, 3), (2,)])
    ),
    # convolution
    convolution("plain", IMAGE, (3, 2, 3, 3), bias=True),
    convolution("strided", IMAGE, (2, 2, 2, 3), bias=False, stride=(1, 2), padding=(1, 2)),
    convolution("dilated", (1, 2, 4, 3), (2, 2, 2, 2), bias=True, dilation=(2, 1), padding=1),
    convolution("grouped", (1, 4, 2, 3), (4, 2, 2, 3), bias=True, groups=2, padding=1),
    convolution("depthwise", (1, 3, 4, 4), (6, 1, 2, 2), bias=True, groups=3, stride=2),
    convolution("asymmetric", (1, 2, 3, 3), (2, 2, 3, 2), bias=False, padding=((0, 1), (2, 0))),
    convolution("same", (1, 2, 3, 4), (2, 2, 3, 3), bias=True, padding="same"),
    convolution("pointwise", IMAGE, (3, 2, 1, 1), bias=True),
    convolution("relu", IMAGE, (3, 2, 2, 2), bias=True, activation="relu"),
    Case(
        "conv2d_input_grad",
        ops.Conv2dInputGrad,
        lambda y, w: ops.Conv2dInputGrad.apply(y, w, input_shape=(1, 2, 3, 5), stride=2, padding=1),
        [(1, 2, 2, 3), (2, 2, 3, 3)],
        peer=lambda torch, y, w: torch.nn.functional.conv_transpose2d(y, w, stride=2, padding=1),
    ),
    Case(
        "conv2d_weight_grad",
        ops.Conv2dWeightGrad,
        lambda x, y: ops.Conv2dWeightGrad.apply(x, y, weight_shape=(2, 2, 2, 2), stride=1, padding=0),
        [(1, 2, 4, 4), (1, 2, 3, 3)],
        peer=lambda torch, x, y: torch.nn.functional.conv2d(x.transpose(0, 1), y.transpose(0, 1)).transpose(0, 1),
    ),
    Case(
        "channel_sum",
        ops.ChannelSum,
        ops.ChannelSum.apply,
        [IMAGE],
        peer=lambda torch, y: y.sum(dim=(0, 2, 3)),
    ),
    # pooling
    Case(
        "max_pool2d",
        ops.MaxPool2d,
        lambda x: F.max_pool2d(x, 2),
        [IMAGE],
        peer=lambda torch, x: torch.nn.functional.max_pool2d(x, 2),
    ),
    Case(
        "max_pool2d-overlapping",
        ops.MaxPool2d,
        lambda x: F.max_pool2d(x, 3, 2, 1, ceil_mode=True),
        [IMAGE],
        peer=lambda torch, x: torch.nn.functional.max_pool2d(x, 3, 2, 1, ceil_mode=True),
    ),
    Case(
        "max_pool2d-dilated",
        ops.MaxPool2d,
        lambda x: F.max_pool2d(x, 2, 1, dilation=2),
        [IMAGE],
        peer=lambda torch, x: torch.nn.functional.max_pool2d(x, 2, 1, dilation=2),
    ),
    Case(
        "max_pool2d_scatter",
        ops.MaxPool2dScatter,
        lambda y: ops.MaxPool2dScatter.apply(y, input_shape=IMAGE, argmax=constant(WINNERS), options=POOL),
        [WINNERS.shape],
        peer=None,
    ),
    Case(
        "max_pool2d_gather",
        ops.MaxPool2dGather,
        lambda x: ops.MaxPool2dGather.apply(x, argmax=constant(WINNERS), options=POOL),
        [IMAGE],
        peer=None,
    ),
    Case(
        "avg_pool2d",
        ops.AvgPool2d,
        lambda x: F.avg_pool2d(x, 2),
        [IMAGE],
        peer=lambda torch, x: torch.nn.functional.avg_pool2d(x, 2),
    ),
    Case(
        "avg_pool2d-padded",
        ops.AvgPool2d,
        lambda x: F.avg_pool2d(x, 3, 2, 1, True, False),
        [IMAGE],
        peer=lambda torch, x: torch.nn.functional.avg_pool2d(x, 3, 2, 1, True, False),
    ),
    Case(
        "avg_pool2d_spread",
        ops.AvgPool2dSpread,
        lambda y: ops.AvgPool2dSpread.apply(y, input_shape=(1, 2, 4, 4), kernel_size=2, stride=2),
        [(1, 2, 2, 2)],
        peer=lambda torch, y: torch.nn.functional.interpolate(y, scale_factor=2) / 4,
    ),
    Case(
        "global_avg_pool2d",
        ops.AvgPool2d,
        F.global_avg_pool2d,
        [IMAGE],
        peer=lambda torch, x: x.mean(dim=(2, 3), keepdim=True),
    ),
    Case(
        "global_max_pool2d",
        ops.MaxPool2d,
        F.global_max_pool2d,
        [IMAGE],
        peer=lambda torch, x: x.amax(dim=(2, 3), keepdim=True),
    ),
    # layers and losses
    Case("dropout", ops.Dropout, dropout, [(3, 4)], peer=None),
    Case("dropout-images", ops.Dropout, dropout, [(2, 3, 2, 2)], peer=None),
    Case(
        "dropout_grad",
        ops.DropoutGrad,
        lambda g: ops.DropoutGrad.apply(g, kept=constant(WHERE), p=0.5),
        [(2, 3)],
        peer=lambda torch, g: 2 * g * torch.tensor(WHERE),
    ),
    batch_norm("rows", (4, 3)),
    batch_norm("sequences", (4, 3, 2)),
    batch_norm("images", (2, 2, 2, 3)),
    batch_norm("images-relu", (2, 2, 2, 3), "relu"),
    batch_norm_inference("rows", (4, 3)),
    batch_norm_inference("images-relu", (2, 2, 2, 3), "relu"),
    layer_norm("rows", (3, 4), (4,)),
    layer_norm("two-axes", (2, 2, 3, 2), (3, 2)),
    cross_entropy("mean"),
    cross_entropy("sum"),
    cross_entropy("none"),
    Case(
        "binary_cross_entropy",
        ops.Softplus,
        lambda x, t: F.binary_cross_entropy_with_logits(x, t),
        [(2, 3), (2, 3)],
        low=0.1,
        high=0.9,
        peer=lambda torch, x, t: torch.nn.functional.binary_cross_entropy_with_logits(x, t),
    ),
    Case(
        "mse_loss",
        ops.Multiply,
        lambda x, t: F.mse_loss(x, t),
        [(2, 3), (2, 3)],
        peer=lambda torch, x, t: torch.nn.functional.mse_loss(x, t),
    ),
]
