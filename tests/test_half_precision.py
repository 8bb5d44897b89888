"""float16 as storage: every operation computes in float32 inside and rounds its result; networks train in it."""

from typing import Any

import numpy as np
import pytest

import dlcore as dl
from dlcore import functional as F
from dlcore import nn, optim
from tests.ops.cases import CASES as OPERATION_CASES
from tests.ops.cases import Case
from tests.ops.functional_cases import FUNCTIONAL_CASES
from tests.tolerances import assert_close

pytestmark = pytest.mark.usefixtures("one_thread")

CASES = [*OPERATION_CASES, *FUNCTIONAL_CASES]

#: What one operation may lose, of the largest value: a case is made of a few, and its derivatives of some more.
ROUNDINGS = 8 * 2.0**-11


def values_and_gradients(case: Case, arrays: list[np.ndarray], dtype: str) -> list[np.ndarray]:
    inputs = [dl.tensor(array, dtype, requires_grad=True) for array in arrays]
    value = case.function(*inputs)
    assert value.dtype == dtype
    gradients = dl.grad(value, inputs, dl.ones(value.shape, value.dtype), allow_unused=True)
    assert all(g is None or g.dtype == dtype for g in gradients)
    return [
        value.numpy(),
        *(np.zeros(x.shape) if g is None else g.numpy() for g, x in zip(gradients, inputs, strict=True)),
    ]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_operation(backend: dl.backend.Backend, case: Case) -> None:
    """Values and first derivatives, against float64 from the same float16 numbers."""
    arrays = [array.astype(np.float16) for array in case.arrays()]
    found = values_and_gradients(case, arrays, "float16")
    expected = values_and_gradients(case, arrays, "float64")
    for a, b in zip(found, expected, strict=True):
        scale = max(1.0, float(np.abs(b).max(initial=0.0)))
        np.testing.assert_allclose(a.astype(np.float64), b, rtol=0, atol=ROUNDINGS * scale)


def test_long_sums_are_formed_in_float32(backend: dl.backend.Backend) -> None:
    """float16 ends at 65504, and from 2048 on does not see 1 any more."""
    ones = dl.ones(100_000, "float16", requires_grad=True)
    ones.mean().backward()
    assert (ones.mean().item(), ones.var().item(), ones.logsumexp().item()) == (1.0, 0.0, 12.515625)
    assert ones.grad.numpy()[0] == np.float16(1e-5)
    assert dl.ones(5000, "float16").cumsum().numpy()[-1] == 5000
    assert (dl.ones((1, 5000), "float16") @ dl.ones((5000, 1), "float16")).item() == 5000
    assert dl.einsum("i,i->", dl.ones(5000, "float16"), dl.ones(5000, "float16")).item() == 5000
    assert F.huber_loss(dl.full(3, 300.0, "float16"), dl.zeros(3, "float16")).item() == 299.5
    table = dl.zeros((2, 1), "float16", requires_grad=True)
    F.embedding(backend.asarray(np.zeros(3000, np.int64)), table).sum().backward()
    assert table.grad.numpy().tolist() == [[3000.0], [0.0]]


def test_quotients_have_gradients_where_squares_would_not_fit(backend: dl.backend.Backend) -> None:
    for divisor in (300.0, 1e-3):
        b = dl.tensor([divisor], "float16", requires_grad=True)
        (dl.full(1, divisor, "float16") / b).sum().backward()
        assert b.grad.item() == pytest.approx(-1 / divisor, rel=2e-3)


def network(dtype: str) -> nn.Sequential:
    """One layer of each kind that trains."""
    dl.backend.seed(3)
    layers = [
        *(nn.Conv2d(2, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.2)),
        *(nn.ConvTranspose2d(8, 4, 2), nn.GroupNorm(2, 4), nn.AvgPool2d(2), nn.Flatten()),
        *(nn.Linear(36, 16), nn.LayerNorm(16), nn.GELU(), nn.Linear(16, 5)),
    ]
    return nn.Sequential(*layers).astype(dtype)


def train(dtype: str, optimizer: type[optim.Optimizer], **options: Any) -> tuple[list[float], list[np.ndarray]]:
    """The losses of three steps, and the weights afterwards."""
    net = network(dtype)
    optimizing = optimizer(net.parameters(), **options)
    x = dl.tensor(np.random.default_rng(0).standard_normal((12, 2, 10, 10)).astype(dtype))
    labels = dl.backend.asarray(np.arange(12) % 5)
    losses = []
    for _ in range(3):
        optimizing.zero_grad()
        loss = F.cross_entropy(net(x), labels)
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        optimizing.step()
        assert loss.dtype == dtype
        losses.append(loss.item())
    return losses, [dl.backend.to_numpy(array) for array in net.state_dict().values()]


@pytest.mark.parametrize(
    ("optimizer", "options"),
    [(optim.SGD, {"lr": 0.1, "momentum": 0.9, "weight_decay": 1e-3}), (optim.AdamW, {"lr": 1e-3, "eps": 1e-3})],
    ids=["SGD", "AdamW"],
)
def test_networks_train(backend: dl.backend.Backend, optimizer: type[optim.Optimizer], options: dict[str, Any]) -> None:
    """As in float32, and on a GPU as on the CPU."""
    half = train("float16", optimizer, **options)
    with dl.backend.using("numpy"):
        peers = [train("float32", optimizer, **options)]
        if not backend.is_host:
            peers.append(train("float16", optimizer, **options))
    for losses, weights in peers:
        np.testing.assert_allclose(half[0], losses, atol=0.01)
        for a, b in zip(half[1], weights, strict=True):
            assert a.dtype == np.float16
            np.testing.assert_allclose(a.astype(np.float32), b.astype(np.float32), atol=0.01)


def test_small_gradients_are_kept_by_optimizers(backend: dl.backend.Backend) -> None:
    """Their squares are no numbers of float16, so what is kept beside the weights is float32."""
    weights = dl.zeros(2, "float16", requires_grad=True)
    optimizer = optim.Adam([weights], lr=1e-3)
    for step in range(500):
        weights.grad = dl.tensor([1e-3, 1e-4], "float16")
        optimizer.step()
        if step == 250:
            saved = optimizer.state_dict()
            optimizer = optim.Adam([weights], lr=1e-3)
            optimizer.load_state_dict(saved)
    np.testing.assert_allclose(weights.numpy().astype(np.float32), -0.5, atol=0.03)
    assert {array.dtype for array in optimizer.state_dict()["state"][0].values()} == {np.dtype("float32")}
    assert weights.dtype == "float16"


def test_norms_of_gradients_whose_squares_would_not_fit(backend: dl.backend.Backend) -> None:
    weights = dl.zeros(100, "float16", requires_grad=True)
    weights.grad = dl.full(100, 300.0, "float16")
    norm = nn.utils.clip_grad_norm_(weights, 1.0)
    assert (norm.item(), norm.dtype) == (pytest.approx(3000.0), "float32")
    np.testing.assert_allclose(weights.grad.numpy().astype(np.float32), 0.1, rtol=1e-3)


def test_the_mean_loss_of_many_rows_has_a_gradient(backend: dl.backend.Backend) -> None:
    rows = 70_000
    x = dl.zeros((rows, 2), "float16", requires_grad=True)
    loss = F.cross_entropy(x, dl.zeros(rows, "int64"))
    (loss * 1024.0).backward()
    np.testing.assert_allclose(x.grad.numpy()[0].astype(np.float32), [-512 / rows, 512 / rows], rtol=2e-3)


def test_inference_keeps_the_packed_weight(backend: dl.backend.Backend) -> None:
    net = network("float16").eval()
    x = dl.randn(3, 2, 10, 10, dtype="float16")
    recorded = net(x)
    with dl.no_grad():
        for _ in range(2):
            assert_close(net(x).numpy(), recorded.numpy().astype(np.float64), "inference")


def test_mixed_types_stay_an_error(backend: dl.backend.Backend) -> None:
    x, weight, kernel = dl.ones((2, 3), "float16"), dl.ones((4, 3)), dl.ones((4, 3, 1, 1))
    with pytest.raises(dl.DTypeError, match="linear: all arguments must have one dtype, but x is float16, weight fl"):
        F.linear(x, weight)
    with pytest.raises(dl.DTypeError, match="conv2d: x is float16 but weight is float32; convert one of them"):
        F.conv2d(x.reshape(2, 3, 1, 1), kernel)
