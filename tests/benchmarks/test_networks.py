"""Whole networks: every contender computes the same, and the profile adds up."""

import numpy as np
import pytest

import dlcore as dl
from benchmarks import networks, onnx_runtime, textbook_network
from benchmarks.goals import STEP
from benchmarks.networks import INFERENCE, NETWORKS
from benchmarks.profile import KERNELS, profile
from dlcore import functional as F
from dlcore import nn, optim


@pytest.fixture
def small():
    """Every kind of layer that contenders must know; no dropout, so that steps can be compared."""
    return nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(3 * 14 * 14, 5),
        nn.Dropout(0.0),
        nn.Linear(5, 10),
    )


@pytest.mark.parametrize("name", NETWORKS)
def test_the_textbook_agrees(name):
    network = NETWORKS[name]()
    x = networks.images(2)
    contender = networks.TEXTBOOK_NETWORK
    right = networks.DLCORE.prepare(network, INFERENCE, x)()
    networks.check(contender, name, contender.prepare(network, INFERENCE, x)(), right)


def test_the_textbooks_steps_are_dlcores(small):
    x, labels = networks.images(4), networks.labels(4)
    twin = textbook_network.like(small)
    optimizer = optim.Adam(small.parameters())
    for _ in range(3):
        loss = F.cross_entropy(small(dl.tensor(x)), labels)
        assert twin.step(x, labels) == pytest.approx(loss.item(), rel=1e-4)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def test_pytorch_agrees(small, torch):
    from benchmarks import pytorch_networks

    x = networks.images(3)
    right = networks.DLCORE.prepare(small, INFERENCE, x)()
    for contender in pytorch_networks.contenders():
        networks.check(contender, "small", contender.prepare(small, INFERENCE, x)(), right)
        contender.prepare(small, STEP, x)()


@pytest.mark.skipif(not onnx_runtime.is_installed, reason=onnx_runtime.MISSING)
def test_onnx_runtime_agrees(small):
    x = networks.images(3)
    right = networks.DLCORE.prepare(small, INFERENCE, x)()
    networks.check(networks.ONNX_NETWORK, "small", networks.ONNX_NETWORK.prepare(small, INFERENCE, x)(), right)


def test_a_profile_adds_up_and_leaves_nothing_behind(small):
    before = optim.Adam.step, nn.Conv2d.forward
    measured = profile(networks.training_step(small, networks.images(2)), seconds=0.05)
    assert (optim.Adam.step, nn.Conv2d.forward) == before
    assert any(what.startswith("conv2d 2×1×28×28") for what in measured.seconds)
    assert any(what.startswith("conv2d_weight_grad") for what in measured.seconds)
    assert measured.calls["conv2d 2×1×28×28"] == 1
    assert sum(measured.sums().values()) == pytest.approx(sum(measured.seconds.values()))
    assert 0 < measured.sums()[KERNELS] < measured.step
    assert measured.as_json()["parts"][0]["ms"] >= measured.as_json()["parts"][-1]["ms"]
    assert np.isfinite(measured.cost_of_timers)
