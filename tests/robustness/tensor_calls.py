"""Valid calls of Tensors, of the functions that make and take them, of autograd, backends and random numbers."""

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

import dlcore as dl
from dlcore import backend, random
from tests.robustness.calls import Call, array, method, tensor, whole


def made(name: str, **arguments: Any) -> Call:
    return Call(f"dl.{name}", getattr(dl, name), lambda: dict(arguments))


def of_tensor(name: str, *shape: int, low: float = -1.0, **arguments: Any) -> Call:
    """A method of Tensor."""
    return Call(f"Tensor.{name}", method(name), lambda: {"self": tensor(*shape, low=low), **arguments}, fixed=("self",))


def operation(name: str, function: Callable[..., Any]) -> Call:
    """An operator of two; the left one is a Tensor."""
    return Call(
        f"Tensor {name}",
        lambda a, b: function(a, b),
        lambda: {"a": tensor(3, 4, low=0.5), "b": tensor(4)},
        fixed=("a",),
        gives=(bool,) if name in ("==", "!=") else (),  # Python's own answer, where the other is no number
    )


def reflected(name: str, function: Callable[..., Any]) -> Call:
    return Call(
        f"{name} Tensor",
        lambda a, b: function(b, a),
        lambda: {"a": tensor(3, 4, low=0.5), "b": array(4, low=0.5)},
        fixed=("a",),
    )


def item(**arguments: Any) -> Call:
    return Call(
        "Tensor[...]", lambda self, index: self[index], lambda: {"self": tensor(3, 4, 2), **arguments}, fixed=("self",)
    )


def generated(name: str, **arguments: Any) -> Call:
    return Call(f"Generator.{name}", method(name), lambda: {"self": random.Generator(1), **arguments}, fixed=("self",))


def backward_of(**options: Any) -> Call:
    def call(x: Any, gradient: Any, **flags: Any) -> Any:
        y = x * x
        y.backward(gradient, **flags)
        return x.grad

    return Call(
        "Tensor.backward",
        call,
        lambda: {"x": tensor(3, 2), "gradient": tensor(3, 2, grad=False), **options},
        changes=("x",),
        fixed=("x",),
    )


def gradient_of(outputs: Any, inputs: Any, grad_outputs: Any, **flags: Any) -> Any:
    return dl.grad(outputs, inputs, grad_outputs, **flags)


def grad_arguments() -> dict[str, Any]:
    x, w = tensor(3), tensor(3)
    return {
        "outputs": (x * w).exp(),
        "inputs": [x, w],
        "grad_outputs": tensor(3, grad=False),
        "retain_graph": None,
        "create_graph": True,
        "allow_unused": False,
    }


def checked(name: str) -> Call:
    return Call(
        f"dl.{name}",
        getattr(dl, name),
        lambda: {
            "function": lambda *inputs: (inputs[0] * inputs[-1]).tanh(),
            "inputs": [tensor(2, dtype="float64"), tensor(2, dtype="float64")],
            "step": 1e-6,
            "rtol": 1e-3,
            "atol": 1e-4,
        },
    )


def drawn(tensor: Any, names: Any) -> str:
    return dl.draw_graph(tensor, names).svg


def drawn_arguments() -> dict[str, Any]:
    x = tensor(2)
    return {"tensor": (x * 2.0).sum(), "names": {"x": x}}


def using(choice: Any) -> bool:
    with backend.using(choice):
        return True


CALLS = [
    # made
    made("tensor", data=[[1.0, 2.0], [3.0, 4.0]], dtype="float32", requires_grad=True),
    Call("dl.tensor", dl.tensor, lambda: {"data": array(2, 3)}),
    Call("dl.asarray", dl.asarray, lambda: {"data": array(2, 3), "dtype": "float64"}),
    Call("dl.Tensor", dl.Tensor, lambda: {"data": array(2, 3), "requires_grad": True}),
    Call("dl.from_dlpack", dl.from_dlpack, lambda: {"array": array(2, 3)}),
    made("zeros", shape=(2, 3), dtype="float32", requires_grad=False),
    made("ones", shape=4, dtype=np.float64, requires_grad=True),
    made("full", shape=[2, 3], value=1.5, dtype=np.float32, requires_grad=False),
    made("arange", start=1, stop=7, step=2, dtype=None),
    made("arange", start=0.5, stop=7.0, step=0.25, dtype="float32"),
    Call("dl.randn", lambda shape, **o: dl.randn(shape, **o), lambda: {"shape": (2, 3), "dtype": "float32"}),
    Call("dl.randn", lambda a, b: dl.randn(a, b), lambda: {"a": 2, "b": 3}),
    Call("dl.rand", lambda shape, **o: dl.rand(shape, **o), lambda: {"shape": [2, 3], "requires_grad": True}),
    # functions of several
    Call("dl.maximum", dl.maximum, lambda: {"a": tensor(3, 4), "b": tensor(4)}),
    Call("dl.minimum", dl.minimum, lambda: {"a": 0.5, "b": array(4)}),
    Call("dl.concat", dl.concat, lambda: {"tensors": [tensor(2, 3), array(2, 1)], "axis": 1}),
    Call("dl.stack", dl.stack, lambda: {"tensors": [tensor(2, 3), tensor(2, 3)], "axis": -1}),
    Call("dl.where", dl.where, lambda: {"condition": whole(3, below=2, dtype="bool"), "a": tensor(2, 3), "b": 0.0}),
    Call("dl.split", dl.split, lambda: {"x": tensor(6, 2), "parts": 3, "axis": 0}),
    Call("dl.split", dl.split, lambda: {"x": tensor(2, 6), "parts": [1, 4], "axis": 1}),
    *[
        Call(
            "dl.pad",
            dl.pad,
            lambda mode=mode: {"x": tensor(3, 4), "widths": [(1, 2), (0, 3)], "mode": mode, "value": 1.5},
        )
        for mode in ("constant", "reflect", "edge")
    ],
    Call("dl.flip", dl.flip, lambda: {"x": tensor(3, 4), "axis": (0, 1)}),
    Call("dl.roll", dl.roll, lambda: {"x": tensor(3, 4), "shift": 2, "axis": 1}),
    Call("dl.take", dl.take, lambda: {"x": tensor(3, 4), "indices": whole(2, 2), "axis": 1}),
    Call("dl.gather", dl.gather, lambda: {"x": tensor(3, 4), "indices": whole(3, 2), "axis": 1}),
    *[
        Call(
            "dl.einsum",
            lambda subscripts, a, b: dl.einsum(subscripts, a, b),
            lambda subscripts=subscripts: {"subscripts": subscripts, "a": tensor(2, 3), "b": tensor(3, 4)},
        )
        for subscripts in ("ij,jk->ik", "ab,bc", "ij,jk->")
    ],
    Call("dl.matmul", dl.matmul, lambda: {"a": tensor(2, 3, 4), "b": tensor(4, 5)}, many=False),
    # operators
    *[
        operation(name, function)
        for name, function in (
            ("+", operator.add),
            ("-", operator.sub),
            ("*", operator.mul),
            ("/", operator.truediv),
            ("**", operator.pow),
            ("==", operator.eq),
            ("!=", operator.ne),
            ("<", operator.lt),
            ("<=", operator.le),
            (">", operator.gt),
            (">=", operator.ge),
        )
    ],
    Call("Tensor @", lambda a, b: a @ b, lambda: {"a": tensor(3, 4), "b": tensor(4, 2)}, fixed=("a",)),
    *[
        reflected(name, function)
        for name, function in (
            ("+", operator.add),
            ("-", operator.sub),
            ("*", operator.mul),
            ("/", operator.truediv),
            ("**", operator.pow),
            ("@", lambda b, a: b @ a.T),
        )
    ],
    Call("-Tensor", lambda self: -self, lambda: {"self": tensor(2, 3)}, fixed=("self",)),
    item(index=1),
    item(index=(slice(0, 2), ..., None, -1)),
    Call(
        "Tensor[...]",
        lambda self, index: self[index],
        lambda: {"self": tensor(3, 4), "index": whole(5)},
        fixed=("self",),
    ),
    Call(
        "Tensor[...]",
        lambda self, index: self[index],
        lambda: {"self": tensor(3, 4), "index": whole(3, 4, below=2, dtype="bool")},
        fixed=("self",),
    ),
    item(index=[0, 2]),
    # methods
    *[of_tensor(name, 2, 3) for name in ("abs", "cos", "erf", "exp", "expm1", "floor", "sigmoid", "sign", "sin")],
    *[of_tensor(name, 2, 3, low=0.5) for name in ("log", "log1p", "sqrt", "tanh", "relu", "detach", "numpy")],
    *[
        of_tensor(name, 2, 3, 4, axis=1, keepdims=True)
        for name in ("sum", "mean", "max", "min", "prod", "logsumexp", "var", "std")
    ],
    of_tensor("sum", 2, 3, 4, axis=(0, -1), keepdims=False),
    of_tensor("var", 2, 3, 4, axis=None, correction=1, keepdims=False),
    *[of_tensor(name, 2, 3, axis=1) for name in ("argmax", "argmin", "cumsum", "softmax", "log_softmax")],
    Call(
        "Tensor.clip",
        method("clip"),
        lambda: {"self": tensor(2, 3), "low": -0.5, "high": 0.5},
        fixed=("self",),
    ),
    Call("Tensor.reshape", lambda self, shape: self.reshape(shape), lambda: {"self": tensor(2, 3), "shape": (3, -1)}),
    of_tensor("flatten", 2, 3, 4, start_axis=1),
    of_tensor("squeeze", 2, 1, 4, axis=1),
    of_tensor("expand_dims", 2, 3, axis=-1),
    of_tensor("permute_dims", 2, 3, 4, axes=(2, 0, 1)),
    of_tensor("broadcast_to", 3, 1, shape=(2, 3, 4)),
    of_tensor("astype", 2, 3, dtype="float64"),
    of_tensor("to", 2, 3, choice="numpy"),
    of_tensor("item", 1),
    Call(
        "Tensor.copy_",
        method("copy_"),
        lambda: {"self": tensor(2, 3), "values": array(2, 3)},
        changes=("self",),
        fixed=("self",),
    ),
    # autograd
    backward_of(retain_graph=False, create_graph=False),
    Call("dl.grad", gradient_of, grad_arguments),
    checked("gradcheck"),
    checked("gradgradcheck"),
    Call("dl.draw_graph", drawn, drawn_arguments),
    # backends
    Call("backend.use", lambda choice: backend.use(choice), lambda: {"choice": backend.current().name}),
    Call("backend.using", using, lambda: {"choice": "numpy"}),
    Call("backend.get", backend.get, lambda: {"choice": "numpy"}),
    Call("backend.of", backend.of, lambda: {"array": array(2)}),
    Call("backend.asarray", backend.asarray, lambda: {"x": [1.0, 2.0], "dtype": "float32"}),
    Call("backend.to_numpy", backend.to_numpy, lambda: {"x": tensor(2, 3)}),
    Call("backend.common", backend.common, lambda: {"operation": "add", "arrays": {"a": array(2), "b": array(3)}}),
    Call("backend.seed", backend.seed, lambda: {"value": 3}),
    Call("backend.precision", backend.precision, lambda: {"choice": "highest"}),
    Call("dl.set_num_threads", dl.set_num_threads, lambda: {"count": 1}),
    # random numbers
    Call("random.Generator", random.Generator, lambda: {"seed": 3}),
    generated("uniform", shape=(2, 3), low=-1.0, high=1.0, dtype="float64", purpose="test"),
    generated("normal", shape=(2, 3), mean=0.0, std=2.0, dtype="float32", purpose="test"),
    generated("bernoulli", shape=5, p=0.5, purpose="test"),
    generated("permutation", n=7, purpose="test"),
    generated("words", count=5, purpose="test"),
    generated("reserve", count=5, purpose="test"),
    generated("spawn", purpose="test"),
    generated("load_state_dict", state={"seed": 3, "counters": {"normal": 5}}),
]
