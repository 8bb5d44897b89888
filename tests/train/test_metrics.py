"""Metrics: each figure is what plain loops count; nothing is read before it is asked for."""

import json
import math

import numpy as np
import pytest

from dlcore import backend as backends
from dlcore.train.metrics import F1, Accuracy, ConfusionMatrix, Precision, Recall, TopK, resolve
from dlcore.train.tally import Metric, Tally
from kernels.errors import ArgumentError, ShapeError, StateDictError

AVERAGES = ["macro", "weighted", "micro", None]


def batches(rng, sizes=(8, 8, 3), classes=5):
    """Scores and labels of batches of different sizes, as NumPy arrays."""
    return [(rng.normal(size=(size, classes)), rng.integers(0, classes, size)) for size in sizes]


def measure(metric, backend, data):
    for outputs, labels in data:
        metric.update(backend.asarray(outputs), backend.asarray(labels))
    return metric.compute()


def pairs(data):
    """Scores and label of each example."""
    return [pair for outputs, labels in data for pair in zip(outputs, labels, strict=True)]


def test_accuracy_gives_every_example_the_same_weight(backend):
    data = batches(np.random.default_rng(0))
    right = sum(int(scores.argmax() == label) for scores, label in pairs(data))
    assert measure(Accuracy(), backend, data) == right / 19


def test_accuracy_takes_the_first_of_equals(backend):
    assert measure(Accuracy(), backend, [(np.ones((2, 3)), np.array([0, 1]))]) == 0.5


def test_accuracy_of_each_pixel(backend):
    """(N, classes, …) scores with (N, …) labels, as in segmentation."""
    rng = np.random.default_rng(1)
    outputs, labels = rng.normal(size=(2, 3, 4, 5)), rng.integers(0, 3, (2, 4, 5))
    assert measure(Accuracy(), backend, [(outputs, labels)]) == np.mean(outputs.argmax(axis=1) == labels)


@pytest.mark.parametrize("k", [1, 2, 5])
def test_top_k_is_what_sorting_finds(backend, k):
    """Half of the scores are equal to others: the sort is stable, so the first of equals is ahead."""
    rng = np.random.default_rng(2)
    data = [(rng.integers(0, 3, (size, 5)).astype(np.float32), rng.integers(0, 5, size)) for size in (8, 8, 3)]
    right = sum(label in np.argsort(-scores, kind="stable")[:k] for scores, label in pairs(data))
    assert measure(TopK(k), backend, data) == right / 19
    if k == 1:
        assert measure(Accuracy(), backend, data) == right / 19
    flat = np.concatenate([scores for scores, _ in data]), np.concatenate([labels for _, labels in data])
    image = flat[0].T.reshape(1, 5, 19), flat[1].reshape(1, 19)
    assert measure(TopK(k), backend, [image]) == right / 19


def test_top_k_of_scores_that_are_no_numbers(backend):
    scores = np.array([[np.nan, 1, 2], [1, 2, np.inf], [-np.inf, 1, 2], [1, 2, 3]])
    assert measure(TopK(1), backend, [(scores, np.array([2, 2, 2, 2]))]) == 0.75
    assert measure(TopK(2), backend, [(scores, np.array([0, 0, 0, 0]))]) == 0.0
    assert measure(TopK(3), backend, [(scores, np.array([3, -1, 0, 0]))]) == 0.5  # a label outside is not right


def test_top_k_needs_as_many_classes(backend):
    with pytest.raises(ArgumentError, match=r"top4_accuracy: there are 3 classes \(outputs.shape=\(2, 3\)\)"):
        measure(TopK(4), backend, [(np.ones((2, 3)), np.array([0, 1]))])
    for k in (0, -1, 2.0, True, "5"):
        with pytest.raises(ArgumentError, match="k must be an integer of at least 1, got"):
            TopK(k)


def plain_figures(data, kind, average, classes=5, ignore=None):
    """Precision, recall or F1 from counts by loops."""
    right, predicted, actual = [0] * classes, [0] * classes, [0] * classes
    for scores, label in pairs(data):
        if label == ignore:
            continue
        guess = int(scores.argmax())
        right[label] += guess == label
        predicted[guess] += 1
        actual[label] += 1

    def figure(r, p, a):
        share, whole = {"precision": (r, p), "recall": (r, a), "f1": (2 * r, p + a)}[kind]
        return share / whole if whole else 0.0

    each = [figure(*counts) for counts in zip(right, predicted, actual, strict=True)]
    if average == "micro":
        return figure(sum(right), sum(predicted), sum(actual))
    if average == "weighted":
        return sum(value * count for value, count in zip(each, actual, strict=True)) / sum(actual)
    if average == "macro":
        occurring = [value for value, p, a in zip(each, predicted, actual, strict=True) if p or a]
        return sum(occurring) / len(occurring)
    return each


@pytest.mark.parametrize("average", AVERAGES)
@pytest.mark.parametrize("kind", [Precision, Recall, F1])
def test_precision_recall_f1_are_what_loops_count(backend, kind, average):
    rng = np.random.default_rng(3)
    data = batches(rng)
    for scores, labels in data:
        scores[:, 4] = -9  # never predicted
        labels[labels == 3] = 2  # never the truth
    for ignore in (None, 1):
        metric = kind(average, ignore_index=ignore)
        expected = plain_figures(data, metric.name, average, ignore=ignore)
        assert metric.is_scalar == (average is not None)
        np.testing.assert_allclose(measure(metric, backend, data), expected, rtol=1e-14)


@pytest.mark.parametrize("kind", [Precision, Recall, F1])
def test_a_share_of_nothing_is_zero(backend, kind):
    """Class 0 is never predicted, class 1 never the truth, class 2 neither: as scikit-learn has it."""
    data = [(np.array([[0.0, 1.0, 0.0]]), np.array([0]))]
    assert measure(kind(None), backend, data).tolist() == [0.0, 0.0, 0.0]
    assert [measure(kind(average), backend, data) for average in ("macro", "micro", "weighted")] == [0.0, 0.0, 0.0]


def test_averages_have_names():
    with pytest.raises(
        ArgumentError, match=r'Recall: average must be "macro", "micro", "weighted" or None, got \'mean\''
    ):
        Recall("mean")


def test_ignored_labels_count_nothing(backend):
    rng = np.random.default_rng(4)
    data = batches(rng)
    kept = [(outputs[labels != 2], labels[labels != 2]) for outputs, labels in data]
    for make in (Accuracy, lambda **options: TopK(2, **options), F1, ConfusionMatrix):
        expected = measure(make(), backend, kept)
        np.testing.assert_array_equal(measure(make(ignore_index=2), backend, data), expected)
    assert math.isnan(measure(Accuracy(ignore_index=2), backend, [(np.ones((2, 3)), np.array([2, 2]))]))
    assert math.isnan(measure(F1(ignore_index=-100), backend, [(np.ones((2, 3)), np.array([-100, -100]))]))


def test_confusion_matrix_is_what_a_loop_counts(backend):
    data = batches(np.random.default_rng(2))
    expected = np.zeros((5, 5), dtype=np.int64)
    for scores, label in pairs(data):
        expected[label, scores.argmax()] += 1
    matrix = measure(ConfusionMatrix(), backend, data)
    assert matrix.dtype == np.int64
    np.testing.assert_array_equal(matrix, expected)


def test_before_the_first_batch():
    assert math.isnan(Accuracy().compute())
    assert math.isnan(F1().compute())
    assert F1(None).compute().shape == (0,)
    assert ConfusionMatrix().compute().shape == (0, 0)
    assert Tally([]).first_bad_batch() is None
    assert math.isnan(Tally([]).read()["loss"])


@pytest.mark.parametrize("labels", [np.zeros((4, 5)), np.zeros(3)])
@pytest.mark.parametrize("metric", [Accuracy, TopK, F1, ConfusionMatrix])
def test_labels_that_are_no_class_indices(metric, labels):
    with pytest.raises(ShapeError, match=r"outputs.shape=\(4, 5\), labels.shape="):
        metric().update(np.zeros((4, 5)), labels)


def test_names_and_objects():
    own = Accuracy()
    assert resolve(["accuracy", own])[1] is own
    found = resolve(["precision", "recall", "f1", "top1_accuracy", "top12_accuracy"])
    assert [metric.name for metric in found] == ["precision", "recall", "f1", "top1_accuracy", "top12_accuracy"]
    assert [(type(metric), metric.average) for metric in found[:3]] == [
        (kind, "macro") for kind in (Precision, Recall, F1)
    ]
    assert [metric.k for metric in found[3:]] == [1, 12]
    for unknown in ("precission", "top0_accuracy", "top_accuracy", 3, Accuracy):
        with pytest.raises(
            ArgumentError, match=r"expected one of 'accuracy', .* 'top5_accuracy' .* or a Metric object"
        ):
            resolve([unknown])


def test_a_metric_must_say_how():
    with pytest.raises(NotImplementedError, match="Metric has no update"):
        Metric().update(np.zeros(1), np.zeros(1))
    with pytest.raises(NotImplementedError, match="Metric has no compute"):
        Metric().compute()


# ---- tallies -------------------------------------------------------------------------------------------------------

ALL = ["accuracy", "top2_accuracy", "precision", "recall", "f1", "confusion_matrix"]


def test_tally_reads_nothing_until_it_is_asked(backend, monkeypatch):
    data = batches(np.random.default_rng(3))
    losses = [0.5, 1.5, 4.0]
    tally = Tally([*resolve(ALL), Accuracy(ignore_index=1), F1(None, ignore_index=1)])
    given = [
        (backend.asarray(np.array(loss, dtype=np.float32)), backend.asarray(outputs), backend.asarray(labels))
        for loss, (outputs, labels) in zip(losses, data, strict=True)
    ]
    with monkeypatch.context() as patched:
        patched.setattr(backends, "to_numpy", lambda array: pytest.fail("read an array"))
        if not backend.is_host:
            for way in ("get", "item", "__float__", "__int__", "__bool__"):
                patched.setattr(type(given[0][0]), way, lambda *_: pytest.fail("read an array"))
        for batch in given:
            tally.add(*batch)
    assert tally.examples == 19
    assert tally.read()["loss"] == (8 * 0.5 + 8 * 1.5 + 3 * 4.0) / 19
    assert list(tally.read()) == ["loss", *ALL]


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


def plain(value):
    """A state as files hold it: with NumPy arrays, and the rest through JSON."""
    if isinstance(value, dict):
        return {name: plain(part) for name, part in value.items()}
    if isinstance(value, list):
        return [plain(part) for part in value]
    return backends.to_numpy(value).copy() if hasattr(value, "dtype") else json.loads(json.dumps(value))


@pytest.mark.parametrize("stop", [0, 1, 2])
def test_a_tally_goes_on_bit_for_bit(backend, stop):
    rng = np.random.default_rng(5)
    given = [
        tuple(backend.asarray(array) for array in (np.float32(rng.normal()), outputs, labels))
        for outputs, labels in batches(rng)
    ]
    whole, first, second = (Tally(resolve(ALL)) for _ in range(3))
    for number, batch in enumerate(given):
        whole.add(*batch)
        if number < stop:
            first.add(*batch)
    second.load_state_dict(plain(first.state_dict()), backend)
    for batch in given[stop:]:
        second.add(*batch)
    assert (second.batches, second.examples, second.first_bad_batch()) == (3, 19, None)
    for name, value in whole.read().items():
        np.testing.assert_array_equal(second.read()[name], value, strict=True)


def test_a_loaded_tally_is_independent(backend):
    first, second = Tally([Accuracy()]), Tally([Accuracy()])
    batch = tuple(backend.asarray(array) for array in (np.float32(1), np.eye(2), np.array([0, 1])))
    first.add(*batch)
    second.load_state_dict(first.state_dict(), backend)
    first.add(*batch)
    assert (first.examples, second.examples) == (4, 2)


def test_states_of_other_metrics():
    numpy = backends.get("numpy")
    with pytest.raises(StateDictError, match="saved metrics are accuracy, not f1"):
        Tally([F1()]).load_state_dict(Tally([Accuracy()]).state_dict(), numpy)
    with pytest.raises(StateDictError, match="TopK: the saved state has name = 'top3_accuracy', not 'top2_accuracy'"):
        TopK(2).load_state_dict(TopK(3).state_dict(), numpy)
    with pytest.raises(StateDictError, match="Accuracy: the saved state is of a metric with k, not ignore_index, "):
        Accuracy().load_state_dict({"k": 1}, numpy)


def test_a_metric_that_keeps_something_else():
    class Words(Metric):
        name = "words"

        def __init__(self):
            self.seen = {"a"}

    with pytest.raises(ArgumentError, match=r"Words\.seen is a set; a state holds arrays.*: override state_dict"):
        Words().state_dict()
