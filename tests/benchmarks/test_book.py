"""`python -m benchmarks book`: both contenders take the same steps, and the command keeps what it prints."""

import json

import pytest

import benchmarks.__main__ as command
from benchmarks import book, networks
from benchmarks.goals import BOOK_STEP, TEXTBOOK
from benchmarks.results import OURS, Row
from benchmarks.timing import Timing
from dlcore import nn


@pytest.fixture
def small():
    return nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(3 * 14 * 14, 5),
        nn.Dropout(0.5),
        nn.Linear(5, 10),
    )


@pytest.mark.slow
def test_both_take_the_same_steps(small):
    x, t = networks.images(4), networks.labels(4)
    ours, theirs = book.book_step(small, x, t, 0.0), book.textbook_step(small, x, t, 0.0)
    for _ in range(4):
        assert ours() == pytest.approx(theirs(), rel=1e-6)


def test_dropout_is_the_networks_own(small):
    assert book.BookNetwork(small).layers[-2].dropout_ratio == 0.5
    assert book.BookNetwork(small, 0.0).layers[-2].dropout_ratio == 0.0
    assert {array.dtype.name for array in book.BookNetwork(small).params.values()} == {"float64"}


def test_the_book_has_no_other_layers():
    with pytest.raises(TypeError, match="the book has no LayerNorm"):
        book.BookNetwork(nn.Sequential(nn.LayerNorm(3)))


def test_the_command_prints_and_keeps(monkeypatch, tmp_path, capsys):
    row = Row(book._NAME, BOOK_STEP, book._NAME, "", {OURS: Timing(samples=[0.1]), TEXTBOOK: Timing(samples=[2.0])})
    monkeypatch.setattr(book, "measure", lambda seconds: row)
    file = tmp_path / "book.json"
    assert command.main(["book", "--quick", "--threads", "1", "--json", str(file)]) == 0
    (mean,) = json.loads(file.read_text())["means"]
    assert (mean["ratio"], mean["goal"], mean["is_reached"]) == (pytest.approx(20), 10.0, True)
    assert "the book's DeepConvNet" in capsys.readouterr().out
