"""Transforms of whole batches of images, on the host: to normalise them, and to vary them at random.

A transform is called with a batch, shape (N, C, H, W) and floating-point, and a generator, and returns a new batch. The
draws are a function of that generator alone, so a DataLoader, which gives each batch a generator of its own, varies it
in the same way in every run. There is no loop over the images: each is one array operation, or a few.

    train = data.DataLoader(images, 100, shuffle=True, transform=transforms.Compose([
        transforms.RandomShift(2), transforms.RandomRotation(10), transforms.Normalize.of(images)]))

What is moved in from outside an image is 0, so `Normalize` belongs behind what moves images.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from dlcore.data.dataset import Dataset
from dlcore.random import Generator
from kernels.errors import ArgumentError, DTypeError, ShapeError

#: A batch of images on the host, (N, C, H, W), floating-point.
Images: TypeAlias = npt.NDArray[Any]

#: What changes the inputs of a batch.
Transform: TypeAlias = Callable[[Images, Generator], Images]

# So many images at a time are read to measure a dataset.
_CHUNK = 1024

# A deviation of less than this part of the mean is what rounding leaves of none, when so many numbers are summed.
_ROUNDING = 1024 * float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class Compose:
    """Several transforms, one after the other.

    Args:
        transforms: in the order in which they are applied.

    Raises:
        ArgumentError: they are no transforms.
    """

    transforms: Sequence[Transform]

    def __post_init__(self) -> None:
        if not isinstance(self.transforms, Sequence) or not all(callable(each) for each in self.transforms):
            raise ArgumentError(f"Compose: transforms must be a list of transforms, got {self.transforms!r:.60}")

    def __call__(self, x: Images, generator: Generator) -> Images:
        """The batch, changed by all of them."""
        for transform in self.transforms:
            x = transform(x, generator)
        return x


@dataclass(frozen=True)
class Normalize:
    """(x − mean) / std, channel by channel; nothing random, so for training and evaluation alike.

    Args:
        mean, std: one number for each channel, or one for all.

    Raises:
        ArgumentError: a number is not finite, or a standard deviation not above 0.
    """

    mean: float | Sequence[float]
    std: float | Sequence[float]

    def __post_init__(self) -> None:
        for name, values, least in (("mean", self.mean, -math.inf), ("std", self.std, 0.0)):
            try:
                numbers = np.asarray(values, dtype=np.float64)
            except (TypeError, ValueError):
                numbers = np.array(math.nan)
            if numbers.ndim > 1 or numbers.size == 0 or not (np.isfinite(numbers) & (numbers > least)).all():
                positive = " above 0" if name == "std" else ""
                raise ArgumentError(
                    f"Normalize: {name} must be finite{positive}, one or one per channel, got {values!r}"
                )

    @classmethod
    def of(cls, dataset: Dataset) -> "Normalize":
        """What gives the images of this dataset the mean 0 and the standard deviation 1, in each channel.

        They are measured in float64, and read in two passes a thousand at a time. A channel of one value everywhere is
        divided by 1.

        Raises:
            ShapeError: the dataset does not hold images.
        """
        mean = _channel_means(dataset, lambda x: x)
        variance = _channel_means(dataset, lambda x: np.square(x - mean[:, np.newaxis, np.newaxis]))
        std = np.sqrt(variance)
        return cls(tuple(mean.tolist()), tuple(np.where(std > _ROUNDING * np.abs(mean), std, 1.0).tolist()))

    def __call__(self, x: Images, generator: Generator | None = None) -> Images:
        """The normalised batch, in the dtype of `x`."""
        _check_images("Normalize", x)
        mean, std = (np.asarray(values, dtype=x.dtype).reshape(-1, 1, 1) for values in (self.mean, self.std))
        if any(len(values) not in (1, x.shape[1]) for values in (mean, std)):
            raise ShapeError(
                f"Normalize: the images have {x.shape[1]} channels, but there are {len(mean)} means and {len(std)} "
                "standard deviations"
            )
        normalized: Images = (x - mean) / std
        return normalized


@dataclass(frozen=True)
class RandomFlip:
    """Each image mirrored with a certain probability.

    Args:
        p: the probability, from 0 to 1.
        axis: "horizontal" swaps left and right, "vertical" top and bottom.

    Raises:
        ArgumentError: an option is out of its range.
    """

    p: float = 0.5
    axis: Literal["horizontal", "vertical"] = "horizontal"

    def __post_init__(self) -> None:
        _check_number("RandomFlip", "p", self.p, most=1.0)
        if not isinstance(self.axis, str) or self.axis not in ("horizontal", "vertical"):
            raise ArgumentError(f"RandomFlip: axis must be 'horizontal' or 'vertical', got {self.axis!r}")

    def __call__(self, x: Images, generator: Generator) -> Images:
        """The batch, some of it mirrored."""
        _check_images("RandomFlip", x)
        is_flipped = generator.bernoulli(len(x), self.p, purpose=f"flip {self.axis}")
        mirrored = x[..., ::-1] if self.axis == "horizontal" else x[..., ::-1, :]
        return np.where(is_flipped[:, np.newaxis, np.newaxis, np.newaxis], mirrored, x)


@dataclass(frozen=True)
class RandomCrop:
    """A window of each image at a random place.

    Args:
        size: of the window, (height, width), or one number for both.
        padding: pixels of 0 that are put around the image first.

    Raises:
        ArgumentError: an option is out of its range.
    """

    size: int | tuple[int, int]
    padding: int = 0

    def __post_init__(self) -> None:
        _check_count("RandomCrop", "padding", self.padding, least=0)
        for length in self._size:
            _check_count("RandomCrop", "size", length, least=1)

    def __call__(self, x: Images, generator: Generator) -> Images:
        """A window of each image, (N, C, height, width).

        Raises:
            ShapeError: the images, with their padding, are smaller than the window.
        """
        _check_images("RandomCrop", x)
        size, padding = tuple(map(int, self._size)), int(self.padding)  # NumPy's small integers would overflow
        rooms = [length + 2 * padding - own for length, own in zip(x.shape[2:], size, strict=True)]
        if min(rooms) < 0:
            raise ShapeError(
                f"RandomCrop: a window of {self._size} does not fit into images of {x.shape[2:]} "
                f"with padding {self.padding}"
            )
        return _random_windows(x, size, padding, generator, purpose="crop")

    @property
    def _size(self) -> tuple[int, int]:
        if not isinstance(self.size, tuple | list):
            return self.size, self.size
        if len(self.size) != 2:
            raise ArgumentError(f"RandomCrop: size must be a number or (height, width), got {self.size!r}")
        return self.size[0], self.size[1]


@dataclass(frozen=True)
class RandomShift:
    """Each image moved by some whole pixels, up or down and left or right; what is left free is 0.

    Args:
        pixels: how far at most; every distance from -pixels to pixels is as probable.

    Raises:
        ArgumentError: pixels is no integer of at least 0.
    """

    pixels: int

    def __post_init__(self) -> None:
        _check_count("RandomShift", "pixels", self.pixels, least=0)

    def __call__(self, x: Images, generator: Generator) -> Images:
        """The batch, each image moved."""
        _check_images("RandomShift", x)
        return _random_windows(x, x.shape[2:], int(self.pixels), generator, purpose="shift")


@dataclass(frozen=True)
class RandomRotation:
    """Each image turned about its middle, interpolated bilinearly; what is left free is 0.

    Args:
        degrees: how far at most, in either direction; every angle is as probable.

    Raises:
        ArgumentError: degrees is no number from 0 to 180.
    """

    degrees: float

    def __post_init__(self) -> None:
        _check_number("RandomRotation", "degrees", self.degrees, most=180.0)

    def __call__(self, x: Images, generator: Generator) -> Images:
        """The batch, each image turned."""
        _check_images("RandomRotation", x)
        angles = generator.uniform(len(x), -self.degrees, self.degrees, dtype=np.float64, purpose="rotation")
        return rotate(x, angles)


def rotate(x: Images, degrees: npt.NDArray[np.float64]) -> Images:
    """Images (N, C, H, W), each turned counterclockwise about its middle by its number of degrees, shape (N,).

    The value of a pixel is taken where it was before, at (row, column) = R · (i, j), from the four pixels around that
    place, in proportion to how near they are; those outside the image are 0.
    """
    height, width = x.shape[2:]
    radians = np.deg2rad(degrees)[:, np.newaxis, np.newaxis]
    down = np.arange(height)[:, np.newaxis] - (height - 1) / 2  # from the middle
    right = np.arange(width) - (width - 1) / 2
    rows = np.cos(radians) * down + np.sin(radians) * right + (height - 1) / 2  # (N, H, W)
    columns = np.cos(radians) * right - np.sin(radians) * down + (width - 1) / 2
    # A frame of zeros, so that every place has four neighbours: one pixel before, two behind.
    framed = np.pad(x, ((0, 0), (0, 0), (1, 2), (1, 2)))
    rows, columns = np.clip(rows, -1, height) + 1, np.clip(columns, -1, width) + 1
    top, left = rows.astype(np.intp), columns.astype(np.intp)
    below, beside = ((place - whole)[:, np.newaxis].astype(x.dtype) for place, whole in ((rows, top), (columns, left)))
    image = np.arange(len(x))[:, np.newaxis, np.newaxis]
    pixels = np.moveaxis(framed, 1, -1)  # (N, H + 3, W + 3, C): an index finds all channels of a pixel

    def neighbour(row: int, column: int) -> Images:
        return np.moveaxis(pixels[image, top + row, left + column], -1, 1)

    turned: Images = (1 - below) * ((1 - beside) * neighbour(0, 0) + beside * neighbour(0, 1)) + below * (
        (1 - beside) * neighbour(1, 0) + beside * neighbour(1, 1)
    )
    return turned


def _random_windows(x: Images, size: tuple[int, ...], padding: int, generator: Generator, purpose: str) -> Images:
    """A window of each image, after it got a frame of zeros; every place is as probable."""
    if padding > max(x.shape[2:]):
        raise ShapeError(
            f"Random{purpose.title()}: {padding} pixels are more than images of {x.shape[2:]} have themselves"
        )
    framed = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    places = [
        _integers(generator, len(x), length - own + 1, f"{purpose} {direction}")
        for direction, length, own in zip(("rows", "columns"), framed.shape[2:], size, strict=True)
    ]
    windows = np.lib.stride_tricks.sliding_window_view(framed, size, axis=(2, 3))  # (N, C, rows, columns, *size)
    return windows[np.arange(len(x)), :, places[0], places[1]]


def _integers(generator: Generator, count: int, below: int, purpose: str) -> npt.NDArray[np.intp]:
    """`count` integers from 0 to below - 1, equally probable to 2**-32."""
    words = generator.words(count, purpose).astype(np.uint64)
    return (words * np.uint64(below) >> np.uint64(32)).astype(np.intp)


def _channel_means(dataset: Dataset, function: Callable[[Images], Images]) -> npt.NDArray[np.float64]:
    """The mean over all images and pixels of a function of them, (C,)."""
    totals: Any = 0.0
    for start in range(0, len(dataset), _CHUNK):
        x = np.asarray(dataset[start : start + _CHUNK][0], dtype=np.float64)
        if x.ndim != 4:
            raise ShapeError(f"Normalize.of: expected a dataset of images (C, H, W), its inputs are {x.shape[1:]}")
        totals = totals + function(x).mean(axis=(2, 3)).sum(axis=0)
    means: npt.NDArray[np.float64] = totals / len(dataset)
    return means


def _check_images(name: str, x: Images) -> None:
    if x.ndim != 4:
        raise ShapeError(f"{name}: expected a batch of images (N, C, H, W), got shape {x.shape}")
    if x.dtype.kind != "f":
        raise DTypeError(f"{name}: expected floating-point images, got dtype {x.dtype}")


def _check_number(name: str, option: str, value: Any, most: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not 0 <= value <= most:
        raise ArgumentError(f"{name}: {option} must be a number from 0 to {most:g}, got {value!r}")


def _check_count(name: str, option: str, value: Any, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise ArgumentError(f"{name}: {option} must be an integer of at least {least}, got {value!r}")
