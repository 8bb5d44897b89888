"""Image files, read so that no file can do harm: PNG and JPEG, of bounded size, whole or not at all."""

import os
import warnings
from typing import TYPE_CHECKING

import numpy as np

from dlcore.data.reading import reading
from kernels.errors import FileFormatError

if TYPE_CHECKING:
    from PIL import Image

#: The endings of files that are taken for images, in lower case.
SUFFIXES = (".png", ".jpg", ".jpeg")

#: Larger images are refused: unpacked, they could fill the memory.
_MOST_PIXELS = 100_000_000


def read_image(path: str | os.PathLike[str]) -> "Image.Image":
    """A PNG or JPEG file as an image of 8 bits per value, of mode "L" (grey) or "RGB", whatever the file stores.

    What is transparent becomes white, and a photograph is turned as its camera says. Of 16 bits, those of grey images
    are rounded to 8; of colours, Pillow keeps the upper 8.

    Raises:
        MissingFileError: there is no such file, or it cannot be read; says why.
        FileFormatError: it is damaged, of more than 100 million pixels, or neither PNG nor JPEG.
        DeviceMemoryError: there is too little memory for it; about 8 bytes per pixel are needed.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError  # slow: `import dlcore` does without

    with reading(path, "cannot be read") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of bombs, for which we have a limit of our own, and of damaged EXIF data
        try:
            image: Image.Image = Image.open(file, formats=["PNG", "JPEG"])
        except UnidentifiedImageError:
            raise FileFormatError(f"{str(path)!r} is neither a PNG nor a JPEG image") from None
        if image.width * image.height > _MOST_PIXELS:
            raise FileFormatError(
                f"{str(path)!r} has {image.width} × {image.height} pixels, more than the {_MOST_PIXELS:,} that are read"
            )
        image.load()
        ImageOps.exif_transpose(image, in_place=True)
        return _to_8_bits(image)


def _to_8_bits(image: "Image.Image") -> "Image.Image":
    from PIL import Image

    if image.mode.startswith("I"):  # 16 bits: Pillow would cut them off at 255
        values = np.clip(np.asarray(image), 0, 65535).astype(np.uint32)
        values += 128
        values //= 257  # rounded, because 257 is odd
        return Image.fromarray(values.astype(np.uint8))
    if "A" in image.getbands() or "transparency" in image.info:
        layer = image if image.mode == "RGBA" else image.convert("RGBA")
        image = Image.new("RGB", layer.size, "white")
        image.paste(layer, mask=layer)
    mode = "L" if image.mode in ("1", "L") else "RGB"
    return image if image.mode == mode else image.convert(mode)
