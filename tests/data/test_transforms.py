"""Every transform against loops over images and pixels that say what it means."""

import math

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from PIL import Image

import dlcore.data as data
from dlcore.data import transforms
from dlcore.random import Generator
from kernels.errors import ArgumentError, DLCoreError, DTypeError, ShapeError

SHAPES = st.tuples(st.integers(1, 5), st.integers(1, 3), st.integers(1, 9), st.integers(1, 9))
SEEDS = st.integers(0, 2**32)
DTYPES = st.sampled_from([np.float32, np.float64])


def images(shape, seed=0, dtype=np.float32):
    """Values from 1 to 2: what comes from outside an image, 0, is told from what was in it."""
    return (1 + np.random.default_rng(seed).random(shape)).astype(dtype)


def shifted(image, down, right):
    """The image (C, H, W) moved, pixel by pixel."""
    out = np.zeros_like(image)
    height, width = image.shape[1:]
    for i in range(height):
        for j in range(width):
            if 0 <= i - down < height and 0 <= j - right < width:
                out[:, i, j] = image[:, i - down, j - right]
    return out


def turned(image, degrees):
    """The image (C, H, W) turned counterclockwise about its middle, pixel by pixel."""
    out = np.zeros(image.shape)
    height, width = image.shape[1:]
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    for i in range(height):
        for j in range(width):
            down, right = i - (height - 1) / 2, j - (width - 1) / 2
            row = cosine * down + sine * right + (height - 1) / 2
            column = cosine * right - sine * down + (width - 1) / 2
            for r in (math.floor(row), math.floor(row) + 1):
                for c in (math.floor(column), math.floor(column) + 1):
                    if 0 <= r < height and 0 <= c < width:
                        out[:, i, j] += (1 - abs(row - r)) * (1 - abs(column - c)) * image[:, r, c]
    return out


@settings(max_examples=25)
@given(SHAPES, st.integers(0, 4), SEEDS, DTYPES)
def test_each_image_is_shifted_by_so_many_pixels_at_most(shape, pixels, seed, dtype):
    x = images(shape, seed, dtype)
    pixels = min(pixels, max(shape[2:]))
    y = transforms.RandomShift(pixels)(x, Generator(seed))
    assert (y.shape, y.dtype) == (x.shape, x.dtype)
    distances = range(-pixels, pixels + 1)
    for before, after in zip(x, y, strict=True):
        assert any(np.array_equal(after, shifted(before, down, right)) for down in distances for right in distances)


def test_every_shift_is_as_probable():
    x = np.zeros((9000, 1, 5, 5), np.float32)
    x[:, :, 2, 2] = 1
    y = transforms.RandomShift(1)(x, Generator(0))[:, 0, 1:4, 1:4]
    counts = y.sum(axis=0)
    assert counts.sum() == 9000
    assert abs(counts - 1000).max() < 4 * math.sqrt(1000)


@settings(max_examples=25)
@given(SHAPES, st.data(), SEEDS)
def test_each_crop_is_a_window_of_the_padded_image(shape, choices, seed):
    padding = choices.draw(st.integers(0, min(3, max(shape[2:]))))
    size = tuple(choices.draw(st.integers(1, length + 2 * padding)) for length in shape[2:])
    x = images(shape, seed)
    y = transforms.RandomCrop(size, padding)(x, Generator(seed))
    assert y.shape == (*shape[:2], *size)
    for before, after in zip(x, y, strict=True):
        framed = np.pad(before, ((0, 0), (padding, padding), (padding, padding)))
        rooms = [length - own + 1 for length, own in zip(framed.shape[1:], size, strict=True)]
        assert any(
            np.array_equal(after, framed[:, i : i + size[0], j : j + size[1]])
            for i in range(rooms[0])
            for j in range(rooms[1])
        )


def test_a_crop_of_one_number_is_square():
    assert transforms.RandomCrop(3)(images((2, 1, 8, 9)), Generator(0)).shape == (2, 1, 3, 3)


@settings(max_examples=25)
@given(SHAPES, st.sampled_from(["horizontal", "vertical"]), SEEDS)
def test_each_image_is_mirrored_or_left(shape, axis, seed):
    x = images(shape, seed)
    y = transforms.RandomFlip(axis=axis)(x, Generator(seed))
    is_flipped = Generator(seed).bernoulli(len(x), 0.5, purpose=f"flip {axis}")
    for before, after, flip in zip(x, y, is_flipped, strict=True):
        mirrored = [row[::-1] for row in before.reshape(-1, shape[3])] if axis == "horizontal" else None
        expected = np.reshape(mirrored, before.shape) if mirrored else np.stack([c[::-1] for c in before])
        np.testing.assert_array_equal(after, expected if flip else before)


def test_flips_are_as_probable_as_was_said():
    x = np.broadcast_to(np.float32([[[[1, 2]]]]), (4000, 1, 1, 2))
    assert (transforms.RandomFlip(0)(x, Generator(0)) == x).all()
    assert (transforms.RandomFlip(1)(x, Generator(0)) == x[..., ::-1]).all()
    share = (transforms.RandomFlip(0.25)(x, Generator(0))[:, 0, 0, 0] == 2).mean()
    assert share == pytest.approx(0.25, abs=4 * math.sqrt(0.25 * 0.75 / 4000))


@settings(max_examples=25)
@given(SHAPES, st.floats(0, 180), SEEDS, DTYPES)
def test_each_image_is_turned_as_the_loops_do(shape, degrees, seed, dtype):
    x = images(shape, seed, dtype)
    y = transforms.RandomRotation(degrees)(x, Generator(seed))
    assert (y.shape, y.dtype) == (x.shape, x.dtype)
    angles = Generator(seed).uniform(len(x), -degrees, degrees, dtype=np.float64, purpose="rotation")
    assert (abs(angles) <= degrees).all()
    expected = np.stack([turned(image, angle) for image, angle in zip(x, angles, strict=True)])
    np.testing.assert_allclose(y, expected, rtol=0, atol=2e-6 if dtype == np.float32 else 1e-12)


@pytest.mark.parametrize("degrees", [-30.0, 7.5, 90.0])
def test_the_inside_of_a_turned_image_is_pillows(degrees):
    """Pillow treats the outermost pixels in another way: there it does not mix in what lies outside."""
    image = images((1, 1, 21, 21))
    ours = transforms.rotate(image, np.array([degrees]))[0, 0]
    pillows = np.asarray(Image.fromarray(image[0, 0]).rotate(degrees, Image.Resampling.BILINEAR))
    down, right = np.mgrid[-10:11, -10:11]
    inside = down**2 + right**2 <= 9**2
    np.testing.assert_allclose(ours[inside], pillows[inside], atol=1e-4)


@pytest.mark.parametrize("shape", [(3, 2, 5, 5), (2, 1, 6, 6)])
def test_quarter_turns_are_exact(shape):
    x = images(shape, dtype=np.float64)
    for quarters in (-1, 0, 1, 2):
        y = transforms.rotate(x, np.full(len(x), 90.0 * quarters))
        np.testing.assert_allclose(y, np.rot90(x, quarters, axes=(2, 3)), atol=1e-12)


@pytest.mark.parametrize("channels", [1, 3])
def test_normalize_is_per_channel(channels):
    x = images((4, channels, 5, 6))
    mean, std = [0.5, 1.0, 1.5][:channels], [0.25, 0.5, 2.0][:channels]
    y = transforms.Normalize(mean, std)(x)
    assert y.dtype == np.float32
    for channel in range(channels):
        np.testing.assert_allclose(y[:, channel], (x[:, channel] - mean[channel]) / std[channel], rtol=1e-6)
    np.testing.assert_array_equal(transforms.Normalize(0.5, 0.25)(x), (x - np.float32(0.5)) / np.float32(0.25))


def test_normalize_of_a_dataset(monkeypatch):
    monkeypatch.setattr(transforms, "_CHUNK", 7)
    pixels = np.random.default_rng(0).integers(0, 256, (40, 3, 4, 5), np.uint8)
    pixels[:, 2] = 51  # a channel that says nothing
    dataset = data.ArrayDataset(pixels, np.zeros(40, int))
    normalize = transforms.Normalize.of(dataset)
    np.testing.assert_allclose(normalize.mean, dataset.x.mean(axis=(0, 2, 3), dtype=np.float64), rtol=1e-12)
    np.testing.assert_allclose(normalize.std[:2], dataset.x[:, :2].std(axis=(0, 2, 3), dtype=np.float64), rtol=1e-12)
    assert normalize.std[2] == 1
    y = normalize(dataset.x)
    np.testing.assert_allclose(y.mean(axis=(0, 2, 3)), 0, atol=1e-6)
    np.testing.assert_allclose(y[:, :2].std(axis=(0, 2, 3)), 1, atol=1e-6)


def test_compose_applies_one_after_the_other():
    x = images((6, 1, 8, 8))
    shift, normalize = transforms.RandomShift(2), transforms.Normalize(0.5, 2.0)
    both = transforms.Compose([shift, normalize])(x, Generator(3))
    np.testing.assert_array_equal(both, normalize(shift(x, Generator(3))))
    twice = transforms.Compose([shift, shift])(x, Generator(3))
    generator = Generator(3)
    np.testing.assert_array_equal(twice, shift(shift(x, generator), generator))


RANDOM = [
    transforms.RandomShift(2),
    transforms.RandomRotation(20),
    transforms.RandomFlip(),
    transforms.RandomCrop(6, padding=1),
]


@pytest.mark.parametrize("transform", RANDOM, ids=repr)
def test_the_generator_decides_and_the_batch_is_left_alone(transform):
    x = images((20, 2, 8, 8))
    before = x.copy()
    once, again, other = (transform(x, Generator(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(once, again)
    assert not np.array_equal(once, other)
    np.testing.assert_array_equal(x, before)
    assert not np.shares_memory(once, x)


@pytest.mark.parametrize("transform", [*RANDOM, transforms.Normalize(0.5, 1.0)], ids=repr)
def test_what_is_no_batch_of_images(transform):
    with pytest.raises(ShapeError, match=r"\(N, C, H, W\), got shape \(8, 8\)"):
        transform(np.zeros((8, 8), np.float32), Generator(0))
    with pytest.raises(DTypeError, match="got dtype uint8"):
        transform(np.zeros((1, 1, 8, 8), np.uint8), Generator(0))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: transforms.RandomShift(-1), "RandomShift: pixels must be an integer of at least 0, got -1"),
        (lambda: transforms.RandomShift(1.5), "got 1.5"),
        (lambda: transforms.RandomRotation(-1), "RandomRotation: degrees must be a number from 0 to 180, got -1"),
        (lambda: transforms.RandomRotation(float("nan")), "got nan"),
        (lambda: transforms.RandomFlip(1.5), "RandomFlip: p must be a number from 0 to 1, got 1.5"),
        (lambda: transforms.RandomFlip(axis="both"), "axis must be 'horizontal' or 'vertical', got 'both'"),
        (lambda: transforms.RandomCrop(0), "RandomCrop: size must be an integer of at least 1, got 0"),
        (lambda: transforms.RandomCrop((4, 4, 4)), r"size must be a number or \(height, width\)"),
        (lambda: transforms.RandomCrop(4, padding=-1), "padding must be an integer of at least 0, got -1"),
        (lambda: transforms.Normalize(0, 0), "Normalize: std must be finite above 0, one or one per channel, got 0"),
        (lambda: transforms.Normalize("grey", 1), "mean must be finite, one or one per channel, got 'grey'"),
        (lambda: transforms.Normalize([0.0, math.inf], 1), "mean must be finite"),
        (lambda: transforms.Normalize([], 1), "mean must be finite"),
        (lambda: transforms.Compose([1]), r"Compose: transforms must be a list of transforms, got \[1\]"),
    ],
)
def test_options_out_of_range(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (
            lambda: transforms.RandomCrop(9)(images((1, 1, 8, 9)), Generator(0)),
            r"a window of \(9, 9\) does not fit into images of \(8, 9\) with padding 0",
        ),
        (
            lambda: transforms.RandomShift(10**6)(images((1, 1, 8, 9)), Generator(0)),
            r"RandomShift: 1000000 pixels are more than images of \(8, 9\) have themselves",
        ),
        (
            lambda: transforms.Normalize([0.1, 0.2], 1.0)(images((1, 3, 2, 2))),
            "3 channels, but there are 2 means and 1",
        ),
        (lambda: transforms.Normalize.of(data.ArrayDataset(np.zeros((4, 3)), [0] * 4)), r"its inputs are \(3,\)"),
    ],
)
def test_images_that_do_not_fit(use, message):
    with pytest.raises(ShapeError, match=message) as caught:
        use()
    assert isinstance(caught.value, DLCoreError)


@pytest.mark.parametrize("value", [0.1, 1e-3, 1e6 / 3, 0.0])
def test_a_channel_of_one_value_is_divided_by_1_whatever_rounding_says(value):
    x = np.full((3000, 1, 5, 7), value)
    assert transforms.Normalize.of(data.ArrayDataset(x, np.zeros(3000, int))).std == (1.0,)
    x[::2] *= 1 + 1e-6
    assert value == 0 or transforms.Normalize.of(data.ArrayDataset(x, np.zeros(3000, int))).std[0] < value * 1e-6
