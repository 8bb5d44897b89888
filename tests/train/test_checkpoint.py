"""Checkpoints: a run that was broken off ends like one that was not, and what is damaged is noticed."""

import errno
import json
import signal
import threading

import numpy as np
import pytest

from dlcore import backend as backends
from dlcore import nn, optim, train
from dlcore.data import DataLoader
from dlcore.train import snapshot
from kernels.errors import ArgumentError, CheckpointError, FileFormatError, StateDictError, TrainingError

EPOCHS = 4


class StopError(Exception):
    """The run is broken off."""


class StopAt(train.Callback):
    """Raises (or does something else) after a step."""

    def __init__(self, step, action=None):
        self.step = step
        self.action = action

    def on_batch_end(self, trainer):
        if trainer.step == self.step:
            if self.action is None:
                raise StopError
            self.action()


def shift(x, generator):
    return x + generator.normal((len(x), 1), std=0.1)


@pytest.fixture
def begin(blobs, tmp_path):
    """A run as a script would set it up each time that it starts: (trainer, loader)."""

    def make(*extra, folder="checkpoints", accumulate=1, every=2, keep=2, **options):
        backends.seed(7)
        network = nn.Sequential(
            nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3)
        )
        optimizer = optim.Adam(network.parameters(), lr=0.02)
        callbacks = [
            *extra,
            train.MetricsFile(tmp_path / "metrics.jsonl"),
            train.SaveWeights(tmp_path / "best.safetensors", monitor="validation_loss"),
            train.Scheduled(optim.CosineAnnealingLR(optimizer, 40), every="step"),
            train.Scheduled(optim.ReduceLROnPlateau(optimizer, patience=0)),
            train.EarlyStopping(patience=3),
            train.Checkpoints(tmp_path / folder, every, keep, **options),
        ]
        trainer = train.Trainer(network, optimizer, callbacks=callbacks, accumulate=accumulate, progress=False)
        return trainer, DataLoader(blobs, 8, shuffle=True, seed=3, transform=shift)

    return make


def names(folder):
    return sorted(path.name for path in folder.iterdir() if path.name != ".lock")


def outcome(trainer, folder):
    weights = {name: array.copy() for name, array in trainer.network.state_dict().items()}
    return weights, trainer.history.records, (folder / "metrics.jsonl").read_text()


def assert_same(one, other):
    for name, array in one[0].items():
        assert (array == other[0][name]).all(), name
    assert one[1:] == other[1:]


@pytest.mark.parametrize("accumulate", [1, 3])
@pytest.mark.parametrize("step", [1, 5, 8])
def test_a_run_that_was_broken_off_ends_like_one_that_was_not(backend, begin, blobs, tmp_path, step, accumulate):
    trainer, loader = begin(folder="whole", accumulate=accumulate)
    trainer.fit(loader, epochs=EPOCHS, validation=blobs)
    whole = outcome(trainer, tmp_path)
    (tmp_path / "metrics.jsonl").unlink()
    trainer, loader = begin(StopAt(step), accumulate=accumulate)
    with pytest.raises(StopError):
        trainer.fit(loader, epochs=EPOCHS, validation=blobs)
    trainer, loader = begin(accumulate=accumulate)
    trainer.fit(loader, epochs=EPOCHS, validation=blobs, resume=True)
    assert_same(outcome(trainer, tmp_path), whole)
    trainer, loader = begin(accumulate=accumulate)
    trainer.fit(loader, epochs=EPOCHS, validation=blobs, resume=True)
    assert trainer.epoch == trainer.history[-1]["epoch"]  # there was nothing left to do
    assert trainer.history.records == whole[1]


def test_any_iterable_is_taken_up_where_it_was_left(make_trainer, blobs, tmp_path):
    batches = [(blobs.x[start : start + 10], blobs.y[start : start + 10]) for start in range(0, 50, 10)]
    outcomes = []
    for stop in (None, 7):
        for attempt in range(2 if stop else 1):
            backends.seed(0)
            callbacks = [train.Checkpoints(tmp_path / str(stop), every=1)]
            trainer = make_trainer(callbacks=callbacks + [StopAt(stop)] * (stop is not None and attempt == 0))
            try:
                trainer.fit(batches, epochs=2, resume=True)
            except StopError:
                continue
        outcomes.append((trainer.network.state_dict(), trainer.history.records, ""))
    assert_same(*outcomes)


@pytest.fixture
def python_handles_ctrl_c():
    """Python's own handler, which is missing where tests run in a shell's background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("python_handles_ctrl_c")
def test_ctrl_c_lets_the_step_end_and_saves(begin, blobs, tmp_path):
    before = signal.getsignal(signal.SIGINT)
    trainer, loader = begin(StopAt(3, lambda: signal.raise_signal(signal.SIGINT)), every=None)
    with pytest.raises(KeyboardInterrupt, match="stopped after step 3; a checkpoint was written into"):
        trainer.fit(loader, epochs=EPOCHS, validation=blobs)
    assert signal.getsignal(signal.SIGINT) is before
    assert names(tmp_path / "checkpoints") == ["step-000000003"]
    trainer, loader = begin(StopAt(7, lambda: signal.raise_signal(signal.SIGINT)), every=None)
    with pytest.raises(KeyboardInterrupt, match="stopped after step 7"):  # an epoch's last: after its validation
        trainer.fit(loader, epochs=EPOCHS, validation=blobs, resume=True)
    assert [record["epoch"] for record in trainer.history] == [1]


@pytest.mark.usefixtures("python_handles_ctrl_c")
def test_a_second_ctrl_c_interrupts_at_once(begin, blobs, tmp_path):
    def twice():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    trainer, loader = begin(StopAt(3, twice), every=None)
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(loader, epochs=EPOCHS, validation=blobs)
    assert names(tmp_path / "checkpoints") == []


def test_in_a_thread_ctrl_c_is_left_alone(begin, blobs):
    trainer, loader = begin()
    thread = threading.Thread(target=trainer.fit, args=(loader,), kwargs={"epochs": 1, "validation": blobs})
    thread.start()
    thread.join()
    assert trainer.epoch == 1


def test_the_newest_stay(begin, blobs, tmp_path):
    trainer, loader = begin(every=3, keep=3)
    trainer.fit(loader, epochs=2, validation=blobs)
    assert names(tmp_path / "checkpoints") == ["step-000000009", "step-000000012", "step-000000014-epoch-0002"]


@pytest.fixture
def broken_off(begin, blobs, tmp_path):
    """The folder of checkpoints of steps 4 and 6."""
    trainer, loader = begin(StopAt(6))
    with pytest.raises(StopError):
        trainer.fit(loader, epochs=EPOCHS, validation=blobs)
    trainer.callbacks[-1].on_batch_end(trainer)  # StopAt raised before it was its turn
    return tmp_path / "checkpoints"


@pytest.mark.parametrize("name", ["manifest.json", "model.safetensors", "state.json", "state.safetensors"])
@pytest.mark.parametrize("how", ["missing", "cut", "flipped", "folder"])
def test_a_damaged_checkpoint_is_passed_over(begin, blobs, broken_off, name, how):
    file = broken_off / "step-000000006" / name
    content = file.read_bytes()
    file.unlink()
    if how == "folder":
        file.mkdir()
    elif how != "missing":
        half = len(content) // 2
        file.write_bytes(
            content[:half] + (bytes([content[half] ^ 4]) + content[half + 1 :] if how == "flipped" else b"")
        )
    reports = []
    trainer, loader = begin(StopAt(5), report=reports.append)
    with pytest.raises(StopError):
        trainer.fit(loader, epochs=EPOCHS, validation=blobs, resume=True)
    (report,) = reports
    assert "step-000000006" in report
    assert report.endswith("going on from step-000000004")
    assert names(broken_off) == ["damaged-step-000000006", "step-000000004"]


def test_where_all_are_damaged_nothing_is_begun(begin, blobs, broken_off):
    for path in broken_off.glob("step-*"):
        (path / "state.json").write_text("{}")
    trainer, loader = begin()
    with pytest.raises(CheckpointError, match=r"none of the 2 checkpoints in .* is whole"):
        trainer.fit(loader, epochs=EPOCHS, validation=blobs, resume=True)
    assert len(names(broken_off)) == 2


def test_damage_is_a_python_warning_by_default(begin, broken_off, blobs):
    (broken_off / "step-000000006" / "state.json").unlink()
    trainer, loader = begin()
    with pytest.warns(RuntimeWarning, match="is damaged and passed over"):
        trainer.fit(loader, epochs=1, validation=blobs, resume=True)


def full_disk(*arguments, **options):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_leaves_the_checkpoint_before(begin, blobs, tmp_path, monkeypatch):
    def fill():
        monkeypatch.setattr(snapshot, "_write", full_disk)

    trainer, loader = begin(StopAt(5, fill))
    with pytest.raises(CheckpointError, match=r"step 6 can't be .* No space left on device; .* step-000000004, is as"):
        trainer.fit(loader, epochs=EPOCHS, validation=blobs)
    assert names(tmp_path / "checkpoints") == ["step-000000002", "step-000000004"]
    monkeypatch.undo()
    trainer, loader = begin(StopAt(5))
    with pytest.raises(StopError):
        trainer.fit(loader, epochs=EPOCHS, validation=blobs, resume=True)


def test_a_folder_that_cannot_be_written_is_noticed_before_training(begin, blobs, tmp_path):
    (tmp_path / "file").touch()
    trainer, loader = begin(folder="file/checkpoints")
    with pytest.raises(CheckpointError, match=r"no checkpoint can be written into .*Not a directory"):
        trainer.fit(loader, epochs=EPOCHS, validation=blobs)
    assert trainer.step == 0


def test_what_a_killed_run_left_half_written_is_removed(begin, blobs, broken_off):
    (broken_off / ".step-000000008.abc").mkdir()
    (broken_off / ".step-000000008.abc/state.json").touch()
    (broken_off / "notes.txt").touch()
    trainer, loader = begin(StopAt(7))
    with pytest.raises(StopError):
        trainer.fit(loader, epochs=EPOCHS, validation=blobs, resume=True)
    assert names(broken_off) == ["notes.txt", "step-000000004", "step-000000006"]


def test_checkpoints_of_an_earlier_run_are_not_lost(begin, blobs, broken_off):
    trainer, loader = begin()
    with pytest.raises(ArgumentError, match="holds checkpoints of an earlier run; go on from them with"):
        trainer.fit(loader, epochs=EPOCHS, validation=blobs)
    assert len(names(broken_off)) == 2


def test_a_checkpoint_of_another_run(begin, make_trainer, blobs, broken_off, loader):
    checkpoints = train.Checkpoints(broken_off)
    with pytest.raises(ArgumentError, match="give Trainer a Checkpoints callback"):
        make_trainer().fit(loader, epochs=1, resume=True)
    other = make_trainer(callbacks=[checkpoints])
    before = {name: array.copy() for name, array in other.network.state_dict().items()}
    with pytest.raises(StateDictError, match=r"step-000000006 can't be resumed from: load_state_dict: Sequential"):
        other.fit(loader, epochs=1, resume=True)
    network = begin()[0].network
    fewer = train.Trainer(network, optim.SGD(network.parameters()), callbacks=[checkpoints], progress=False)
    own = {name: array.copy() for name, array in network.state_dict().items()}
    with pytest.raises(StateDictError, match="in an epoch of 7 batches, but the loader has 4"):
        fewer.fit(loader, epochs=1, resume=True)
    with pytest.raises(StateDictError, match="SGD: parameter 0"):
        fewer.fit(DataLoader(blobs, 8), epochs=1, resume=True)
    for trainer, weights in ((other, before), (fewer, own)):
        for name, array in trainer.network.state_dict().items():
            assert (array == weights[name]).all()
        assert (trainer.step, len(trainer.history)) == (0, 0)


def test_the_state_of_a_missing_callback_is_not_dropped(begin, blobs, broken_off):
    trainer, loader = begin()
    trainer.callbacks = [one for one in trainer.callbacks if not isinstance(one, train.EarlyStopping)]
    with pytest.raises(StateDictError, match="holds the state of EarlyStopping; give Trainer that callback"):
        trainer.fit(loader, epochs=EPOCHS, validation=blobs, resume=True)


def test_the_file_of_the_best_weights_is_put_back(begin, blobs, tmp_path):
    trainer, loader = begin()
    trainer.fit(loader, epochs=1, validation=blobs)
    best = (tmp_path / "best.safetensors").read_bytes()
    for change in (lambda file: file.unlink(), lambda file: file.write_bytes(b"of an epoch that came to nothing")):
        change(tmp_path / "best.safetensors")
        trainer, loader = begin()
        trainer.fit(loader, epochs=1, validation=blobs, resume=True)
        assert (tmp_path / "best.safetensors").read_bytes() == best


def test_no_checkpoint_is_made_of_weights_that_are_not_finite(backend, make_trainer, loader, tmp_path):
    trainer = make_trainer(network=nn.Linear(4, 3), callbacks=[train.Checkpoints(tmp_path, every=1)])

    def spoil():
        trainer.network.weight.data[0, 0] = np.inf

    trainer.callbacks.insert(0, StopAt(2, spoil))
    with pytest.raises(TrainingError, match=r"weight is NaN or infinite after step 2 .* no checkpoint is made of it"):
        trainer.fit(loader, epochs=1)
    assert names(tmp_path) == ["step-000000001"]


class Parts(train.Metric):
    """A metric that keeps what no file can hold."""

    name = "parts"

    def __init__(self):
        self.parts = []

    def update(self, outputs, labels):
        self.parts.append(outputs)

    def compute(self):
        return np.float64(len(self.parts))


def test_a_state_that_cannot_be_saved_is_noticed_at_once(make_trainer, loader, tmp_path):
    trainer = make_trainer(metrics=[Parts()], callbacks=[train.Checkpoints(tmp_path)])
    with pytest.raises(ArgumentError, match=r"Parts\.parts is a list"):
        trainer.fit(loader, epochs=1)
    assert trainer.step == 0


def test_numbers_of_numpy_come_back_as_numbers(loader, make_trainer, tmp_path):
    for epochs in (1, 2):
        trainer = make_trainer(lr=np.float64(0.02), callbacks=[train.Checkpoints(tmp_path)])
        trainer.optimizer.param_groups[0]["weight_decay"] = np.float32(0.25) * epochs
        trainer.fit(loader, epochs=epochs, resume=True)
    assert trainer.history["learning_rate"] == [0.02, 0.02]
    assert trainer.optimizer.weight_decay == 0.25


def test_hooks_run_as_often_as_in_a_whole_run(begin, blobs):
    class Halve(train.Callback):
        def on_fit_start(self, trainer):
            trainer.optimizer.lr = 0.5

        def on_epoch_start(self, trainer):
            trainer.optimizer.lr *= 0.5

    rates = []
    for extra, folder in (((), "whole"), ((StopAt(9),), "broken"), ((), "broken")):
        trainer, loader = begin(*extra, Halve(), folder=folder)
        trainer.callbacks = [one for one in trainer.callbacks if not isinstance(one, train.Scheduled)]
        try:
            trainer.fit(loader, epochs=3, validation=blobs, resume=True)
        except StopError:
            continue
        rates.append(trainer.history["learning_rate"])
    assert rates == [[0.25, 0.125, 0.0625]] * 2


def test_stopping_is_not_forgotten(loader, make_trainer, tmp_path):
    class Enough(train.Callback):
        def on_epoch_end(self, trainer, record):
            trainer.should_stop = trainer.epoch == 2

    for _ in range(2):
        trainer = make_trainer(callbacks=[Enough(), train.Checkpoints(tmp_path)])
        assert len(trainer.fit(loader, epochs=5, resume=True)) == 2


def test_fewer_epochs_than_are_done(loader, make_trainer, tmp_path):
    make_trainer(callbacks=[train.Checkpoints(tmp_path)]).fit(loader, epochs=2)
    with pytest.raises(ArgumentError, match="epochs is 1, but the checkpoint has begun epoch 2"):
        make_trainer(callbacks=[train.Checkpoints(tmp_path)]).fit(loader, epochs=1, resume=True)


def test_a_folder_is_written_by_one_run_at_a_time(begin, blobs, loader, make_trainer, tmp_path):
    def second():
        with pytest.raises(ArgumentError, match="another run is writing checkpoints into"):
            make_trainer(callbacks=[train.Checkpoints(tmp_path / "checkpoints")]).fit(loader, epochs=1, resume=True)

    trainer, loader_ = begin(StopAt(2, second))
    trainer.fit(loader_, epochs=1, validation=blobs)


def test_a_checkpoint_that_the_system_keeps_back_is_not_called_damaged(begin, blobs, broken_off, monkeypatch):
    def refuse(*arguments):
        raise PermissionError(errno.EACCES, "Permission denied")

    trainer, loader = begin()
    with monkeypatch.context() as patch:
        patch.setattr(snapshot, "_digest", refuse)
        with pytest.raises(CheckpointError, match="step-000000006 can't be read: Permission denied; mend that"):
            trainer.fit(loader, epochs=EPOCHS, validation=blobs, resume=True)
    assert names(broken_off) == ["step-000000004", "step-000000006"]


def test_a_checkpoint_damaged_twice(begin, blobs, broken_off):
    (broken_off / "damaged-step-000000006").mkdir()
    (broken_off / "step-000000006/state.json").unlink()
    trainer, loader = begin(StopAt(5), report=lambda message: None)
    with pytest.raises(StopError):
        trainer.fit(loader, epochs=EPOCHS, validation=blobs, resume=True)
    assert names(broken_off) == ["damaged-step-000000006", "damaged-step-000000006-2", "step-000000004"]


@pytest.mark.parametrize("options", [{"every": 0}, {"keep": 0}, {"every": True}, {"keep": 1.5}, {"keep": None}])
def test_options(tmp_path, options):
    with pytest.raises(ArgumentError, match=f"Checkpoints: {next(iter(options))} must be an int of at least 1"):
        train.Checkpoints(tmp_path, **options)


# ------------------------------------------------------------------------------------------------------------ snapshots


def test_a_snapshot_gives_back_what_went_in(backend, tmp_path):
    weights = {"layer.weight": backend.asarray(np.arange(6, dtype=np.float32).reshape(2, 3))}
    state = {
        "none": None,
        "numbers": [1, 0.1, float("inf"), True, 2**63],
        "arrays": {
            "half": backend.asarray(np.ones(3, np.float16)),
            "scalar": np.float64(0.1),
            "empty": np.zeros((0, 2)),
        },
        "nested": [{"mask": backend.asarray(np.array([True, False]))}, ()],
    }
    for _ in range(2):  # the second replaces the first
        snapshot.write_snapshot(tmp_path / "s", weights, state)
    assert [path.name for path in tmp_path.iterdir()] == ["s"]
    loaded, found = snapshot.read_snapshot(tmp_path / "s")
    np.testing.assert_array_equal(loaded["layer.weight"], np.arange(6).reshape(2, 3))
    assert found["numbers"] == state["numbers"]
    assert found["none"] is None
    assert found["arrays"]["half"].dtype == np.float16
    assert found["arrays"]["scalar"] == 0.1
    assert found["arrays"]["empty"].shape == (0, 2)
    assert found["nested"][0]["mask"].tolist() == [True, False]
    assert found["nested"][1] == []


def test_what_a_snapshot_does_not_take(tmp_path):
    for state, where in (
        ({"a": [1, {"b": object()}]}, r"state\.a\[1\]\.b is a object"),
        ({"a": {1: 2}}, r"state\.a has"),
    ):
        with pytest.raises(ArgumentError, match=where):
            snapshot.write_snapshot(tmp_path / "s", {}, state)
    assert list(tmp_path.iterdir()) == []


def test_hostile_manifests(tmp_path):
    snapshot.write_snapshot(tmp_path / "s", {}, {"a": np.zeros(2)})
    manifest = tmp_path / "s/manifest.json"
    whole = json.loads(manifest.read_text())
    for content, message in (
        ("[" * 60_000, "damaged"),
        (" " * 70_000, "too many"),
        ('{"format": 2}', "format 1"),
        ('{"format": 1, "files": [1]}', "does not describe"),
        (json.dumps(whole | {"files": {}}), "does not describe"),
    ):
        manifest.write_text(content)
        with pytest.raises(FileFormatError, match=message):
            snapshot.read_snapshot(tmp_path / "s")
