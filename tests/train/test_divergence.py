"""Training gone wrong: what a loss that is not finite came from, and what is left of the network then."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import dlcore as dl
from dlcore import backend as backends
from dlcore import functional as F
from dlcore import nn, optim, random
from dlcore.backend import Backend
from dlcore.train import Callback, Checkpoints, Trainer, divergence, evaluate
from dlcore.train import trainer as trainer_module
from kernels.errors import ArgumentError, DataError, DeviceMemoryError, TrainingError
from tests.emulation.counters import counts

BAD = 5  # the number of the bad batch, from 1: batch 2 of the second epoch of three


@pytest.fixture(params=[0.0, math.inf], ids=["read each step", "read each epoch"])
def _interval(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer_module, "READ_INTERVAL", request.param)


def points(count: int = 3, size: int = 6) -> list[tuple[Any, Any]]:
    rng = np.random.default_rng(0)
    return [(rng.normal(size=(size, 4)).astype(np.float32), rng.integers(0, 3, size)) for _ in range(count)]


class Epochs:
    """Three batches an epoch; the one of number BAD, over all epochs, is changed."""

    def __init__(self, change: Callable[[Any, Any], tuple[Any, Any]]) -> None:
        self.change = change
        self.made = 0

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        for x, y in points():
            self.made += 1
            yield self.change(x.copy(), y.copy()) if self.made == BAD else (x, y)


class Square(nn.Module):
    def forward(self, x: dl.Tensor) -> dl.Tensor:
        return x * x


def network() -> nn.Sequential:
    features = nn.Sequential(nn.Linear(4, 8), Square(), nn.BatchNorm1d(8), nn.ReLU())
    return nn.Sequential({"features": features, "drop": nn.Dropout(0.3), "head": nn.Linear(8, 3)})


class Rates(Callback):
    """A learning rate of its own for each step."""

    def on_batch_end(self, trainer: Trainer) -> None:
        trainer.optimizer.lr = 0.01 * (trainer.step + 1)


def make(net: nn.Module, lr: float = 0.01, **options: Any) -> Trainer:
    return Trainer(net, optim.Adam(net.parameters(), lr=lr), **{"progress": False, "callbacks": [Rates()], **options})


def message(trainer: Trainer, loader: Any, kind: type[Exception] = TrainingError) -> str:
    with pytest.raises(kind) as caught:
        trainer.fit(loader, epochs=3)
    return str(caught.value)


def state(trainer: Trainer) -> list[Any]:
    """Weights, statistics, the optimizer's arrays and the random numbers' position, to be compared."""
    arrays = [*trainer.network.state_dict().values()]
    saved = trainer.optimizer.state_dict()
    arrays += [array for each in saved["state"] for array in each.values()]
    counters = random.default_generator().state_dict()["counters"]
    return [saved["lr"], saved["steps"], counters, *[backends.to_numpy(array).tobytes() for array in arrays]]


@pytest.mark.usefixtures("_interval")
@pytest.mark.parametrize("accumulate", [1, 2])
def test_the_layer_is_named_and_the_step_undone(backend: Backend, accumulate: int) -> None:
    """Finite inputs, so large that their squares are not; dropout and batch norm see what they saw the first time."""
    seen: list[Any] = []

    class See(Callback):
        def on_batch_end(self, trainer: Trainer) -> None:
            seen.append(trainer.step)

    trainer = make(network(), accumulate=accumulate, callbacks=[Rates(), See()])
    found = message(trainer, Epochs(lambda x, y: (x * 1e25, y)))
    step, rate = (5, "0.05") if accumulate == 1 else (3, "0.03")  # with 2: epochs of 2 batches and 1
    assert found == (
        f"training: the loss is NaN or infinite at step {step} (epoch 2, batch 2, learning rate {rate}): the first "
        "output that is not finite is that of features.1, Square(); try a smaller learning rate"
    )
    assert trainer.step == step - 1
    after = state(trainer)

    dl.backend.seed(0)

    class Stop(Callback):
        def on_batch_end(self, trainer: Trainer) -> None:
            if trainer.step == step - 1:
                raise KeyboardInterrupt

    twin = make(network(), accumulate=accumulate, callbacks=[Rates(), Stop()])
    with pytest.raises(KeyboardInterrupt):
        twin.fit(Epochs(lambda x, y: (x, y)), epochs=3)
    assert after == state(twin)
    assert all(parameter.grad is None for parameter in trainer.network.parameters())
    if backend.is_host:
        assert seen == list(range(1, step))
    trainer.optimizer.lr = 0.001
    trainer.fit(points(), epochs=1)  # and so one can go on
    assert math.isfinite(trainer.running["loss"])


@pytest.mark.usefixtures("_interval")
def test_data_that_are_not_finite(backend: Backend) -> None:
    def spoil(x: Any, y: Any) -> tuple[Any, Any]:
        x[4, 2] = np.inf
        return x, y

    where = r"at step 5 (epoch 2, batch 2, learning rate 0.05): the batch's "
    assert where + "inputs are not finite: inputs[4, 2] is inf; look at the data" in message(
        make(network()), Epochs(spoil)
    )

    class Values(Epochs):
        def __iter__(self) -> Iterator[tuple[Any, Any]]:
            return ((x, np.where(y == 9, np.nan, y)[:, None].astype(np.float32)) for x, y in super().__iter__())

    trainer = make(nn.Linear(4, 1), loss=F.mse_loss, metrics=[])
    found = message(trainer, Values(lambda x, y: (x, np.array([0, 9, 0, 0, 9, 0]))))
    assert where + "labels are not finite: labels[1, 0] is nan; look at the data" in found


@pytest.mark.usefixtures("_interval")
def test_an_update_that_overflows(backend: Backend) -> None:
    """The loss was finite, the weights it left behind are not."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    trainer = Trainer(net, optim.SGD(net.parameters(), lr=1e38), progress=False)
    found = message(trainer, [(x * 1e4, y) for x, y in points()])
    assert found == (
        "training: the loss is NaN or infinite at step 2 (epoch 1, batch 2, learning rate 1e+38): when the step began, "
        "the weight of 1, Linear(4, 3) was no longer finite, so an update overflowed; clip gradients, or try a "
        "smaller learning rate"
    )


@pytest.mark.usefixtures("_interval")
def test_a_loss_that_overflows_itself(backend: Backend) -> None:
    def loss(outputs: dl.Tensor, labels: dl.Tensor) -> dl.Tensor:
        return F.cross_entropy(outputs, labels) * (labels.astype("float32").mean() * 1e30).exp()

    found = message(make(nn.Linear(4, 3), loss=loss), [(x, y * 0 + (i == 1)) for i, (x, y) in enumerate(points())])
    assert (
        "at step 2 (epoch 1, batch 2, learning rate 0.02): the outputs of all layers are finite, so it comes" in found
    )


@pytest.mark.usefixtures("_interval")
def test_a_loss_that_does_not_come_again(backend: Backend) -> None:
    calls = []

    def loss(outputs: dl.Tensor, labels: dl.Tensor) -> dl.Tensor:
        calls.append(1)
        return F.cross_entropy(outputs, labels) * (math.nan if len(calls) == BAD else 1.0)

    found = message(make(network(), loss=loss), points())
    assert "at step 5 (epoch 2, batch 2, learning rate 0.05): it was finite when the step was repeated" in found


def test_sums_and_networks_without_layers(backend: Backend) -> None:
    """What a block makes of its layers' finite outputs is its own output; a layer alone is the network itself."""
    big = [(x * 0 + np.float32(3e38), y) for x, y in points()]
    block = nn.Sequential(nn.Sequential(nn.Residual(nn.Identity())), nn.Linear(4, 3))
    assert "is that of 0.0, Residual;" in message(make(block), big)
    alone = nn.Linear(4, 3)
    nn.init.ones_(alone.weight)
    assert "is that of the network itself, Linear(4, 3);" in message(make(alone), big)


@pytest.mark.usefixtures("_interval")
@pytest.mark.parametrize("label", [3, -1])
@pytest.mark.parametrize(
    "loss",
    [
        F.cross_entropy,
        lambda x, labels: F.nll_loss(F.log_softmax(x, 1), labels),
        nn.CrossEntropyLoss(weight=[1.0, 2.0, 3.0]),
        nn.CrossEntropyLoss(ignore_index=-100, label_smoothing=0.1),
    ],
    ids=["cross_entropy", "nll_loss", "weight", "ignore_index"],
)
def test_labels_outside_the_classes(backend: Backend, loss: Any, label: int) -> None:
    """Batches that no Dataset has checked: on the host before the loss, on a device by what becomes of it."""
    if isinstance(loss, nn.CrossEntropyLoss) and loss.weight is not None:
        loss = nn.CrossEntropyLoss(weight=[1.0, 2.0, 3.0])  # on this test's backend

    def change(x: Any, y: Any) -> tuple[Any, Any]:
        y[3] = label
        return x, y

    trainer = make(network(), loss=loss)
    found = message(trainer, Epochs(change), DataError)
    assert f"labels[3] is {label}, but there are 3 classes (0 first)" in found
    assert all(np.isfinite(backends.to_numpy(array)).all() for array in trainer.network.state_dict().values())


def test_nothing_is_read_for_it(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a device all is kept there: steps copy nothing to the host."""
    if backend.is_host:
        pytest.skip("arrays of the host are read without waiting")
    monkeypatch.setattr(trainer_module, "READ_INTERVAL", math.inf)
    gets: list[int] = []

    class Count(Callback):
        def on_batch_end(self, trainer: Trainer) -> None:
            gets.append(sum(counts.gets.values()) + sum(counts.synchronizations.values()))

    make(network(), callbacks=[Count()]).fit(points(), epochs=2)
    assert gets[0] == gets[1] == gets[2]
    assert gets[3] == gets[4] == gets[5]


@pytest.mark.parametrize(("most", "readings"), [(0, 8), (divergence.MOST_KEPT, 2)])
def test_no_more_batches_are_kept_than_fit(
    backend: Backend, monkeypatch: pytest.MonkeyPatch, most: int, readings: int
) -> None:
    if backend.is_host:
        pytest.skip("the host keeps no batches")
    monkeypatch.setattr(trainer_module, "READ_INTERVAL", math.inf)
    monkeypatch.setattr(divergence, "MOST_KEPT", most)
    trainer = make(network())
    reads: list[int] = []
    read = trainer._read
    monkeypatch.setattr(trainer, "_read", lambda tally: reads.append(1) or read(tally))
    trainer.fit(points(), epochs=2)
    assert len(reads) == readings
    assert not trainer._watch.steps


def test_a_device_without_room_for_it(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    if backend.is_host:
        pytest.skip("the host keeps no weights for it")

    def full(*arguments: Any) -> Any:
        raise DeviceMemoryError("too little")

    monkeypatch.setattr(trainer_module, "READ_INTERVAL", math.inf)
    monkeypatch.setattr(divergence, "_Moment", full)
    found = message(make(network()), Epochs(lambda x, y: (x * 1e25, y)))
    assert "at step 5 (epoch 2, batch 2, learning rate 0.05): the device has too little memory to look for" in found


def test_no_checkpoint_is_made_of_it(backend: Backend, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """However seldom figures are read, a checkpoint holds weights of finite losses."""
    monkeypatch.setattr(trainer_module, "READ_INTERVAL", math.inf)
    trainer = make(network(), callbacks=[Rates(), Checkpoints(tmp_path, every=1, keep=9)])
    assert "at step 5 (epoch 2, batch 2, learning rate 0.05): the first output" in message(
        trainer, Epochs(lambda x, y: (x * 1e25, y))
    )
    names = sorted(path.name for path in tmp_path.glob("step-*"))
    assert [name[:14] for name in names] == [f"step-{step:09}" for step in (1, 2, 3, 3, 4)][: len(names)]
    assert names[-1] == "step-000000004"


def test_a_validation_loss_stops_nothing(backend: Backend) -> None:
    (x, y), *_ = points()
    history = make(nn.Linear(4, 3)).fit(points(), epochs=2, validation=[(x * np.nan, y)])
    assert np.isnan(history["validation_loss"]).all()
    assert np.isfinite(history["loss"]).all()


# ---- losses --------------------------------------------------------------------------------------------------------


def test_class_weights_come_to_the_network(backend: Backend) -> None:
    """A batch's loss is the mean by the rows' weights, an epoch's the mean of these by the batches' examples."""
    weight = [1.0, 2.0, 5.0]
    with backends.using("numpy"):
        loss = nn.CrossEntropyLoss(weight=weight)
    net = nn.Linear(4, 3)
    data = [(x[: 4 + i], y[: 4 + i]) for i, (x, y) in enumerate(points())]
    total = 0.0
    for x, y in data:
        rows = F.log_softmax(net(dl.tensor(x)), 1).numpy()
        total += (
            len(y)
            * sum(-weight[label] * row[label] for row, label in zip(rows, y, strict=True))
            / sum(weight[label] for label in y)
        )
    expected = pytest.approx(total / 15, rel=1e-5)
    assert evaluate(net, data, loss=loss)["loss"] == expected
    assert loss.backend is backend
    loss.to("numpy")
    trainer = Trainer(net, optim.SGD(net.parameters(), lr=0.0), loss=loss, progress=False)
    assert trainer.fit(data, epochs=1)["loss"] == [expected]


@pytest.mark.parametrize(
    ("loss", "given"),
    [
        (lambda x, y: F.cross_entropy(x, y, "none"), r"shape \(6,\)"),
        (nn.CrossEntropyLoss("none"), r"shape \(6,\)"),
        (lambda x, y: 1.0, "a float"),
    ],
    ids=["none", "module", "float"],
)
def test_a_loss_that_is_no_mean(backend: Backend, loss: Any, given: str) -> None:
    for measure in (
        lambda: make(nn.Linear(4, 3), loss=loss).fit(points(), epochs=1),
        lambda: evaluate(nn.Linear(4, 3), points(), loss=loss),
    ):
        with pytest.raises(
            ArgumentError, match=rf"loss: expected the batch's mean as a Tensor of shape \(\), got {given}"
        ):
            measure()


@pytest.mark.parametrize(
    ("batch", "expected"),
    [
        ((np.zeros((0, 4), np.float32), np.zeros(0, np.int64)), r"batch 1 is empty: inputs.shape=\(0, 4\)"),
        ((np.zeros((3, 4), np.float32), np.zeros(2, np.int64)), r"batch 1 needs as many labels as inputs, got inputs"),
        ((np.zeros((3, 4), np.float32), np.int64(2)), r"batch 1 needs as many labels as inputs"),
        ((np.zeros((3, 4), np.float32),), r"batch 1 is no pair of arrays \(inputs, labels\), but \(array"),
        (3, r"batch 1 is no pair of arrays \(inputs, labels\), but 3"),
        (([1.0], [2]), r"batch 1 is no pair of arrays \(inputs, labels\), but \(\[1.0\]"),
    ],
    ids=["empty", "lengths", "number", "one", "none", "lists"],
)
def test_batches_that_are_none(backend: Backend, batch: Any, expected: str) -> None:
    data = [points()[0], batch]
    with pytest.raises(DataError, match=expected):
        make(nn.Linear(4, 3)).fit(data, epochs=1)
    with pytest.raises(DataError, match=expected):
        evaluate(nn.Linear(4, 3), data)


def test_a_last_batch_of_one_under_batch_norm(backend: Backend) -> None:
    (x, y), *_ = points()
    with pytest.raises(
        dl.ShapeError, match=r"^features.2, BatchNorm1d\(8, .*\): batch_norm: in training, a channel needs"
    ):
        make(network()).fit([(x, y), (x[:1], y[:1])], epochs=1)


def test_outputs_and_labels_that_do_not_fit(backend: Backend) -> None:
    data = [(x, y.reshape(2, 3)[:, :1].repeat(3, 0)) for x, y in points()]
    with pytest.raises(
        dl.ShapeError, match=r"expected logits of shape \(N, C\) and labels of shape \(N,\), got \(6, 3\)"
    ):
        make(nn.Linear(4, 3)).fit(data, epochs=1)
