import math
from typing import Any

import numpy as np
import pytest

from dlcore import Tensor, nn, optim
from dlcore import backend as backends
from dlcore import functional as F
from dlcore.data import ArrayDataset, DataLoader
from dlcore.train import (
    Accuracy,
    Callback,
    ConfusionMatrix,
    EarlyStopping,
    History,
    Progress,
    Trainer,
    evaluate,
    predict,
)
from dlcore.train import trainer as trainer_module
from kernels.errors import ArgumentError, DataError, TrainingError


def test_learns(backend, make_trainer, loader, blobs):
    trainer = make_trainer(lr=0.05)
    history = trainer.fit(loader, epochs=10, validation=blobs)
    assert history["loss"][-1] < history["loss"][0] / 2
    assert history["validation_accuracy"][-1] == 1.0
    assert history.records[-1] == {"epoch": 10, "step": 40, "learning_rate": 0.05} | {
        name: history[name][-1] for name in ("loss", "accuracy", "validation_loss", "validation_accuracy")
    }
    assert trainer.evaluate(blobs) == {
        "loss": history["validation_loss"][-1],
        "accuracy": history["validation_accuracy"][-1],
    }


def test_every_example_has_the_same_weight(backend, make_trainer, loader, blobs):
    """With a learning rate of 0 and no dropout, the epoch's figures are those of all data in one batch."""
    trainer = make_trainer(lr=0.0, network=nn.Linear(4, 3))
    (record,) = trainer.fit(loader, epochs=1)
    outputs = trainer.predict(blobs.x)
    whole = F.cross_entropy(Tensor(outputs), Tensor(backend.asarray(blobs.y))).item()
    assert record["loss"] == pytest.approx(whole, rel=1e-6)
    assert record["accuracy"] == np.mean(backends.to_numpy(outputs).argmax(axis=1) == blobs.y)
    assert trainer.evaluate(blobs, batch_size=7)["loss"] == pytest.approx(whole, rel=1e-6)


def test_batches_come_to_the_network(backend, make_trainer, blobs):
    """Data and the active backend are elsewhere (NumPy); the network's backend decides."""
    trainer = make_trainer()
    with backends.using("numpy"):
        trainer.fit(DataLoader(blobs, 16), epochs=1, validation=[(blobs.x, blobs.y)])
        assert backends.of(trainer.predict(blobs.x)) is backend
    assert trainer.network.backend is backend


def test_same_seed_same_weights(backend, make_trainer, blobs):
    def train():
        backends.seed(3)
        trainer = make_trainer()
        trainer.fit(DataLoader(blobs, 16, shuffle=True, seed=3), epochs=3, validation=blobs)
        return trainer

    first, second = train(), train()
    assert first.history.records == second.history.records
    for name, weights in first.network.state_dict().items():
        np.testing.assert_array_equal(
            backends.to_numpy(weights), backends.to_numpy(second.network.state_dict()[name]), strict=True
        )


def test_modes(backend, make_trainer, loader, blobs):
    """Training mode in training, evaluation mode in validation, and afterwards each module's own again."""
    seen = []

    class Watched(nn.Module):
        def forward(self, x):
            seen.append(self.training)
            return x

    network = nn.Sequential(nn.Linear(4, 3), Watched(), nn.Dropout(0.5))
    network.eval()
    trainer = make_trainer(network=network)
    trainer.fit(loader, epochs=1, validation=[(blobs.x, blobs.y)])
    assert seen == [True] * 4 + [False]
    assert not any(module.training for module in network.modules())
    network.train()
    list(network.modules())[2].training = False  # as one freezes a batch norm
    trainer.evaluate(blobs)
    trainer.predict(blobs.x)
    assert [module.training for module in network.modules()] == [True, True, False, True]


def test_fit_again_goes_on(backend, make_trainer, loader):
    trainer = make_trainer()
    assert trainer.fit(loader, epochs=2) is trainer.fit(loader, epochs=1)
    assert trainer.history["epoch"] == [1, 2, 3]
    assert trainer.history["step"] == [4, 8, 12]


def test_nothing_is_read_within_an_epoch(backend, make_trainer, loader, monkeypatch):
    """Reading waits for the device. Loss and metrics are read once, at the epoch's end."""
    reads = []
    to_numpy = backends.to_numpy
    monkeypatch.setattr(trainer_module, "READ_INTERVAL", math.inf)
    monkeypatch.setattr(backends, "to_numpy", lambda array: reads.append(trainer.step) or to_numpy(array))
    trainer = make_trainer()
    trainer.fit(loader, epochs=2)
    assert set(reads) == {4, 8}


@pytest.mark.parametrize("interval", [0.0, math.inf])
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_not_finite(backend, make_trainer, loader, monkeypatch, interval, bad):
    """However seldom figures are read, the message names the first bad step, and its learning rate."""
    monkeypatch.setattr(trainer_module, "READ_INTERVAL", interval)
    losses = []

    def loss(outputs, labels):
        losses.append(F.cross_entropy(outputs, labels) * (bad if len(losses) == 5 else 1.0))
        return losses[-1]

    class Schedule(Callback):
        def on_batch_end(self, trainer):
            trainer.optimizer.lr = 0.01 * (trainer.step + 1)

    trainer = make_trainer(lr=0.01, loss=loss, callbacks=[Schedule()])
    with pytest.raises(TrainingError, match=r"at step 6 \(epoch 2, batch 2, learning rate 0.06\)"):
        trainer.fit(loader, epochs=3)
    # A device that reads once an epoch ends it, and goes through it again up to the bad step, which is always repeated.
    assert len(losses) == (6 + 1 if backend.is_host or interval == 0 else 8 + 2)
    assert len(trainer.history) == 1


def test_overflow_is_reported_without_warnings(backend, make_trainer, loader):
    network = nn.Linear(4, 3)
    trainer = Trainer(network, optim.SGD(network.parameters(), lr=1e38), progress=False)
    with pytest.raises(TrainingError, match=r"learning rate 1e\+38"):
        trainer.fit(loader, epochs=3)


def test_callbacks_see_it_all(backend, make_trainer, loader, blobs):
    calls = []

    class Log(Callback):
        def on_fit_start(self, trainer):
            calls.append(("fit", trainer.epochs, trainer.figures))

        def on_epoch_start(self, trainer):
            calls.append(("epoch", trainer.epoch, trainer.batches))

        def on_batch_end(self, trainer):
            calls.append(("batch", trainer.batch, trainer.examples, trainer.step))

        def on_epoch_end(self, trainer, record):
            calls.append(("end", record is trainer.history.records[-1]))

        def on_fit_end(self, trainer):
            calls.append(("done", trainer.network.training))

    trainer = make_trainer(callbacks=[Log()])
    trainer.fit(iter_of(loader), epochs=1, validation=blobs)
    assert calls == [
        ("fit", 1, ["loss", "accuracy", "validation_loss", "validation_accuracy"]),
        ("epoch", 1, None),
        *[("batch", batch, min(16 * batch, 50), batch) for batch in (1, 2, 3, 4)],
        ("end", True),
        ("done", True),
    ]


def iter_of(loader):
    """Batches whose number is not known beforehand."""
    return (batch for batch in loader)


def test_callbacks_end_whatever_happens(backend, make_trainer, loader):
    ended = []

    class First(Callback):
        def on_fit_end(self, trainer):
            ended.append("first")

    class Breaks(Callback):
        def on_batch_end(self, trainer):
            raise KeyboardInterrupt

        def on_fit_end(self, trainer):
            ended.append("second")
            raise RuntimeError("in the end")

    trainer = make_trainer(callbacks=[First(), Breaks()])
    trainer.network.eval()
    with pytest.raises(RuntimeError, match="in the end"):
        trainer.fit(loader, epochs=1)
    assert ended == ["second", "first"]
    assert not trainer.network.training


def test_stopping_early_from_a_callback(backend, make_trainer, loader):
    class Stop(Callback):
        def on_epoch_end(self, trainer, record):
            trainer.should_stop = trainer.epoch == 2

    trainer = make_trainer(callbacks=[Stop()])
    assert len(trainer.fit(loader, epochs=5)) == 2
    assert len(trainer.fit(loader, epochs=1)) == 3


def test_metrics_can_be_asked_for(backend, make_trainer, blobs):
    trainer = make_trainer(metrics=[])
    results = trainer.evaluate(blobs, metrics=["accuracy", ConfusionMatrix()])
    assert list(results) == ["loss", "accuracy", "confusion_matrix"]
    assert results["confusion_matrix"].sum() == 50
    assert list(trainer.evaluate(blobs)) == ["loss"]
    assert evaluate(trainer.network, blobs) == trainer.evaluate(blobs, metrics=[Accuracy()])


def test_predict_is_the_network_in_evaluation_mode(backend, make_trainer, blobs):
    trainer = make_trainer()
    trainer.network.eval()
    expected = trainer.network(Tensor(backend.asarray(blobs.x))).numpy()
    trainer.network.train()
    for x in (blobs.x, Tensor(backend.asarray(blobs.x))):
        outputs = trainer.predict(x, batch_size=7)
        assert outputs.shape == (50, 3)
        np.testing.assert_allclose(backends.to_numpy(outputs), expected, rtol=1e-5, atol=1e-6)


def test_bad_arguments(backend, make_trainer, loader, blobs):
    trainer = make_trainer()
    with pytest.raises(ArgumentError, match="epochs must be an int of at least 1, got 0"):
        trainer.fit(loader, epochs=0)
    with pytest.raises(ArgumentError, match="got a Dataset; wrap it: DataLoader"):
        trainer.fit(blobs, epochs=1)
    with pytest.raises(DataError, match="no batches"):
        trainer.fit([], epochs=1)
    with pytest.raises(DataError, match="no examples"):
        trainer.evaluate([])
    with pytest.raises(DataError, match=r"at least one example, got x.shape=\(0, 4\)"):
        trainer.predict(np.zeros((0, 4), np.float32))
    with pytest.raises(ArgumentError, match="batch_size of at least 1, got 0"):
        predict(trainer.network, blobs.x, batch_size=0)
    with pytest.raises(ArgumentError, match="'confusion_matrix' is no single number"):
        make_trainer(metrics=["confusion_matrix"])


def test_progress_is_shown_unless_refused(make_trainer):
    own = Progress()
    assert isinstance(make_trainer(progress=True).callbacks[0], Progress)
    assert make_trainer(progress=True, callbacks=[own]).callbacks == [own]
    assert make_trainer(progress=False).callbacks == []


def test_labels_of_another_kind(backend: Any):
    """Nothing in the trainer is made for classes: a network learns numbers, too."""
    x = np.linspace(-1, 1, 20, dtype=np.float32).reshape(20, 1)
    network = nn.Linear(1, 1)
    trainer = Trainer(network, optim.SGD(network.parameters(), lr=0.5), F.mse_loss, metrics=[], progress=False)
    trainer.fit(DataLoader(ArrayDataset(x, 3 * x + 1), 5, shuffle=True, seed=0), epochs=30)
    assert trainer.history["loss"][-1] < 1e-6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"network": "simple-convnet"}, "Trainer: network must be a Module object, got 'simple-convnet'"),
        ({"optimizer": optim.SGD}, "Trainer: optimizer must be an Optimizer object"),
        ({"loss": "cross_entropy"}, "Trainer: loss must be a function or a loss module"),
        ({"loss": nn.CrossEntropyLoss}, "Trainer: loss must be a function or a loss module"),
        ({"callbacks": [EarlyStopping]}, "Trainer: callbacks must be Callback objects"),
    ],
)
def test_arguments_are_checked_when_it_is_made(backend: Any, arguments: dict[str, Any], message: str) -> None:
    network = nn.Linear(2, 2)
    given = {"network": network, "optimizer": optim.SGD(network.parameters())} | arguments
    with pytest.raises(ArgumentError, match=message):
        Trainer(**given)


def test_a_dataset_can_be_predicted(backend: Any) -> None:
    network = nn.Linear(3, 2)
    trainer = Trainer(network, optim.SGD(network.parameters()), progress=False)
    x = np.random.default_rng(0).standard_normal((7, 3)).astype(np.float32)
    outputs = trainer.predict(ArrayDataset(x, np.zeros(7, np.int64)), batch_size=4)
    np.testing.assert_array_equal(backends.to_numpy(outputs), backends.to_numpy(trainer.predict(x, batch_size=4)))


def test_history_gives_epochs_by_position() -> None:
    history = History()
    history.append({"epoch": 1, "loss": 2.0})
    history.append({"epoch": 2, "loss": 1.0})
    assert history[-1] == {"epoch": 2, "loss": 1.0}
    assert history["loss"] == [2.0, 1.0]


# -------------------------------------------------------------------------------------------------- several batches


@pytest.mark.parametrize("batch_size", [10, 16])  # 16 leaves a last batch of 2: each example still has the same weight
def test_accumulated_batches_are_one_large_one(backend, blobs, make_trainer, batch_size):
    outcomes = []
    for size, accumulate in ((50, 1), (batch_size, 5)):
        backends.seed(0)
        network = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
        trainer = make_trainer(network=network, accumulate=accumulate)
        steps = []
        trainer.callbacks.append(CountSteps(steps))
        history = trainer.fit(DataLoader(blobs, size), epochs=3)
        assert steps == [1, 2, 3]
        assert history["step"] == [1, 2, 3]
        outcomes.append([parameter.numpy() for parameter in network.parameters()] + [history["loss"]])
    for one, other in zip(*outcomes, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


class CountSteps(Callback):
    def __init__(self, steps):
        self.steps = steps

    def on_batch_end(self, trainer):
        self.steps.append(trainer.step)


def test_an_epoch_ends_with_an_update(loader, make_trainer):
    trainer = make_trainer(accumulate=3)  # of 4 batches
    trainer.fit(loader, epochs=2)
    assert (trainer.step, trainer.batch, trainer.examples) == (4, 4, 50)


@pytest.mark.parametrize("accumulate", [0, -1, 1.5, True, "2", None])
def test_accumulate_is_a_number_of_batches(make_trainer, accumulate):
    with pytest.raises(ArgumentError, match="accumulate must be an int of at least 1"):
        make_trainer(accumulate=accumulate)
