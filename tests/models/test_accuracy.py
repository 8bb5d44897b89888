"""The deep ConvNet on real MNIST, as `dlcore train` trains it: as accurate with Winograd's convolutions as without.

After four epochs the accuracy still moves by some tenths of a percent, with the seed and with a difference in the last
bit of any number: another processor's exp is enough. So the mean of three seeds is what counts.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from statistics import mean
from typing import Any

import pytest

import dlcore as dl
from dlcore import functional as F
from dlcore.cli import main


def train(algorithm: str, seed: int, run: Path, monkeypatch: pytest.MonkeyPatch) -> float:
    """The accuracy on the test images after `dlcore train`, with every convolution done by `algorithm`."""
    original, used = F.conv2d, set()

    def conv2d(*arguments: Any, **options: Any) -> dl.Tensor:
        used.add(algorithm)
        return original(*arguments, **(options | {"algorithm": algorithm}))

    command = "train --data mnist --model deep-convnet --epochs 4 --batch-size 100"
    with monkeypatch.context() as patch:
        patch.setattr(F, "conv2d", conv2d)
        assert main([*command.split(), "--seed", str(seed), "--run", str(run)]) == 0
    assert used == {algorithm}
    return float(json.loads((run / "results.json").read_text())["test_accuracy"])


@pytest.mark.slow
def test_deep_convnet_on_mnist(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, closing_line: Callable[[str], None]
) -> None:
    folder = os.environ.get("DLCORE_DATA")
    if folder is None:
        pytest.skip("needs MNIST: set DLCORE_DATA to the folder that holds it")
    monkeypatch.setenv("DLCORE_DATA", str(Path(folder).resolve()))
    monkeypatch.chdir(tmp_path)
    accuracy = {}
    for algorithm in ("auto", "direct"):
        reached = [train(algorithm, seed, tmp_path / f"{algorithm}-{seed}", monkeypatch) for seed in (0, 1, 2)]
        accuracy[algorithm] = mean(reached)
        # The figures belong into the log of a run that passes, too.
        single = ", ".join(f"{one:.4f}" for one in reached)
        closing_line(f"deep-convnet, 4 epochs of MNIST, seeds 0, 1, 2, {algorithm}: {single}, mean {mean(reached):.4f}")
        assert min(reached) >= 0.975  # one run in six or so ends below 0.985
    assert min(accuracy.values()) >= 0.985
    assert abs(accuracy["auto"] - accuracy["direct"]) <= 0.006
