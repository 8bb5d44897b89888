import math

import numpy as np
import pytest

from dlcore import backend as backends
from dlcore.train.metrics import Accuracy, ConfusionMatrix, Metric, Tally, resolve
from kernels.errors import ArgumentError, ShapeError


def batches(rng, sizes=(8, 8, 3), classes=5):
    """Scores and labels of batches of different sizes, as NumPy arrays."""
    return [(rng.normal(size=(size, classes)), rng.integers(0, classes, size)) for size in sizes]


def test_accuracy_gives_every_example_the_same_weight(backend):
    data = batches(np.random.default_rng(0))
    metric = Accuracy()
    for outputs, labels in data:
        metric.update(backend.asarray(outputs), backend.asarray(labels))
    right = sum(int(scores.argmax() == label) for pair in data for scores, label in zip(*pair, strict=True))
    assert metric.compute() == right / 19


def test_accuracy_takes_the_first_of_equals(backend):
    metric = Accuracy()
    metric.update(backend.asarray(np.ones((2, 3))), backend.asarray(np.array([0, 1])))
    assert metric.compute() == 0.5


def test_accuracy_of_each_pixel(backend):
    """(N, classes, …) scores with (N, …) labels, as in segmentation."""
    rng = np.random.default_rng(1)
    outputs, labels = rng.normal(size=(2, 3, 4, 5)), rng.integers(0, 3, (2, 4, 5))
    metric = Accuracy()
    metric.update(backend.asarray(outputs), backend.asarray(labels))
    assert metric.compute() == np.mean(outputs.argmax(axis=1) == labels)


def test_confusion_matrix_is_what_a_loop_counts(backend):
    data = batches(np.random.default_rng(2))
    expected = np.zeros((5, 5), dtype=np.int64)
    metric = ConfusionMatrix()
    for outputs, labels in data:
        metric.update(backend.asarray(outputs), backend.asarray(labels))
        for scores, label in zip(outputs, labels, strict=True):
            expected[label, scores.argmax()] += 1
    assert metric.compute().dtype == np.int64
    np.testing.assert_array_equal(metric.compute(), expected)


def test_before_the_first_batch():
    assert math.isnan(Accuracy().compute())
    assert ConfusionMatrix().compute().shape == (0, 0)
    assert Tally([]).first_bad_batch() is None
    assert math.isnan(Tally([]).read()["loss"])


@pytest.mark.parametrize("labels", [np.zeros((4, 5)), np.zeros(3)])
@pytest.mark.parametrize("metric", [Accuracy, ConfusionMatrix])
def test_labels_that_are_no_class_indices(metric, labels):
    with pytest.raises(ShapeError, match=r"outputs.shape=\(4, 5\), labels.shape="):
        metric().update(np.zeros((4, 5)), labels)


def test_names_and_objects():
    own = Accuracy()
    assert resolve(["accuracy", own])[1] is own
    for unknown in ("precission", 3, Accuracy):
        with pytest.raises(ArgumentError, match="expected one of 'accuracy', 'confusion_matrix' or a Metric object"):
            resolve([unknown])


def test_a_metric_must_say_how():
    with pytest.raises(NotImplementedError, match="Metric has no update"):
        Metric().update(np.zeros(1), np.zeros(1))
    with pytest.raises(NotImplementedError, match="Metric has no compute"):
        Metric().compute()


def test_tally_reads_nothing_until_it_is_asked(backend, monkeypatch):
    data = batches(np.random.default_rng(3))
    losses = [0.5, 1.5, 4.0]
    tally = Tally([Accuracy(), ConfusionMatrix()])
    with monkeypatch.context() as patched:
        patched.setattr(backends, "to_numpy", lambda array: pytest.fail("read an array"))
        for loss, (outputs, labels) in zip(losses, data, strict=True):
            scalar = backend.asarray(np.array(loss, dtype=np.float32))
            tally.add(scalar, backend.asarray(outputs), backend.asarray(labels))
    assert tally.examples == 19
    assert tally.read()["loss"] == (8 * 0.5 + 8 * 1.5 + 3 * 4.0) / 19
    assert list(tally.read()) == ["loss", "accuracy", "confusion_matrix"]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_tally_knows_the_first_bad_batch(backend, bad):
    tally = Tally([])
    for loss in (1.0, 2.0, bad, 3.0, bad):
        tally.add(backend.asarray(np.array(loss)), backend.asarray(np.zeros((4, 2))), backend.asarray(np.zeros(4)))
    assert tally.first_bad_batch() == 2


def test_tallies_of_the_same_metrics_do_not_mix():
    metrics = [Accuracy()]
    first, second = Tally(metrics), Tally(metrics)
    first.add(np.array(1.0), np.eye(2), np.array([0, 1]))
    second.add(np.array(1.0), np.eye(2), np.array([1, 0]))
    assert (first.read()["accuracy"], second.read()["accuracy"]) == (1.0, 0.0)
