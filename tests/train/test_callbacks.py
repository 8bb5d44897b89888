import json
import math

import numpy as np
import pytest

from dlcore import backend as backends
from dlcore import nn, optim
from dlcore.io import load_arrays
from dlcore.train import Callback, EarlyStopping, MetricsFile, SaveWeights, Scheduled
from kernels.errors import ArgumentError


class Script(Callback):
    """Puts given values in the place of what was measured, and keeps each epoch's weights."""

    def __init__(self, figure, values):
        self.figure, self.values, self.weights = figure, iter(values), []

    def on_epoch_end(self, trainer, record):
        record[self.figure] = next(self.values)
        state = trainer.network.state_dict()
        self.weights.append({name: backends.to_numpy(array).copy() for name, array in state.items()})


def assert_same(weights, expected):
    assert set(weights) == set(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(backends.to_numpy(weights[name]), array)


@pytest.mark.parametrize(
    ("monitor", "values", "options", "epochs", "best"),
    [
        ("validation_loss", [5, 4, 3, 3, 4, 2, 1], {"patience": 2}, 5, 3),
        ("validation_loss", [5, 4, 3, 3, 2, 2, 2], {"patience": 2}, 7, 5),
        ("validation_accuracy", [0.1, 0.9, 0.8, 1.0, 1.0, 1.0, 1.0], {"patience": 1}, 3, 2),
        ("loss", [9, 8.5, 7.9, 7.5, 6.8, 6.5, 5.7], {"patience": 2, "min_delta": 1}, 7, 7),
        ("loss", [9, 8.5, 8.1, 8.0, 8.0, 6.5, 6], {"patience": 3, "min_delta": 1}, 4, 1),
        ("validation_loss", [math.nan, 3, math.nan, math.nan, 2, 1, 1], {"patience": 2}, 4, 2),
    ],
)
def test_early_stopping(backend, make_trainer, loader, blobs, monitor, values, options, epochs, best):
    script = Script(monitor, values)
    stopping = EarlyStopping(monitor, **options)
    trainer = make_trainer(callbacks=[script, stopping])
    trainer.fit(loader, epochs=7, validation=blobs)
    assert len(trainer.history) == epochs
    assert stopping.best_epoch == best
    assert_same(trainer.network.state_dict(), script.weights[best - 1])


def test_early_stopping_may_keep_the_last_weights(backend, make_trainer, loader, blobs):
    script = Script("validation_loss", [1, 2, 3, 4])
    trainer = make_trainer(callbacks=[script, EarlyStopping(patience=2, restore_best=False)])
    trainer.fit(loader, epochs=4, validation=blobs)
    assert_same(trainer.network.state_dict(), script.weights[2])


def test_early_stopping_begins_anew_with_each_fit(backend, make_trainer, loader, blobs):
    script = Script("validation_loss", [1, 2, 3, 9, 8, 7])
    trainer = make_trainer(callbacks=[script, EarlyStopping(patience=2)])
    trainer.fit(loader, epochs=3, validation=blobs)
    assert_same(trainer.network.state_dict(), script.weights[0])
    trainer.fit(loader, epochs=3, validation=blobs)
    assert_same(trainer.network.state_dict(), script.weights[5])


def test_early_stopping_restores_buffers_too(backend, make_trainer, loader, blobs):
    """Running means of batch norm belong to the epoch's weights."""
    script = Script("validation_loss", [1, 2, 3])
    network = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 3))
    trainer = make_trainer(network=network, callbacks=[script, EarlyStopping(patience=2)])
    trainer.fit(loader, epochs=3, validation=blobs)
    assert_same(network.state_dict(), script.weights[0])


def test_monitors_must_exist(make_trainer, loader, tmp_path):
    for callback in (EarlyStopping(), SaveWeights(tmp_path / "w", "validation_loss")):
        with pytest.raises(ArgumentError, match="only loss, accuracy; give fit validation data"):
            make_trainer(callbacks=[callback]).fit(loader, epochs=1)
    with pytest.raises(ArgumentError, match=r"'acuracy' to monitor, only loss, accuracy$"):
        make_trainer(callbacks=[EarlyStopping("acuracy")]).fit(loader, epochs=1)


@pytest.mark.parametrize("options", [{"patience": 0}, {"min_delta": -1.0}])
def test_early_stopping_options(options):
    with pytest.raises(ArgumentError, match=r"patience of at least 1 and min_delta of at least 0, got patience="):
        EarlyStopping(**options)


@pytest.mark.parametrize(("monitor", "kept"), [("validation_loss", 2), (None, 4)])
def test_save_weights(backend, make_trainer, loader, blobs, tmp_path, monitor, kept):
    script = Script("validation_loss", [5, 1, math.nan, 3])
    path = tmp_path / "weights.safetensors"
    make_trainer(callbacks=[script, SaveWeights(path, monitor)]).fit(loader, epochs=4, validation=blobs)
    assert_same(load_arrays(path), script.weights[kept - 1])
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_metrics_file(backend, make_trainer, loader, tmp_path):
    path = tmp_path / "metrics.jsonl"
    lines = []

    class Reader(Callback):
        def on_epoch_end(self, trainer, record):
            lines.append(path.read_text().splitlines())

    trainer = make_trainer(callbacks=[Script("accuracy", [0.5, math.nan, 1.0]), MetricsFile(path), Reader()])
    trainer.fit(loader, epochs=3)
    assert [len(each) for each in lines] == [1, 2, 3]
    assert lines[1] == lines[2][:2]
    records = [json.loads(line) for line in lines[2]]
    assert [record.pop("accuracy") for record in records] == [0.5, None, 1.0]
    assert records == [{n: v for n, v in record.items() if n != "accuracy"} for record in trainer.history]
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


# ---------------------------------------------------------------------------------------------------------- schedules


@pytest.mark.parametrize("every", ["epoch", "step"])
def test_a_schedule_takes_its_steps(loader, make_trainer, every):
    rates = []

    class Note(Callback):
        def on_batch_end(self, trainer):
            rates.append(trainer.optimizer.lr)

    trainer = make_trainer(lr=1.0, callbacks=[Note()])
    trainer.callbacks.append(Scheduled(optim.ExponentialLR(trainer.optimizer, 0.5), every=every))
    history = trainer.fit(loader, epochs=2)
    by_step = [0.5**step for step in range(8)]
    assert rates == (by_step if every == "step" else [1.0] * 4 + [0.5] * 4)
    assert history["learning_rate"] == ([1.0, 0.5**4] if every == "step" else [1.0, 0.5])


def test_a_schedule_that_watches_a_figure(loader, make_trainer):
    trainer = make_trainer(lr=0.0)  # nothing ever gets better
    trainer.optimizer.lr = 1e-9
    schedule = optim.ReduceLROnPlateau(trainer.optimizer, "max", patience=0, eps=0.0, threshold=10.0)
    trainer.callbacks.append(Scheduled(schedule, monitor="accuracy"))
    assert trainer.fit(loader, epochs=3)["learning_rate"] == pytest.approx([1e-9, 1e-9, 1e-10])


def test_what_a_schedule_may_be(loader, make_trainer):
    optimizer = make_trainer().optimizer
    plateau = optim.ReduceLROnPlateau(optimizer)
    with pytest.raises(ArgumentError, match=r"schedule must be a schedule of dlcore\.optim"):
        Scheduled(optimizer)
    with pytest.raises(ArgumentError, match='every must be "epoch" or "step", got \'batch\''):
        Scheduled(optim.StepLR(optimizer, 3), every="batch")
    with pytest.raises(ArgumentError, match='every must be "epoch" for ReduceLROnPlateau'):
        Scheduled(plateau, every="step")
    with pytest.raises(ArgumentError, match="Scheduled: there is no figure 'validation_loss' to monitor"):
        make_trainer(callbacks=[Scheduled(plateau)]).fit(loader, epochs=1)
