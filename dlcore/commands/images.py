"""Image files as a digit network wants them: grey, light strokes on black, of the size it was trained on."""

import warnings
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from kernels.errors import ArgumentError, FileFormatError, MissingFileError

Grey = npt.NDArray[np.float32]

#: Larger images are refused: unpacked, they could fill the memory.
_MOST_PIXELS = 100_000_000
#: A stroke is what differs from the background by more than this share of the whole range.
_STROKE = 0.3
#: Under this range of grey values, an image shows nothing.
_LEAST_CONTRAST = 0.1


def read_grey(path: Path) -> Grey:
    """A PNG or JPEG file as grey values from 0 (black) to 1 (white), (H, W); what is transparent becomes white.

    Raises:
        MissingFileError: there is no such file.
        FileFormatError: it is damaged, too large, or neither PNG nor JPEG.
    """
    if not path.is_file():
        raise MissingFileError(f"predict: there is no file {str(path)!r}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # we have a limit of our own
            with Image.open(path, formats=["PNG", "JPEG"]) as image:
                if image.width * image.height > _MOST_PIXELS:
                    raise FileFormatError(
                        f"predict: {str(path)!r} has {image.width} × {image.height} pixels, "
                        f"more than the {_MOST_PIXELS:,} that are read"
                    )
                return _grey(ImageOps.exif_transpose(image))
    except UnidentifiedImageError:
        raise FileFormatError(f"predict: {str(path)!r} is neither a PNG nor a JPEG image") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:  # what Pillow's decoders raise
        if isinstance(error, FileFormatError):
            raise
        raise FileFormatError(f"predict: {str(path)!r} cannot be read: {error}") from error


def to_input(name: str, grey: Grey, input_shape: tuple[int, ...], margin: int) -> npt.NDArray[np.float32]:
    """One input of a network, (C, H, W), from an image of any size.

    Dark strokes on a light ground are inverted. An image of the network's own size is otherwise taken as it is; from
    any other the digit is cut out, scaled to fit between the margins and centred on its centre of mass, as MNIST's
    were.

    Args:
        name: what messages call the image.
        grey: (H, W), 0 … 1.
        input_shape: the network's, (C, H, W).
        margin: pixels to leave free on each side of the digit.

    Raises:
        ArgumentError: the image shows nothing, or the network does not take images.
    """
    if len(input_shape) != 3:
        raise ArgumentError(f"predict: the network takes inputs of shape {input_shape}, not images")
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


def _grey(image: Image.Image) -> Grey:
    if image.mode.startswith(("I", "F")):  # 16 bits or more: Pillow would cut them off at 255
        values = np.asarray(image, dtype=np.float32)
        return values / np.float32(max(values.max(), 65535 if image.mode.startswith("I") else 1))
    if "A" in image.getbands() or "transparency" in image.info:
        layer = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    return np.asarray(image.convert("L"), dtype=np.float32) / np.float32(255)


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
