"""PyTorch as a contender, network by network: at its default, and at its best.

At its best: images and weights channels last, and Adam as one fused kernel over all parameters. Both are asked in one
process, without a DataLoader. `torch.compile` is left out: it wants a C++ compiler, and gained nothing here.
"""

from typing import Any

import numpy as np
import torch

from benchmarks.contenders import Call
from benchmarks.goals import PYTORCH, STEP
from benchmarks.networks import NetworkContender, labels
from dlcore import nn
from kernels.types import Array

FUSED = f"{PYTORCH} channels_last, fused Adam"


def contenders(device: str = "cpu") -> list[NetworkContender]:
    """PyTorch's default and its best, on "cpu" or "cuda"."""
    return [
        NetworkContender(PYTORCH, lambda *given: _prepare(*given, device=device, is_best=False)),
        NetworkContender(FUSED, lambda *given: _prepare(*given, device=device, is_best=True)),
    ]


def _prepare(network: nn.Sequential, action: str, x: Array, *, device: str, is_best: bool) -> Call:
    twin, inputs = like(network).to(device), torch.from_numpy(x).to(device)
    if is_best:
        twin, inputs = twin.to(memory_format=torch.channels_last), inputs.to(memory_format=torch.channels_last)
    if action != STEP:
        twin.eval()

        def infer() -> Any:
            with torch.inference_mode():
                return twin(inputs).cpu().numpy()

        return infer

    optimizer = torch.optim.Adam(twin.parameters(), fused=True if is_best else None)
    targets = torch.from_numpy(labels(len(x))).to(device)

    def step() -> None:
        loss = torch.nn.functional.cross_entropy(twin(inputs), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def like(network: nn.Sequential) -> Any:
    """A PyTorch network of the same layers with the same weights, in training mode."""
    layers: list[Any] = []
    for layer in network:
        match layer:
            case nn.Linear():
                layers.append(torch.nn.Linear(layer.in_features, layer.out_features))
            case nn.Conv2d():
                size: Any = layer.kernel_size
                layers.append(torch.nn.Conv2d(layer.in_channels, layer.out_channels, size, padding=layer.padding))
            case nn.MaxPool2d():
                layers.append(torch.nn.MaxPool2d(layer.kernel_size))
            case nn.ReLU():
                layers.append(torch.nn.ReLU())
            case nn.Dropout():
                layers.append(torch.nn.Dropout(layer.p))
            case nn.Flatten():
                layers.append(torch.nn.Flatten())
            case _:
                raise TypeError(f"no layer of PyTorch is known here for {type(layer).__name__}")
    twin = torch.nn.Sequential(*layers)
    with torch.no_grad():
        for theirs, ours in zip(twin.parameters(), network.parameters(), strict=True):
            theirs.copy_(torch.from_numpy(np.ascontiguousarray(ours.numpy())))
    return twin
