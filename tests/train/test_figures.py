"""Pictures are complete: nothing reaches over the edge, and they say what they should."""

import io

import numpy as np
import pytest
from PIL import Image

from dlcore import models, nn
from dlcore.data import ArrayDataset
from dlcore.train import History
from dlcore.train.report import first_layer, softmax, worst_mistakes, write_figures
from dlcore.train.run import RunFolder

pytest.importorskip("matplotlib", reason="figures need matplotlib (pip install 'dlcore[plot]')")

from dlcore.train import figures

DIGITS = [str(digit) for digit in range(10)]


def history(epochs, *, validation=True):
    """A run as it usually looks."""
    kept = History()
    for epoch in range(1, epochs + 1):
        record = {"epoch": epoch, "step": epoch, "learning_rate": 1.0, "loss": 2 / epoch, "accuracy": 1 - 0.8 / epoch}
        if validation:
            record |= {"validation_loss": 2.1 / epoch, "validation_accuracy": 0.97 - 0.8 / epoch}
        kept.append(record)
    return kept


def check(figure):
    """Draw it; all that is drawn must lie inside. Returns the texts in it."""
    canvas = io.BytesIO()
    figure.savefig(canvas, format="png", dpi=100)
    width, height = figure.get_size_inches()
    assert Image.open(canvas).size == (round(width * 100), round(height * 100))
    box = figure.get_tightbbox()
    assert box.x0 >= 0
    assert box.y0 >= 0
    assert box.x1 <= width
    assert box.y1 <= height
    return [text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text")) if text.get_text()]


@pytest.mark.parametrize("epochs", [1, 4, 40])
def test_curves(epochs):
    figure = figures.curves(history(epochs), epochs, {"loss": 0.2, "accuracy": 0.9512})
    texts = check(figure)
    assert {"Loss", "Accuracy", "epoch", "training", "validation", f"weights kept: epoch {epochs}"} <= set(texts)
    assert "test: 0.9512" in texts
    lines = figure.axes[1].get_lines()
    np.testing.assert_array_equal(lines[0].get_ydata(), history(epochs)["accuracy"])
    np.testing.assert_array_equal(lines[1].get_ydata(), history(epochs)["validation_accuracy"])


def test_confusion():
    matrix = np.diag(np.arange(20, 30))
    matrix[3, 5] = 7
    texts = check(figures.confusion(matrix, DIGITS))
    assert {"true", "predicted", "Test data: 245 of 252 right, 7 wrong", "7", "29"} <= set(texts)


def test_confusion_with_long_names_and_many_classes():
    check(figures.confusion(np.eye(3, dtype=int), ["aeroplane", "automobile", "bird"]))
    check(figures.confusion(np.zeros((40, 40), dtype=int), [f"class {number}" for number in range(40)]))


@pytest.mark.parametrize("shape", [(30, 1, 5, 5), (1, 1, 28, 28), (100, 1, 28, 28), (16, 3, 3, 3)])
def test_filters(shape):
    weights = np.random.default_rng(0).normal(size=shape)
    figure = figures.filters(weights)
    texts = check(figure)
    shown = min(shape[0], 64)
    assert len(figure.axes) == shown + 1  # and the colour bar
    assert any(f"{shape[2]} × {shape[3]}" in text for text in texts)
    assert any(f"of {shape[0]} filters" in text for text in texts) == (shape[0] > 64)


@pytest.mark.parametrize("count", [1, 5, 24])
def test_mistakes(count):
    rng = np.random.default_rng(0)
    probabilities = np.full((count, 10), 0.01)
    probabilities[:, 4] = 0.91
    figure = figures.mistakes(rng.random((count, 1, 8, 8)), np.full(count, 9), probabilities, DIGITS)
    assert check(figure).count("9 taken for 4\n91.0% sure") == count
    assert len(figure.axes) == count


def test_figures_leave_the_users_pyplot_alone():
    import matplotlib
    from matplotlib import pyplot

    before = dict(matplotlib.rcParams)
    check(figures.curves(history(2), 1, {}))
    assert pyplot.get_fignums() == []
    assert dict(matplotlib.rcParams) == before


def test_worst_mistakes_come_first():
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.4, 0.6], [0.99, 0.01], [0.3, 0.7]])
    assert worst_mistakes(probabilities, np.array([0, 1, 0, 1, 1])).tolist() == [3, 1, 2]


def test_softmax(backend):
    scores = np.array([[1000.0, 0.0], [1.0, 1.0]], dtype=np.float32)
    np.testing.assert_allclose(softmax(backend.asarray(scores)), [[1.0, 0.0], [0.5, 0.5]])


def test_first_layer(backend):
    assert first_layer(models.create("simple-convnet", (1, 8, 8), 10), (1, 8, 8)).shape == (30, 1, 5, 5)
    assert first_layer(models.create("mlp", (3, 8, 6), 10), (3, 8, 6)).shape == (100, 3, 8, 6)
    assert first_layer(nn.Linear(5, 2), (5,)) is None
    assert first_layer(nn.ReLU(), (1, 8, 8)) is None


@pytest.mark.parametrize("flawless", [True, False])
def test_all_figures_of_a_run(backend, make_trainer, tmp_path, flawless):
    """A network that is right about everything leaves no picture of mistakes."""
    x = np.eye(4, dtype=np.float32).reshape(4, 1, 2, 2)
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 4, bias=False))
    weights = np.eye(4, dtype=np.float32) if flawless else np.roll(np.eye(4, dtype=np.float32), 1, axis=0)
    network.load_state_dict({"1.weight": weights})
    trainer = make_trainer(network=network)
    trainer.history = history(2)
    folder = RunFolder(tmp_path)
    write_figures(folder, trainer, ArrayDataset(x, np.arange(4)), 2, {"loss": 1.0, "accuracy": 1.0})
    mistakes = [] if flawless else ["worst_mistakes.png"]
    pictures = folder.files()
    assert pictures == ["confusion_matrix.png", "curves.png", "first_layer.png", *mistakes]
    for name in pictures:
        Image.open(tmp_path / name).verify()
