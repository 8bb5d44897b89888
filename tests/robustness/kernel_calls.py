"""Valid calls of `kernels`, each beside its definition by loops."""

from typing import Any

import numpy as np

import kernels
from kernels import reference
from tests.robustness.calls import Call, array, whole


def kernel(name: str, arguments: Any, **options: Any) -> Call:
    return Call(f"kernels.{name}", getattr(kernels, name), arguments, peer=getattr(reference, name, None), **options)


WINDOW = {"stride": 1, "padding": 1, "dilation": 1}
POOLING: dict[str, Any] = {"kernel_size": 2, "stride": None, "padding": 0, "dilation": 1, "ceil_mode": False}
AVERAGING: dict[str, Any] = {
    "kernel_size": (2, 2),
    "stride": 2,
    "padding": (0, 1),
    "ceil_mode": True,
    "count_include_pad": False,
}


def descent(w: Any, g: Any, v: Any, lr: Any, friction: Any) -> tuple[Any, Any]:
    """An optimizer's formula."""
    v = friction * v + g
    return w - lr * v, v


CALLS = [
    kernel("im2col", lambda: {"x": array(2, 3, 5, 4), "kernel_size": (3, 2), **WINDOW}),
    kernel(
        "col2im", lambda: {"cols": array(2 * 5 * 5, 3 * 9), "input_shape": (2, 3, 5, 5), "kernel_size": 3, **WINDOW}
    ),
    kernel(
        "conv2d",
        lambda: {
            "x": array(2, 4, 5, 5),
            "weight": array(6, 2, 3, 3),
            "bias": array(6),
            "groups": 2,
            "activation": "relu",
            "algorithm": "auto",
            "packed": None,
            **WINDOW,
        },
    ),
    kernel(
        "conv2d",
        lambda: {
            "x": array(1, 2, 4, 6),
            "weight": array(3, 2, 1, 1),
            "bias": None,
            "stride": (2, 1),
            "padding": "same",
        },
    ),
    kernel(
        "conv2d_input_grad",
        lambda: {
            "grad_output": array(2, 6, 5, 5),
            "weight": array(6, 2, 3, 3),
            "input_shape": (2, 4, 5, 5),
            "groups": 2,
            "algorithm": "auto",
            **WINDOW,
        },
    ),
    kernel(
        "conv2d_weight_grad",
        lambda: {
            "x": array(2, 4, 5, 5),
            "grad_output": array(2, 6, 5, 5),
            "weight_shape": (6, 2, 3, 3),
            "groups": 2,
            "algorithm": "auto",
            **WINDOW,
        },
    ),
    kernel("max_pool2d", lambda: {"x": array(2, 3, 4, 6), **POOLING}),
    kernel(
        "max_pool2d_grad",
        lambda: {
            "grad_output": array(2, 3, 2, 3),
            "argmax": whole(2, 3, 2, 3, dtype="uint8"),
            "input_shape": (2, 3, 4, 6),
            **POOLING,
        },
    ),
    kernel(
        "max_pool2d_gather",
        lambda: {"x": array(2, 3, 4, 6), "argmax": whole(2, 3, 2, 3, dtype="uint8"), **POOLING},
    ),
    kernel("avg_pool2d", lambda: {"x": array(2, 3, 5, 4), **AVERAGING}),
    kernel("avg_pool2d_grad", lambda: {"grad_output": array(2, 3, 3, 3), "input_shape": (2, 3, 5, 4), **AVERAGING}),
    kernel(
        "batch_norm",
        lambda: {"x": array(4, 3, 2, 2), "weight": array(3), "bias": array(3), "eps": 1e-5, "activation": None},
    ),
    kernel(
        "batch_norm_inference",
        lambda: {
            "x": array(4, 3),
            "weight": array(3),
            "bias": array(3),
            "mean": array(3),
            "var": array(3, low=0.5),
            "eps": 1e-5,
            "activation": "relu",
        },
    ),
    kernel(
        "batch_norm_grad",
        lambda: {
            "grad_output": array(4, 3, 2, 2),
            "x": array(4, 3, 2, 2),
            "weight": array(3),
            "bias": array(3),
            "mean": array(3),
            "var": array(3, low=0.5),
            "eps": 1e-5,
            "activation": None,
            "constant_statistics": False,
        },
    ),
    kernel("layer_norm", lambda: {"x": array(2, 3, 4), "weight": array(3, 4), "bias": array(3, 4), "eps": 1e-5}),
    kernel(
        "layer_norm_grad",
        lambda: {
            "grad_output": array(2, 3, 4),
            "x": array(2, 3, 4),
            "weight": array(4),
            "mean": array(2, 3),
            "var": array(2, 3, low=0.5),
            "eps": 1e-5,
        },
    ),
    kernel("softmax_cross_entropy", lambda: {"x": array(4, 3), "labels": whole(4)}),
    kernel(
        "softmax_cross_entropy_grad",
        lambda: {"grad_losses": array(4), "probability": array(4, 3, low=0.1), "labels": whole(4, dtype="int32")},
    ),
    kernel("dropout", lambda: {"x": array(3, 5), "p": 0.5, "key": 1, "stream": 2, "start": 3}),
    kernel("dropout_grad", lambda: {"grad_output": array(3, 5), "kept": whole(3, 5, below=2, dtype="bool"), "p": 0.25}),
    kernel("matmul", lambda: {"a": array(3, 4), "b": array(4, 2), "bias": array(2), "activation": "relu"}),
    kernel("relu", lambda: {"x": array(2, 3, 4, 5)}),
    kernel("relu_grad", lambda: {"grad_output": array(3, 4), "y": array(3, 4)}),
    kernel("erf", lambda: {"x": array(3, 4)}),
    Call(
        "kernels.optimizer_step",
        kernels.optimizer_step,
        lambda: {
            "formula": descent,
            "parameters": [(array(3, 2), array(3, 2), array(3, 2)), (array(4), array(4), array(4))],
            "numbers": [(0.1, 0.9), (np.float64(0.1), 0.9)],
            "weight_decay": 0.01,
            "shrink": 1.0,
        },
        changes=("parameters",),
    ),
]
