"""One case per function of `dlcore.functional` that is made of other operations, and way to use it.

Every test of derivatives runs over them, as over the operations of `cases.py`.
"""

from types import ModuleType
from typing import Any

import numpy as np

import dlcore as dl
from dlcore import functional as F
from dlcore import ops
from tests.ops.cases import IMAGE, ROWS, Case, constant

CLASS_WEIGHTS = np.array([0.5, 2.0, 1.0, 0.25])
IGNORED = np.array([2, -100, 0])
PROBABILITIES = np.array([[0.1, 0.2, 0.3, 0.4], [0.0, 1.0, 0.0, 0.0], [0.25, 0.25, 0.5, 0.0]])


def case(
    name: str,
    op: type[dl.Function],
    shapes: list[tuple[int, ...]],
    *arguments: Any,
    label: str = "",
    low: float = -2.0,
    high: float = 2.1,
    **options: Any,
) -> Case:
    """The function `name` with these arguments behind its tensors, as in PyTorch."""
    return Case(
        f"{name}-{label}" if label else name,
        op,
        lambda *inputs: getattr(F, name)(*inputs, *arguments, **options),
        shapes,
        low,
        high,
        lambda torch, *inputs: getattr(torch.nn.functional, name)(*inputs, *arguments, **options),
    )


def cross_entropy(label: str, target: np.ndarray, weight: np.ndarray | None = None, **options: Any) -> Case:
    """Against class indices or probabilities, with options that PyTorch has too."""

    def function(x: dl.Tensor) -> dl.Tensor:
        labels = target if target.dtype.kind == "i" else target.astype(x.dtype)
        weights = None if weight is None else constant(weight.astype(x.dtype))
        return F.cross_entropy(x, constant(labels), weight=weights, **options)

    def peer(torch: ModuleType, x: Any) -> Any:
        weights = None if weight is None else torch.from_numpy(weight)
        return torch.nn.functional.cross_entropy(x, torch.from_numpy(target), weight=weights, **options)

    return Case(f"cross_entropy-{label}", ops.LogSoftmax, function, [(3, 4)], peer=peer)


FUNCTIONAL_CASES = [
    # activations
    case("leaky_relu", ops.Where, [(2, 3)]),
    case("leaky_relu", ops.Where, [(2, 3)], 0.3, label="steep"),
    case("elu", ops.Expm1, [(2, 3)]),
    case("elu", ops.Expm1, [(2, 3)], 0.4, label="alpha"),
    case("selu", ops.Expm1, [(2, 3)]),
    case("gelu", ops.Multiply, [(2, 3)]),
    case("silu", ops.Sigmoid, [(2, 3)]),
    case("hardswish", ops.Clip, [(3, 3)], low=-5.0, high=5.2),
    # convolutions
    case("conv1d", ops.Conv2d, [(2, 2, 6), (3, 2, 3), (3,)]),
    case("conv1d", ops.Conv2d, [(1, 4, 7), (4, 2, 2)], None, 2, 1, 2, 2, label="options"),
    case("conv1d", ops.Conv2d, [(1, 2, 5), (2, 2, 3), (2,)], 1, "same", label="same"),
    Case(
        "conv1d-asymmetric",
        ops.Conv2d,
        lambda x, w: F.conv1d(x, w, padding=(2, 0)),
        [(1, 2, 4), (2, 2, 3)],
        peer=lambda torch, x, w: torch.nn.functional.conv1d(torch.nn.functional.pad(x, (2, 0)), w),
    ),
    case("conv_transpose1d", ops.Conv2dInputGrad, [(2, 2, 4), (2, 3, 3), (3,)]),
    case("conv_transpose1d", ops.Conv2dInputGrad, [(1, 4, 3), (4, 2, 3)], None, 3, 1, 2, 2, 2, label="options"),
    case("conv_transpose2d", ops.Conv2dInputGrad, [IMAGE, (2, 3, 2, 3), (3,)]),
    case("conv_transpose2d", ops.Conv2dInputGrad, [(1, 2, 3, 2), (2, 2, 3, 2)], None, (2, 1), (1, 0), label="strided"),
    case(
        *("conv_transpose2d", ops.Conv2dInputGrad, [(1, 4, 2, 3), (4, 1, 2, 2), (2,)]),
        *((2, 3), 1, (1, 2), 2, (2, 1)),
        label="options",
    ),
    case("unfold", ops.Unfold, [IMAGE], 2),
    case("unfold", ops.Unfold, [(1, 2, 5, 4)], (3, 2), (1, 2), (1, 0), (2, 1), label="options"),
    case("fold", ops.Fold, [(2, 8, 6)], (3, 4), 2),
    case("fold", ops.Fold, [(1, 12, 6)], (5, 4), (3, 2), (1, 2), (1, 0), (2, 1), label="options"),
    # pooling
    case("adaptive_avg_pool2d", ops.AvgPool2d, [(1, 2, 4, 6)], (2, 3)),
    case("adaptive_avg_pool2d", ops.Matmul, [(1, 2, 5, 4)], 3, label="uneven"),
    case("adaptive_avg_pool2d", ops.Matmul, [(1, 2, 2, 3)], (3, 5), label="larger"),
    case("adaptive_max_pool2d", ops.MaxPool2d, [(1, 2, 4, 6)], (2, 3)),
    case("adaptive_max_pool2d", ops.Max, [(1, 2, 5, 4)], 3, label="uneven"),
    # normalization and tables
    Case(
        "group_norm",
        ops.LayerNorm,
        lambda x, w, b: F.group_norm(x, 2, w, b),
        [(2, 4, 3), (4,), (4,)],
        peer=lambda torch, x, w, b: torch.nn.functional.group_norm(x, 2, w, b),
    ),
    case("group_norm", ops.LayerNorm, [(2, 6, 2, 2)], 3, label="plain"),
    Case(
        "instance_norm",
        ops.LayerNorm,
        lambda x, w, b: F.instance_norm(x, weight=w, bias=b),
        [IMAGE, (2,), (2,)],
        peer=lambda torch, x, w, b: torch.nn.functional.instance_norm(x, weight=w, bias=b),
    ),
    Case(
        "embedding",
        ops.GetItem,
        lambda weight: F.embedding(constant(ROWS.reshape(3, 1)), weight),
        [(3, 2)],
        peer=lambda torch, weight: torch.nn.functional.embedding(torch.from_numpy(ROWS.reshape(3, 1)), weight),
    ),
    # losses
    cross_entropy("weighted", ROWS, CLASS_WEIGHTS),
    cross_entropy("weighted-sum", ROWS, CLASS_WEIGHTS, reduction="sum"),
    cross_entropy("ignored", IGNORED, ignore_index=-100),
    cross_entropy("smoothed", ROWS, label_smoothing=0.2),
    cross_entropy("all", IGNORED, CLASS_WEIGHTS, ignore_index=-100, label_smoothing=0.1),
    cross_entropy("all-none", IGNORED, CLASS_WEIGHTS, ignore_index=-100, label_smoothing=0.1, reduction="none"),
    cross_entropy("probabilities", PROBABILITIES),
    cross_entropy("probabilities-all", PROBABILITIES, CLASS_WEIGHTS, label_smoothing=0.3, reduction="sum"),
    Case(
        "cross_entropy-learned-target",
        ops.LogSoftmax,
        F.cross_entropy,
        [(2, 3), (2, 3)],
        peer=lambda torch, x, target: torch.nn.functional.cross_entropy(x, target),
    ),
    Case(
        "nll_loss",
        ops.GetItem,
        lambda x: F.nll_loss(x, constant(ROWS)),
        [(3, 4)],
        peer=lambda torch, x: torch.nn.functional.nll_loss(x, torch.from_numpy(ROWS)),
    ),
    # PyTorch warns of its own default, the mean over all elements.
    Case(
        "kl_div",
        ops.Log,
        F.kl_div,
        [(2, 3), (2, 3)],
        low=0.1,
        high=0.9,
        peer=lambda torch, x, p: torch.nn.functional.kl_div(x, p, reduction="none").mean(),
    ),
    case("kl_div", ops.Log, [(2, 3), (2, 3)], label="batchmean", low=0.1, high=0.9, reduction="batchmean"),
    # PyTorch's own adds 1e-12 to its derivative's divisor.
    Case(
        "binary_cross_entropy-probabilities",
        ops.Log,
        F.binary_cross_entropy,
        [(2, 3), (2, 3)],
        low=0.1,
        high=0.9,
        peer=lambda torch, x, t: -(t * x.log() + (1 - t) * (1 - x).log()).mean(),
    ),
    # The targets are moved, so that none is its prediction, where the losses have a kink.
    Case(
        "l1_loss",
        ops.Abs,
        lambda x, t: F.l1_loss(x, t + 0.3) * x,
        [(2, 3), (2, 3)],
        peer=lambda torch, x, t: torch.nn.functional.l1_loss(x, t + 0.3) * x,
    ),
    Case(
        "huber_loss",
        ops.Clip,
        lambda x, t: F.huber_loss(x, t + 0.3),
        [(3, 3), (3, 3)],
        peer=lambda torch, x, t: torch.nn.functional.huber_loss(x, t + 0.3),
    ),
    Case(
        "huber_loss-delta",
        ops.Clip,
        lambda x, t: F.huber_loss(x, t + 0.3, "sum", 0.7),
        [(3, 3), (3, 3)],
        peer=lambda torch, x, t: torch.nn.functional.huber_loss(x, t + 0.3, "sum", 0.7),
    ),
]
