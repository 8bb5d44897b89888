"""Output sizes and padding, as plain integers."""

from typing import Any

import pytest

from kernels.errors import ArgumentError, ShapeError
from kernels.geometry import argmax_dtype, convolution_window, pooling_window


@pytest.mark.parametrize(
    ("padding", "expected"),
    [
        (1, ((1, 1), (1, 1))),
        ((1, 2), ((1, 1), (2, 2))),
        ([1, 2], ((1, 1), (2, 2))),
        (((1, 0), (2, 3)), ((1, 0), (2, 3))),
        ([[1, 0], [2, 3]], ((1, 0), (2, 3))),
        ("valid", ((0, 0), (0, 0))),
    ],
)
def test_every_form_of_padding(padding: Any, expected: Any) -> None:
    assert convolution_window("conv2d", (7, 8), 3, 1, padding, 1).padding == expected


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "dilation", "padding", "outputs"),
    [
        (7, 3, 1, 1, (1, 1), 7),
        (7, 4, 1, 1, (1, 2), 7),  # of three cells the larger half goes to the end
        (7, 2, 1, 3, (1, 2), 7),
        (8, 3, 2, 1, (0, 1), 4),  # what TensorFlow does and many networks trained there rely on
        (7, 3, 2, 1, (1, 1), 4),
        (9, 2, 5, 1, (0, 0), 2),  # the stride jumps over everything that padding could serve
    ],
)
def test_same_padding(
    size: int, kernel: int, stride: int, dilation: int, padding: tuple[int, int], outputs: int
) -> None:
    window = convolution_window("conv2d", (size, size), kernel, stride, "same", dilation)
    assert window.padding == (padding, padding)
    assert window.output_size == (outputs, outputs)


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "padding", "floor", "ceil"),
    [
        (4, 2, 2, 0, 2, 2),
        (5, 2, 2, 0, 2, 3),
        (3, 2, 3, 1, 2, 2),  # a third window would start beyond the input
        (2, 3, 2, 1, 1, 2),
        (4, 1, 3, 0, 2, 2),
    ],
)
def test_ceil_mode(size: int, kernel: int, stride: int, padding: int, floor: int, ceil: int) -> None:
    for ceil_mode, outputs in [(False, floor), (True, ceil)]:
        window = pooling_window("max_pool2d", (size, size), kernel, stride, padding, 1, ceil_mode)
        assert window.output_size == (outputs, outputs)


def test_padded_size_reaches_as_far_as_the_windows() -> None:
    assert convolution_window("conv2d", (6, 6), 2, 3, ((0, 1), (1, 1)), 1).padded_size == (6, 8)
    assert pooling_window("max_pool2d", (5, 5), 2, None, 0, 1, True).padded_size == (6, 6)


def test_argmax_is_as_narrow_as_can_be() -> None:
    assert [argmax_dtype(cells).name for cells in (4, 255, 256, 65536)] == ["uint8", "uint8", "uint16", "uint32"]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"stride": 0}, ArgumentError, "stride must be an int of at least 1 .* got 0"),
        ({"stride": 2.0}, ArgumentError, "stride .* got 2.0"),
        ({"kernel_size": (1, 2, 3)}, ArgumentError, r"kernel_size .* got \(1, 2, 3\)"),
        ({"dilation": None}, ArgumentError, "dilation .* got None"),
        ({"padding": "some"}, ArgumentError, 'padding must be .* "same" or "valid", got \'some\''),
        ({"padding": -1}, ArgumentError, "padding .* got -1"),
        ({"padding": ((1,), (2, 3))}, ArgumentError, "padding .* got"),
        ({"kernel_size": 9}, ShapeError, "output would be empty: the window covers 9×9 cells .* has 7×8"),
    ],
)
def test_bad_options_are_named(options: dict[str, Any], error: type[Exception], message: str) -> None:
    given = {"kernel_size": 3, "stride": 1, "padding": 0, "dilation": 1, **options}
    with pytest.raises(error, match=message):
        convolution_window("conv2d", (7, 8), **given)


def test_a_pooling_window_of_padding_only_is_refused() -> None:
    with pytest.raises(ArgumentError, match="leaves a window with nothing but padding"):
        pooling_window("max_pool2d", (7, 8), 2, None, 2, 1, False)
    with pytest.raises(ArgumentError, match="nothing but padding"):  # both taps miss the only cell
        pooling_window("max_pool2d", (1, 1), 2, None, 1, 2, False)
