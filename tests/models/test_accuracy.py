"""The deep ConvNet on real MNIST, as `dlcore train` trains it: as accurate with Winograd's convolutions as without."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

import dlcore as dl
from dlcore import functional as F
from dlcore.cli import main


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("algorithm", ["auto", "direct"])
def test_deep_convnet_on_mnist(algorithm: str, seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = os.environ.get("DLCORE_DATA")
    if folder is None:
        pytest.skip("needs MNIST: set DLCORE_DATA to the folder that holds it")
    monkeypatch.setenv("DLCORE_DATA", str(Path(folder).resolve()))
    monkeypatch.chdir(tmp_path)
    original, used = F.conv2d, set()

    def conv2d(*arguments: Any, **options: Any) -> dl.Tensor:
        used.add(algorithm)
        return original(*arguments, **(options | {"algorithm": algorithm}))

    monkeypatch.setattr(F, "conv2d", conv2d)
    command = "train --data mnist --model deep-convnet --epochs 4 --batch-size 100 --run run --seed"
    assert main([*command.split(), str(seed)]) == 0
    assert used == {algorithm}
    results = json.loads(Path("run/results.json").read_text())
    # The accuracy belongs into the log of a run that passes, too.
    print(f"algorithm={algorithm}, seed {seed}: {results['test_accuracy']:.4f}")
    assert results["test_accuracy"] >= 0.985
