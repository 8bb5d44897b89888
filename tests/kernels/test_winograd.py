"""Winograd's convolution: against naive loops and finite differences, and which convolutions choose it."""

from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import dlcore as dl
import kernels
from dlcore import functional as F
from kernels import cpu, reference
from kernels.cpu import chooser, threads, winograd
from kernels.cpu.chooser import Way
from kernels.geometry import convolution_window
from tests.kernels.strategies import Arrays, arrays, input_sizes, paddings
from tests.tolerances import TOLERANCES

CUTS = st.fixed_dictionaries(
    {
        "_BLOCK_BYTES": st.sampled_from([1, winograd._BLOCK_BYTES]),
        "_LEAST_ROWS": st.sampled_from([1, winograd._LEAST_ROWS]),
        "BLOCK_STEPS": st.sampled_from([1, 5, winograd.BLOCK_STEPS]),
        "_CHUNKS": st.sampled_from([1, 2, winograd._CHUNKS]),
        "_PART_COLUMNS": st.sampled_from([8, winograd._PART_COLUMNS]),
        "_PART_BYTES": st.sampled_from([1, winograd._PART_BYTES]),
    }
)


def assert_close(actual: Any, expected: Any, what: str) -> None:
    """As for the other ways, with four times the room: sums of larger numbers that cancel."""
    assert actual.shape == expected.shape
    relative, absolute = TOLERANCES[str(actual.dtype)]
    scale = max(1.0, float(np.abs(expected).max(initial=0.0)))
    np.testing.assert_allclose(actual, expected, rtol=4 * relative, atol=4 * absolute * scale, err_msg=what)


@st.composite
def cases(draw: st.DrawFn) -> dict[str, Any]:
    """Shapes and options that Winograd's way takes; more and fewer channels than vectors have lanes."""
    padding = draw(paddings((4, 4)))
    H, W = draw(input_sizes((3, 3), (1, 1), padding))
    return {
        "N": draw(st.integers(0, 3)),
        "C": draw(st.sampled_from([1, 3, 4, 8, 9, 16, 21])),
        "K": draw(st.sampled_from([1, 2, 5, 8, 13, 16, 24, 33])),
        "size": (H, W),
        "padding": padding,
        "bias": draw(st.booleans()),
        "activation": draw(st.sampled_from([None, "relu"])),
        "m": draw(st.sampled_from([2, 4])),
        "threads": draw(st.sampled_from([1, 2, 3])),
        "arrays": draw(arrays),
    }


#: Several blocks of tiles in each of two chunks, with numbers of tiles and channels that divide by nothing.
TWO_CHUNKS = {
    "N": 3,
    "C": 9,
    "K": 13,
    "size": (9, 11),
    "padding": 1,
    "bias": True,
    "activation": None,
    "m": 2,
    "threads": 1,
    "arrays": Arrays("float64", "plain", 0),
}


@settings(max_examples=300)
@given(case=cases(), cut=CUTS)
@example(case=TWO_CHUNKS, cut={"_BLOCK_BYTES": 1, "_LEAST_ROWS": 1, "_CHUNKS": 2})
def test_winograd_equals_loops(case: dict[str, Any], cut: dict[str, int]) -> None:
    window = convolution_window("conv2d", case["size"], (3, 3), 1, case["padding"], 1)
    x_shape, weight_shape = (case["N"], case["C"], *case["size"]), (case["K"], case["C"], 3, 3)
    output_shape = (case["N"], case["K"], *window.output_size)
    x, weight, dy, bias = case["arrays"].make(x_shape, weight_shape, output_shape, weight_shape[:1])
    bias = bias if case["bias"] else None
    x64, weight64, dy64 = (a.astype(np.float64) for a in (x, weight, dy))
    bias64 = None if bias is None else bias.astype(np.float64)
    options: dict[str, Any] = {"padding": case["padding"]}
    chosen = patch("kernels.cpu.convolution.choose", lambda *_: Way("winograd", case["m"]))
    before = threads.get_num_threads()
    threads.set_num_threads(case["threads"])
    try:
        with chosen, patch.multiple(winograd, **cut):
            y = cpu.conv2d(x, weight, bias, **options, activation=case["activation"])
            dx = cpu.conv2d_input_grad(dy, weight, x_shape, **options)
            dw = cpu.conv2d_weight_grad(x, dy, weight_shape, **options)
    finally:
        threads.set_num_threads(before)
    expected = reference.conv2d(x64, weight64, bias64, **options, activation=case["activation"])
    assert_close(y, expected, "conv2d")
    assert_close(dx, reference.conv2d_input_grad(dy64, weight64, x_shape, **options), "conv2d_input_grad")
    assert_close(dw, reference.conv2d_weight_grad(x64, dy64, weight_shape, **options), "conv2d_weight_grad")


@pytest.mark.parametrize("m", [2, 4])
def test_results_are_bitwise_the_same_at_any_number_of_threads(m: int) -> None:
    random = np.random.default_rng(0)
    x, dy = (random.standard_normal((5, 13, 14, c), np.float32) for c in (20, 37))
    weight = random.standard_normal((37, 20, 3, 3), np.float32)
    window = convolution_window("conv2d", (13, 14), (3, 3), 1, 1, 1)
    before, results = threads.get_num_threads(), []
    try:
        for count in (1, 2, 3):
            threads.set_num_threads(count)
            with patch.multiple(winograd, _BLOCK_BYTES=1, _LEAST_ROWS=1):
                results.append(
                    (
                        winograd.forward(x, weight, None, True, window, m),
                        winograd.input_grad(dy, weight, window, m),
                        winograd.weight_grad(x, dy, window, m),
                    )
                )
    finally:
        threads.set_num_threads(before)
    for other in results[1:]:
        for one, two in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("algorithm", ["direct", "winograd", "gemm", "reference"])
def test_gradients_through_every_algorithm_equal_finite_differences(algorithm: str) -> None:
    random = np.random.default_rng(0)
    x, weight, bias = (
        dl.tensor(random.standard_normal(shape), requires_grad=True) for shape in ((2, 3, 5, 6), (4, 3, 3, 3), (4,))
    )

    def convolve(x: dl.Tensor, weight: dl.Tensor, bias: dl.Tensor) -> dl.Tensor:
        return F.conv2d(x, weight, bias, padding=1, algorithm=algorithm)

    assert dl.gradcheck(convolve, [x, weight, bias])
    assert dl.gradgradcheck(convolve, [x, weight, bias])


def test_nan_and_infinity_are_not_lost() -> None:
    x = np.zeros((1, 8, 12, 12), np.float32)
    x[0, 3, 5, 5] = np.nan
    y = kernels.conv2d(x, np.ones((8, 8, 3, 3), np.float32), padding=1, activation="relu", algorithm="winograd")
    assert np.isnan(y[0, :, 4:7, 4:7]).all()


def test_the_reach_of_a_nan_is_its_tile() -> None:
    """Winograd spreads a NaN over the outputs of the tiles that read it, and no further."""
    x = np.zeros((2, 8, 16, 16), np.float32)
    x[0, 0, 1, 1] = np.nan
    y = kernels.conv2d(x, np.ones((8, 8, 3, 3), np.float32), padding=1, algorithm="winograd")
    assert np.isfinite(y[0, :, 8:]).all()
    assert np.isfinite(y[1]).all()


WIDE = ("forward", 8, 64, 64, convolution_window("conv2d", (28, 28), (3, 3), 1, 1, 1), 1)


def test_winograd_is_chosen_where_it_pays() -> None:
    assert chooser.choose("auto", *WIDE, 4) == Way("winograd", 4)
    for which in ("input_grad", "weight_grad"):
        assert chooser.choose("auto", which, *WIDE[1:], 4).algorithm == "winograd"


def test_winograd_is_never_chosen_in_float64_but_can_be_asked_for() -> None:
    assert chooser.choose("auto", *WIDE, 8).algorithm == "direct"
    assert chooser.choose("winograd", *WIDE, 8).algorithm == "winograd"


@pytest.mark.parametrize(("C", "K"), [(1, 16), (3, 64)])
def test_few_channels_go_the_direct_way(C: int, K: int) -> None:
    assert chooser.choose("auto", "forward", 8, C, K, WIDE[4], 1, 4) == Way("direct")


@pytest.mark.parametrize(
    ("kernel", "options"),
    [(5, {}), (3, {"stride": 2}), (3, {"dilation": 2}), (3, {"groups": 2})],
)
def test_asking_for_winograd_where_it_cannot_be_says_so(kernel: int, options: dict[str, int]) -> None:
    x = np.ones((1, 4, 9, 9), np.float32)
    weight = np.ones((4, 4 // options.get("groups", 1), kernel, kernel), np.float32)
    y = kernels.conv2d(x, weight, **options)
    calls = [
        lambda: kernels.conv2d(x, weight, **options, algorithm="winograd"),
        lambda: kernels.conv2d_input_grad(y, weight, x.shape, **options, algorithm="winograd"),
        lambda: kernels.conv2d_weight_grad(x, y, weight.shape, **options, algorithm="winograd"),
    ]
    for call in calls:
        with pytest.raises(kernels.errors.ArgumentError, match=r'algorithm="winograd" takes kernels of 3×3.*"auto"'):
            call()


def test_errors_stay_within_what_is_documented() -> None:
    """Largest error of F(4×4, 3×3) in float32, outputs of unit scale: see `kernels.conv2d`."""
    x, weight = Arrays("float64", "plain", 0).make((4, 64, 16, 16), (64, 64, 3, 3))
    weight /= 24  # outputs of standard deviation 1
    exact = kernels.conv2d(x, weight, padding=1)
    errors = {
        algorithm: np.abs(
            kernels.conv2d(x.astype(np.float32), weight.astype(np.float32), padding=1, algorithm=algorithm) - exact
        ).max()
        for algorithm in ("direct", "winograd")
    }
    assert errors["direct"] < 1e-5
    assert errors["winograd"] < 4e-5
