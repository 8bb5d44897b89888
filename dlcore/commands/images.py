"""Image files as a network wants them: digits light on black and centred, other images scaled as a whole."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from dlcore.data.images import read_image
from kernels.errors import ArgumentError

Grey = npt.NDArray[np.float32]

#: A stroke is what differs from the background by more than this share of the whole range.
_STROKE = 0.3
#: Under this range of grey values, an image shows nothing.
_LEAST_CONTRAST = 0.1


def check_takes_images(input_shape: tuple[int, ...]) -> None:
    """Raise ArgumentError if inputs of this shape are not (1, H, W) or (3, H, W)."""
    if len(input_shape) != 3 or input_shape[0] not in (1, 3):
        raise ArgumentError(
            f"predict: the network takes inputs of shape {input_shape}, not images: expected (1, H, W) or (3, H, W)"
        )


def read_grey(path: Path) -> Grey:
    """A PNG or JPEG file as grey values from 0 (black) to 1 (white), (H, W); what is transparent becomes white.

    Raises:
        MissingFileError: there is no such file.
        FileFormatError: it is damaged, too large, or neither PNG nor JPEG.
    """
    return np.asarray(read_image(path).convert("L"), dtype=np.float32) / np.float32(255)


def as_picture(image: Image.Image, input_shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    """One input of a network, (C, H, W), from an image of any size: values from 0 to 1, scaled, not cut.

    Args:
        image: of 8 bits per value.
        input_shape: the network's, (1, H, W) for grey or (3, H, W) for colours.
    """
    channels, height, width = input_shape
    image = image.convert("L" if channels == 1 else "RGB")
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    pixels = np.asarray(image, dtype=np.float32).reshape(height, width, channels)
    return np.ascontiguousarray(np.moveaxis(pixels / np.float32(255), -1, 0))


def as_digit(name: str, grey: Grey, input_shape: tuple[int, ...], margin: int) -> npt.NDArray[np.float32]:
    """One input of a network, (C, H, W), from an image of a digit.

    Dark strokes on a light ground are inverted. An image of the network's own size is otherwise taken as it is; from
    any other the digit is cut out, scaled to fit between the margins and centred on its centre of mass, as MNIST's
    were.

    Args:
        name: what messages call the image.
        grey: (H, W), 0 … 1.
        input_shape: the network's, (C, H, W).
        margin: pixels to leave free on each side of the digit.

    Raises:
        ArgumentError: the image shows nothing.
    """
    height, width = input_shape[1:]
    edge = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    ground = float(np.median(edge))
    strokes = 1 - grey if ground > 0.5 else grey
    if grey.shape != (height, width):
        difference = np.abs(grey - ground)
        if difference.max() < _LEAST_CONTRAST:
            raise ArgumentError(f"predict: {name!r} shows nothing, its pixels are all about the same grey")
        strokes = _centred(_cut_out(difference / difference.max()), height, width, margin)
    return np.ascontiguousarray(np.broadcast_to(strokes, input_shape), dtype=np.float32)


def _cut_out(strokes: Grey) -> Grey:
    """The smallest rectangle around all strokes."""
    rows, columns = (np.flatnonzero((strokes > _STROKE).any(axis=axis)) for axis in (1, 0))
    return strokes[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _centred(digit: Grey, height: int, width: int, margin: int) -> Grey:
    """The digit scaled into the frame between the margins, its centre of mass in the middle as far as it has room."""
    scale = min((height - 2 * margin) / digit.shape[0], (width - 2 * margin) / digit.shape[1])
    size = tuple(max(round(length * scale), 1) for length in digit.shape)
    scaled = np.asarray(Image.fromarray(digit).resize(size[::-1], Image.Resampling.BILINEAR))
    scaled = scaled / scaled.max()
    canvas = np.zeros((height, width), dtype=np.float32)
    corner = []
    for axis, (length, room) in enumerate(zip(size, (height, width), strict=True)):
        mass = scaled.sum(axis=1 - axis)
        middle = float((mass * (np.arange(length) + 0.5)).sum() / mass.sum())
        corner.append(int(np.clip(round(room / 2 - middle), 0, room - length)))
    canvas[corner[0] : corner[0] + size[0], corner[1] : corner[1] + size[1]] = scaled
    return canvas
