"""What follows from measured times: ratios, means beside goals, marks, JSON."""

import json

import pytest

from benchmarks import goals, results
from benchmarks.cases import FORWARD, MNIST
from benchmarks.goals import ONNX_RUNTIME, PYTORCH, PYTORCH_BEST
from benchmarks.results import Row, geometric_mean, means
from benchmarks.timing import Timing

CHANNELS_LAST = f"{PYTORCH} channels_last"


def timing(*milliseconds, scale=1.0):
    return Timing(scale, [value / 1e3 for value in milliseconds])


def row(ours, *, layer="a", share=None, **peers):
    titles = {"nchw": PYTORCH, "nhwc": CHANNELS_LAST, "onnx": ONNX_RUNTIME}
    timings = {titles[name]: timing(*values) for name, values in peers.items()} | {"dlcore": timing(*ours)}
    return Row(MNIST, FORWARD, "conv2d", layer, timings, share)


def test_fastest_and_median_call_of_the_whole_case():
    measured = timing(3, 1, 2, scale=10)
    assert measured.minimum == pytest.approx(0.010)
    assert measured.median == pytest.approx(0.020)
    assert measured.as_json() == pytest.approx({"minimum_ms": 10, "median_ms": 20, "calls": 3, "scaled_by": 10})


def test_pytorch_at_its_best_is_the_best_of_its_forms():
    measured = row([1, 2], nchw=[4, 6], nhwc=[3, 9], onnx=[5, 5])
    assert list(measured.peers()) == [PYTORCH, ONNX_RUNTIME, PYTORCH_BEST]
    assert measured.ratio(PYTORCH) == pytest.approx(4)
    assert measured.ratio(PYTORCH_BEST) == pytest.approx(3)
    assert measured.median_ratio(PYTORCH_BEST) == pytest.approx(5 / 1.5)
    assert measured.ratio("nobody") is None


@pytest.mark.parametrize(
    ("theirs", "share", "is_behind"), [(0.8, None, True), (0.8, 0.5, True), (0.8, 0.95, False), (0.95, 0.1, False)]
)
def test_a_row_is_marked_when_it_is_behind_and_not_at_the_limit(theirs, share, is_behind):
    assert row([1], nchw=[theirs], share=share).is_behind == is_behind
    assert not row([1], onnx=[theirs], share=share).is_behind


def test_geometric_mean():
    assert geometric_mean([2, 8]) == pytest.approx(4)
    assert geometric_mean([0.5]) == 0.5
    assert geometric_mean([0.5, 2]) == pytest.approx(1)


def test_means_by_group_pass_and_peer_beside_goals():
    rows = [row([1], nchw=[2], nhwc=[1]), row([1], layer="b", nchw=[8], nhwc=[4], onnx=[3])]
    found = {mean.peer: mean for mean in means(rows, {(MNIST, FORWARD, PYTORCH_BEST): 1.5}.get)}
    assert found[PYTORCH_BEST].ratio == pytest.approx(2)
    assert (found[PYTORCH_BEST].least, found[PYTORCH_BEST].rows) == (pytest.approx(1), 2)
    assert found[PYTORCH_BEST].is_reached
    assert found[PYTORCH].ratio == pytest.approx(4)
    assert found[PYTORCH].is_reached is None
    assert found[ONNX_RUNTIME].rows == 1


def test_json_holds_what_the_tables_show():
    rows = [row([1, 2], nchw=[2, 3], share=0.5)]
    written = json.loads(json.dumps(results.as_json(rows, means(rows, lambda key: 1.5))))
    (line,) = written["rows"]
    assert line["contenders"]["dlcore"] == pytest.approx(
        {"minimum_ms": 1, "median_ms": 1.5, "calls": 2, "scaled_by": 1}
    )
    assert line["ratios"][PYTORCH] == pytest.approx(2)
    assert (line["group"], line["pass"], line["share_of_ceiling"]) == (MNIST, FORWARD, 0.5)
    assert [mean["is_reached"] for mean in written["means"]] == [True, True]


def test_goals_against_loops():
    assert goals.loop_goal("conv2d_input_grad", goals.NUMBA_LOOPS) == 30
    assert goals.loop_goal("im2col", goals.NUMBA_LOOPS) == 3
    assert goals.loop_goal("im2col", goals.PYTHON_LOOPS) == 1000
    assert goals.loop_goal("im2col", goals.TEXTBOOK) == 5
