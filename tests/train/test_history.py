import math

import pytest

from dlcore.train import History
from dlcore.train.history import is_better
from kernels.errors import ArgumentError


@pytest.fixture
def history():
    history = History()
    for epoch, (loss, accuracy) in enumerate([(3.0, 0.1), (1.0, 0.7), (2.0, 0.9), (1.0, 0.9)], start=1):
        history.append({"epoch": epoch, "loss": loss, "accuracy": accuracy})
    return history


def test_columns_and_records(history):
    assert history["loss"] == [3.0, 1.0, 2.0, 1.0]
    assert history.names == ["epoch", "loss", "accuracy"]
    assert len(history) == 4
    assert [record["epoch"] for record in history] == [1, 2, 3, 4]
    assert repr(history) == "History(4 epochs of epoch, loss, accuracy)"


def test_best_is_the_earliest_of_equals(history):
    assert history.best("loss")["epoch"] == 2
    assert history.best("accuracy")["epoch"] == 3


def test_unknown_figures(history):
    with pytest.raises(ArgumentError, match="no figure 'validation_loss', only epoch, loss, accuracy"):
        history.best()
    with pytest.raises(ArgumentError, match="only no epoch yet"):
        History()["loss"]
    history.records = [{"loss": math.nan}]
    with pytest.raises(ArgumentError, match="'loss' was never a number"):
        history.best("loss")


@pytest.mark.parametrize(
    ("name", "value", "than", "min_delta", "expected"),
    [
        ("loss", 1.0, 2.0, 0.0, True),
        ("validation_loss", 2.0, 1.0, 0.0, False),
        ("accuracy", 2.0, 1.0, 0.0, True),
        ("accuracy", 1.0, 1.0, 0.0, False),
        ("loss", 1.0, 1.5, 0.5, False),
        ("loss", 1.0, 1.6, 0.5, True),
        ("loss", 1.0, math.nan, 0.0, True),
        ("loss", math.nan, 1.0, 0.0, False),
        ("loss", math.nan, math.nan, 0.0, False),
    ],
)
def test_better(name, value, than, min_delta, expected):
    assert is_better(name, value, than, min_delta) is expected
