"""ONNX Runtime as a contender for inference: single convolutions, and whole networks.

Graphs are built here, node by node, with the weights as constants, so that the runtime may lay them out as it likes
once, before the time counts.
"""

import importlib.util
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from benchmarks.cases import Case, Inputs
from benchmarks.contenders import Call, Contender
from benchmarks.goals import ONNX_RUNTIME
from dlcore import nn
from kernels.cpu import threads
from kernels.types import Array

if is_installed := all(importlib.util.find_spec(name) is not None for name in ("onnx", "onnxruntime")):
    import onnx
    import onnxruntime
    from onnx import helper, numpy_helper

#: Why there is no ONNX Runtime, for people.
MISSING = "ONNX Runtime is not installed (pip install onnx onnxruntime)"

_OPSET = 20


class Session(Protocol):
    """What is used of `onnxruntime.InferenceSession`."""

    def run(self, outputs: None, inputs: dict[str, Array]) -> list[Array]:
        """Run the graph."""


def contenders() -> list[Contender]:
    """The runtime, for the forward pass of convolutions."""
    return [Contender(ONNX_RUNTIME, _prepare, lambda case, result: result[0], takes=lambda c: c.kernel == "conv2d")]


def _prepare(case: Case, inputs: Inputs) -> Call:
    graph = Graph()
    graph.add(
        "Conv",
        [inputs.weight, inputs.bias],
        strides=[case.stride] * 2,
        pads=[case.padding] * 4,
        group=case.groups,
        kernel_shape=[case.window] * 2,
    )
    session = graph.session(case.input_shape)
    return lambda: session.run(None, {"x": inputs.x})


def network_session(network: nn.Sequential, input_shape: Sequence[int]) -> Session:
    """A session that computes what `network` does in evaluation mode, for inputs of that shape, the batch included."""
    graph = Graph()
    for layer in network:
        match layer:
            case nn.Conv2d():
                padding = int(layer.padding) if isinstance(layer.padding, int) else None
                assert padding is not None, "the book's networks have one padding for all sides"
                graph.add("Conv", _weights(layer), pads=[padding] * 4)
            case nn.Linear():
                weight, bias = _weights(layer)
                graph.add("Gemm", [weight, bias], transB=1)
            case nn.MaxPool2d():
                size = [layer.kernel_size] * 2
                graph.add("MaxPool", [], kernel_shape=size, strides=size)
            case nn.ReLU():
                graph.add("Relu", [])
            case nn.Flatten():
                graph.add("Flatten", [])
            case nn.Dropout():
                pass
            case _:
                raise TypeError(f"no ONNX node is known here for {type(layer).__name__}")
    return graph.session(input_shape)


def _weights(layer: nn.Conv2d | nn.Linear) -> list[Array]:
    assert layer.bias is not None
    return [np.ascontiguousarray(layer.weight.numpy()), layer.bias.numpy()]


class Graph:
    """A chain of nodes, each of which takes the last one's output and constants of its own."""

    def __init__(self) -> None:
        self._nodes: list[Any] = []
        self._constants: list[Any] = []

    def add(self, operator: str, constants: Sequence[Array], **attributes: Any) -> None:
        """Put a node at the end."""
        number = len(self._nodes)
        names = [f"w{number}_{k}" for k in range(len(constants))]
        self._constants += [numpy_helper.from_array(a, name) for a, name in zip(constants, names, strict=True)]
        inputs = [f"y{number - 1}" if number else "x", *names]
        self._nodes.append(helper.make_node(operator, inputs, [f"y{number}"], **attributes))

    def session(self, input_shape: Sequence[int]) -> Session:
        """The chain from "x" of that shape to its last output, on as many threads as dlcore uses now."""
        kind = onnx.TensorProto.FLOAT
        graph = helper.make_graph(
            self._nodes,
            "chain",
            [helper.make_tensor_value_info("x", kind, list(input_shape))],
            [helper.make_tensor_value_info(f"y{len(self._nodes) - 1}", kind, None)],
            self._constants,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=10)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads.get_num_threads()
        options.inter_op_num_threads = 1
        # Its threads may spin while it works; afterwards they would take the cores of whoever comes next.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        session: Session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        return session
