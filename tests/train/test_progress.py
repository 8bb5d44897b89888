import io
import re

import pytest
from rich.console import Console

from dlcore.train import Callback, Progress
from dlcore.train import trainer as trainer_module


def text_of(make_trainer, loader, blobs, *, callbacks=(), epochs=2, **options):
    """What two epochs print to a file or to a terminal."""
    console = Console(file=io.StringIO(), width=100, **options)
    trainer = make_trainer(callbacks=[Progress(console), *callbacks])
    trainer.fit(loader, epochs=epochs, validation=blobs)
    return console.file.getvalue(), trainer


def test_plain_lines(make_trainer, loader, blobs):
    text, trainer = text_of(make_trainer, loader, blobs)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", text)
    head, *rows = text.splitlines()
    assert re.split(r"  +", head.strip()) == [
        "epoch", "loss", "accuracy", "validation loss", "validation accuracy", "images/s", "time",
    ]  # fmt: skip
    assert len(rows) == 2
    for row, record in zip(rows, trainer.history, strict=True):
        cells = row.split()
        assert cells[0] == f"{record['epoch']:.0f}/2"
        names = ("loss", "accuracy", "validation_loss", "validation_accuracy")
        assert cells[1:5] == [f"{record[name]:.4f}" for name in names]
        assert len(row) == len(head)


def test_a_bar_on_a_terminal(make_trainer, loader, blobs, monkeypatch):
    monkeypatch.setattr(trainer_module, "READ_INTERVAL", 0.0)
    monkeypatch.setenv("TERM", "xterm")
    text, _ = text_of(make_trainer, loader, blobs, force_terminal=True, color_system=None)
    for epoch in (1, 2):
        assert f"epoch {epoch}/2 ━" in text
    assert "3/4" in text
    assert re.search(r"loss \d\.\d{4}  accuracy \d\.\d{4}  [\d,]+ images/s \S+ left", text)
    assert len(re.findall(r"\d/2  +\d\.\d{4}  ", text)) == 2  # the rows of the table
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") == 2  # the cursor is back


def test_a_terminal_that_cannot_move_its_cursor(make_trainer, loader, blobs, monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    text, _ = text_of(make_trainer, loader, blobs, force_terminal=True)
    assert "\x1b" not in text
    assert len(text.splitlines()) == 3


def test_the_bar_goes_when_training_breaks_off(make_trainer, loader, blobs, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    console = Console(file=io.StringIO(), width=100, force_terminal=True)

    class Break(Callback):
        def on_batch_end(self, trainer):
            raise KeyboardInterrupt

    trainer = make_trainer(callbacks=[Progress(console), Break()])
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(loader, epochs=1, validation=blobs)
    text = console.file.getvalue()
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") == 1


def test_large_and_infinite_figures(make_trainer, loader, blobs):
    class Huge(Callback):
        def on_epoch_end(self, trainer, record):
            record["loss"] = 1.5e9 if trainer.epoch == 1 else float("inf")

    console = Console(file=io.StringIO())
    trainer = make_trainer(callbacks=[Huge(), Progress(console)])
    trainer.fit(loader, epochs=2)
    rows = console.file.getvalue().splitlines()[1:]
    assert [row.split()[1] for row in rows] == ["1.5e+09", "inf"]
