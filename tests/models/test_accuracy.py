"""The deep ConvNet on real MNIST: as accurate with Winograd's convolutions as without, whatever the seed."""

import os

import pytest

import dlcore as dl
from dlcore import data, models, nn, optim
from dlcore import functional as F


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("algorithm", ["auto", "direct"])
def test_deep_convnet_on_mnist(algorithm: str, seed: int, capsys: pytest.CaptureFixture[str]) -> None:
    if "DLCORE_DATA" not in os.environ:
        pytest.skip("needs MNIST: set DLCORE_DATA to the folder that holds it")
    dl.backend.seed(seed)
    train, test = data.mnist()
    network = models.DeepConvNet((1, 28, 28), 10)
    for layer in network:
        if isinstance(layer, nn.Conv2d):
            layer.algorithm = algorithm
    optimizer = optim.Adam(network.parameters())
    trainer = dl.Trainer(network, optimizer, loss=F.cross_entropy, metrics=["accuracy"])
    trainer.fit(data.DataLoader(train, batch_size=100, shuffle=True), epochs=4)
    accuracy = trainer.evaluate(data.DataLoader(test, batch_size=1000))["accuracy"]
    with capsys.disabled():
        print(f"\nDeepConvNet, MNIST, 4 epochs, algorithm={algorithm}, seed {seed}: {accuracy:.4f}")
    # Weights are those after the last batch, whichever epoch was the best: seeds differ by 0.006 either way.
    assert accuracy >= 0.983
