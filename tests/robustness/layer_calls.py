"""Valid calls of `functional`, and of layers and containers: made, and then applied."""

from collections.abc import Callable
from typing import Any

from dlcore import functional as F
from dlcore import nn
from tests.robustness.calls import Call, array, tensor, whole


def function(name: str, arguments: Callable[[], dict[str, Any]], **options: Any) -> Call:
    return Call(f"F.{name}", getattr(F, name), arguments, **options)


def layer(name: str, *shape: int, **options: Any) -> Call:
    """A layer is made with these options and applied to a tensor of that shape."""

    def call(x: Any, **given: Any) -> Any:
        return getattr(nn, name)(**given)(x)

    fixed = ("x",) if name == "Identity" else ()  # it returns whatever it gets
    many = name != "AdaptiveAvgPool2d"
    return Call(f"nn.{name}", call, lambda: {"x": tensor(*shape), **options}, fixed=fixed, many=many)


def loss(name: str, arguments: Callable[[], dict[str, Any]], **options: Any) -> Call:
    def call(x: Any, target: Any, **given: Any) -> Any:
        return getattr(nn, name)(**given)(x, target)

    return Call(f"nn.{name}", call, lambda: {**arguments(), **options})


WINDOW = {"stride": 1, "padding": 1, "dilation": 1, "groups": 1}
TWO = {"x": (2, 3), "target": (2, 3)}


def image() -> Any:
    return tensor(2, 4, 5, 6)


CALLS = [
    *[
        function(name, lambda: {"x": tensor(2, 3)})
        for name in ("relu", "sigmoid", "tanh", "softplus", "selu", "gelu", "silu", "hardswish")
    ],
    function("leaky_relu", lambda: {"x": tensor(2, 3), "negative_slope": 0.1}),
    function("elu", lambda: {"x": tensor(2, 3), "alpha": 0.5}),
    function("softmax", lambda: {"x": tensor(2, 3), "axis": 1}),
    function("log_softmax", lambda: {"x": tensor(2, 3), "axis": -1}),
    function("conv1d", lambda: {"x": tensor(2, 3, 6), "weight": tensor(4, 3, 3), "bias": tensor(4), **WINDOW}),
    function(
        "conv2d",
        lambda: {"x": image(), "weight": tensor(3, 4, 3, 2), "bias": tensor(3), "activation": "relu", **WINDOW},
    ),
    function(
        "conv_transpose1d",
        lambda: {
            "x": tensor(2, 3, 6),
            "weight": tensor(3, 4, 3),
            "bias": tensor(4),
            "output_padding": 0,
            **WINDOW,
        },
    ),
    function(
        "conv_transpose2d",
        lambda: {
            "x": image(),
            "weight": tensor(4, 3, 3, 3),
            "bias": tensor(3),
            "output_padding": 1,
            **WINDOW,
            "stride": (2, 2),
        },
    ),
    function("unfold", lambda: {"x": image(), "kernel_size": (3, 2), "dilation": 1, "padding": 1, "stride": 1}),
    function(
        "fold",
        lambda: {
            "x": tensor(2, 8, 6),
            "output_size": (3, 4),
            "kernel_size": 2,
            "dilation": 1,
            "padding": 0,
            "stride": 1,
        },
    ),
    function(
        "max_pool2d",
        lambda: {"x": image(), "kernel_size": 2, "stride": None, "padding": 0, "dilation": 1, "ceil_mode": False},
    ),
    function(
        "avg_pool2d",
        lambda: {
            "x": image(),
            "kernel_size": 2,
            "stride": 2,
            "padding": 1,
            "ceil_mode": True,
            "count_include_pad": True,
        },
    ),
    function("global_avg_pool2d", lambda: {"x": image()}),
    function("global_max_pool2d", lambda: {"x": image()}),
    function("adaptive_avg_pool2d", lambda: {"x": image(), "output_size": (2, 4)}, many=False),
    function("adaptive_max_pool2d", lambda: {"x": image(), "output_size": 2}),
    function("linear", lambda: {"x": tensor(2, 3), "weight": tensor(4, 3), "bias": tensor(4), "activation": None}),
    function("flatten", lambda: {"x": image(), "start_axis": 1}),
    function("dropout", lambda: {"x": tensor(2, 3), "p": 0.5, "training": True}),
    function("embedding", lambda: {"indices": whole(2, 2), "weight": tensor(3, 4)}),
    function(
        "batch_norm",
        lambda: {
            "x": image(),
            "running_mean": tensor(4, grad=False),
            "running_var": tensor(4, low=0.5, grad=False),
            "weight": tensor(4),
            "bias": tensor(4),
            "training": True,
            "momentum": 0.1,
            "eps": 1e-5,
        },
        changes=("running_mean", "running_var"),
    ),
    function(
        "batch_norm",
        lambda: {
            "x": image(),
            "running_mean": tensor(4, grad=False),
            "running_var": tensor(4, low=0.5, grad=False),
            "weight": tensor(4),
            "bias": tensor(4),
            "activation": "relu",
        },
    ),
    function(
        "layer_norm",
        lambda: {
            "x": tensor(2, 3, 4),
            "normalized_shape": (3, 4),
            "weight": tensor(3, 4),
            "bias": tensor(3, 4),
            "eps": 1e-5,
        },
    ),
    function(
        "group_norm", lambda: {"x": image(), "num_groups": 2, "weight": tensor(4), "bias": tensor(4), "eps": 1e-5}
    ),
    function("instance_norm", lambda: {"x": image(), "weight": tensor(4), "bias": tensor(4), "eps": 1e-5}),
    # losses
    function("cross_entropy", lambda: {"x": tensor(4, 3), "target": whole(4), "reduction": "mean"}),
    function(
        "cross_entropy",
        lambda: {
            "x": tensor(4, 3),
            "target": whole(4),
            "reduction": "sum",
            "weight": array(3, low=0.5),
            "ignore_index": 1,
            "label_smoothing": 0.1,
        },
    ),
    function("cross_entropy", lambda: {"x": tensor(4, 3), "target": array(4, 3, low=0.1), "label_smoothing": 0.0}),
    function("nll_loss", lambda: {"x": tensor(4, 3), "target": whole(4), "reduction": "mean"}),
    *[
        function(name, lambda: {"x": tensor(2, 3, low=0.1), "target": array(2, 3, low=0.1), "reduction": "mean"})
        for name in (
            "kl_div",
            "binary_cross_entropy",
            "binary_cross_entropy_with_logits",
            "mse_loss",
            "l1_loss",
        )
    ],
    function("huber_loss", lambda: {"x": tensor(2, 3), "target": array(2, 3), "reduction": "sum", "delta": 0.5}),
    # layers
    *[
        layer(name, 2, 3)
        for name in ("ReLU", "Sigmoid", "Tanh", "SELU", "GELU", "SiLU", "Hardswish", "Softplus", "Identity")
    ],
    layer("LeakyReLU", 2, 3, negative_slope=0.1),
    layer("ELU", 2, 3, alpha=0.5),
    layer("Softmax", 2, 3, axis=1),
    layer("LogSoftmax", 2, 3, axis=-1),
    layer("Dropout", 2, 3, p=0.5),
    layer("Flatten", 2, 3, 4),
    layer("Linear", 2, 3, in_features=3, out_features=4, bias=True),
    layer("Conv1d", 2, 3, 6, in_channels=3, out_channels=4, kernel_size=3, **WINDOW, bias=True),
    layer(
        "Conv2d", 2, 4, 5, 6, in_channels=4, out_channels=4, kernel_size=(3, 2), bias=False, **WINDOW | {"groups": 2}
    ),
    layer("ConvTranspose1d", 2, 3, 6, in_channels=3, out_channels=4, kernel_size=3, output_padding=0, **WINDOW),
    layer("ConvTranspose2d", 2, 4, 5, 6, in_channels=4, out_channels=2, kernel_size=3, output_padding=0, **WINDOW),
    layer("MaxPool2d", 2, 4, 5, 6, kernel_size=2, stride=None, padding=0, dilation=1, ceil_mode=False),
    layer("AvgPool2d", 2, 4, 5, 6, kernel_size=(2, 2), stride=1, padding=1, ceil_mode=True, count_include_pad=False),
    layer("GlobalAvgPool2d", 2, 4, 5, 6),
    layer("GlobalMaxPool2d", 2, 4, 5, 6),
    layer("AdaptiveAvgPool2d", 2, 4, 5, 6, output_size=2),
    layer("AdaptiveMaxPool2d", 2, 4, 5, 6, output_size=(1, 3)),
    layer("BatchNorm1d", 4, 3, num_features=3, eps=1e-5, momentum=0.1),
    layer("BatchNorm2d", 2, 4, 5, 6, num_features=4, eps=1e-5, momentum=0.1),
    layer("LayerNorm", 2, 3, 4, normalized_shape=(3, 4), eps=1e-5),
    layer("GroupNorm", 2, 4, 5, 6, num_groups=2, num_channels=4, eps=1e-5),
    layer("InstanceNorm2d", 2, 4, 5, 6, num_features=4, eps=1e-5),
    Call(
        "nn.Embedding",
        lambda x, **given: nn.Embedding(**given)(x),
        lambda: {"x": whole(2, 2), "num_embeddings": 3, "embedding_dim": 4},
    ),
    loss("CrossEntropyLoss", lambda: {"x": tensor(4, 3), "target": whole(4)}, reduction="mean", label_smoothing=0.1),
    *[
        loss(name, lambda: {"x": tensor(2, 3, low=0.1), "target": array(2, 3, low=0.1)}, reduction="sum")
        for name in ("MSELoss", "L1Loss", "BCELoss", "BCEWithLogitsLoss", "KLDivLoss")
    ],
    loss("HuberLoss", lambda: {"x": tensor(2, 3), "target": array(2, 3)}, reduction="mean", delta=0.5),
    loss("NLLLoss", lambda: {"x": tensor(4, 3), "target": whole(4)}, reduction="none"),
    # containers
    Call(
        "nn.Sequential",
        lambda x, a, b: nn.Sequential(a, b)(x),
        lambda: {"x": tensor(2, 3), "a": nn.Linear(3, 4), "b": nn.ReLU()},
    ),
    Call("nn.Sequential", lambda layers: len(nn.Sequential(layers)), lambda: {"layers": {"first": nn.ReLU()}}),
    Call(
        "nn.ModuleList",
        lambda modules, index: nn.ModuleList(modules)[index],
        lambda: {"modules": [nn.ReLU(), nn.ReLU()], "index": 1},
        raises=(IndexError, TypeError),
    ),
    Call(
        "nn.ModuleDict",
        lambda modules, name: nn.ModuleDict(modules)[name],
        lambda: {"modules": {"a": nn.ReLU()}, "name": "a"},
        raises=(KeyError, TypeError),
    ),
    Call(
        "nn.Residual",
        lambda x, function, shortcut: nn.Residual(function, shortcut)(x),
        lambda: {"x": tensor(2, 3), "function": nn.Linear(3, 4), "shortcut": nn.Linear(3, 4)},
    ),
    Call(
        "nn.in_sequence",
        lambda x, a, b: nn.in_sequence(x, a, b),
        lambda: {"x": tensor(2, 3), "a": nn.Linear(3, 4), "b": nn.ReLU()},
    ),
    Call("nn.Parameter", nn.Parameter, lambda: {"data": array(2, 3), "requires_grad": True}),
    Call("nn.Buffer", nn.Buffer, lambda: {"data": array(2, 3)}),
]
