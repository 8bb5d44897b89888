"""Valid calls of networks as wholes, of models, and of what initialises weights and clips gradients."""

from typing import Any

from dlcore import models, nn
from tests.robustness.calls import Call, method, tensor


def initial(name: str, **options: Any) -> Call:
    return Call(
        f"nn.init.{name}",
        getattr(nn.init, name),
        lambda: {"tensor": tensor(4, 3), **options},
        changes=("tensor",),
    )


def with_gradients() -> list[Any]:
    parameters = [tensor(3, 2), tensor(4)]
    for parameter in parameters:
        (parameter * parameter).sum().backward()
    return parameters


def small_network() -> Any:
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2))


def state() -> dict[str, Any]:
    return {name: values.copy() for name, values in small_network().state_dict().items()}


def of_network(name: str, **arguments: Any) -> Call:
    return Call(
        f"Module.{name}",
        method(name),
        lambda: {"self": small_network(), **{key: make() for key, make in arguments.items()}},
        changes=("self",),
        fixed=("self",),
    )


CALLS = [
    # networks
    of_network("load_state_dict", state=state),
    of_network("summary", input_shape=lambda: (3,)),
    of_network("to", choice=lambda: "numpy"),
    of_network("astype", dtype=lambda: "float64"),
    of_network("train", mode=lambda: True),
    of_network("requires_grad_", requires_grad=lambda: False),
    Call("models.create", models.create, lambda: {"name": "lenet-5", "input_shape": (1, 28, 28), "num_classes": 10}),
    Call("models.MLP", models.MLP, lambda: {"input_shape": (1, 4, 4), "num_classes": 3, "hidden": (8, 5)}),
    Call("models.Perceptron", models.Perceptron, lambda: {"input_shape": (1, 4, 4), "num_classes": 3}),
    Call("models.SimpleConvNet", models.SimpleConvNet, lambda: {"input_shape": (1, 8, 8), "num_classes": 3}),
    Call(
        "models.DeepConvNet", models.DeepConvNet, lambda: {"input_shape": (1, 16, 16), "num_classes": 3, "dropout": 0.1}
    ),
    Call(
        "models.ResNet",
        models.ResNet,
        lambda: {"input_shape": (3, 16, 16), "num_classes": 3, "blocks": (1, 1, 1, 1), "stem": "small", "width": 2},
    ),
    Call(
        "models.VGG",
        models.VGG,
        lambda: {
            "input_shape": (3, 32, 32),
            "num_classes": 3,
            "depth": 11,
            "batch_norm": False,
            "head": "small",
            "width": 2,
            "hidden": 4,
        },
    ),
    Call("models.describe", models.describe, lambda: {"name": "lenet-5"}),
    # initial values
    *[initial(name) for name in ("zeros_", "ones_", "lecun_normal_", "lecun_uniform_")],
    initial("constant_", value=0.5),
    initial("normal_", mean=0.0, std=0.1),
    initial("uniform_", low=-0.1, high=0.1),
    *[initial(name, gain=1.5) for name in ("xavier_normal_", "xavier_uniform_", "orthogonal_")],
    *[initial(name, nonlinearity="tanh") for name in ("he_normal_", "he_uniform_")],
    Call(
        "nn.utils.clip_grad_norm_",
        nn.utils.clip_grad_norm_,
        lambda: {"parameters": with_gradients(), "max_norm": 0.5, "norm_type": 2.0},
        changes=("parameters",),
    ),
    Call(
        "nn.utils.clip_grad_value_",
        nn.utils.clip_grad_value_,
        lambda: {"parameters": with_gradients(), "clip_value": 0.5},
        changes=("parameters",),
    ),
]
