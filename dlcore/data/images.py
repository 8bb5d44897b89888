"""Image files, read so that no file can do harm: PNG and JPEG, of bounded size, whole or not at all."""

import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kernels.errors import FileFormatError, MissingFileError

if TYPE_CHECKING:
    from PIL import Image

#: The endings of files that are taken for images, in lower case.
SUFFIXES = (".png", ".jpg", ".jpeg")

#: Larger images are refused: unpacked, they could fill the memory.
_MOST_PIXELS = 100_000_000


def read_image(path: str | os.PathLike[str]) -> "Image.Image":
    """A PNG or JPEG file as an image of 8 bits per value, of mode "L" (grey) or "RGB", whatever the file stores.

    What is transparent becomes white, 16 bits are rounded to 8, and a photograph is turned as its camera says.

    Raises:
        MissingFileError: there is no such file.
        FileFormatError: it is damaged, of more than 100 million pixels, or neither PNG nor JPEG.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError  # slow: `import dlcore` does without

    if not Path(path).is_file():
        raise MissingFileError(f"there is no file {str(path)!r}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of bombs, for which we have a limit of our own, and of damaged EXIF data
            with Image.open(path, formats=["PNG", "JPEG"]) as image:
                if image.width * image.height > _MOST_PIXELS:
                    raise FileFormatError(
                        f"{str(path)!r} has {image.width} × {image.height} pixels, more than the {_MOST_PIXELS:,} "
                        "that are read"
                    )
                return _to_8_bits(ImageOps.exif_transpose(image))
    except FileFormatError:
        raise
    except UnidentifiedImageError:
        raise FileFormatError(f"{str(path)!r} is neither a PNG nor a JPEG image") from None
    except Exception as error:  # whatever decoders meet in a damaged file: OSError, SyntaxError, struct.error …
        raise FileFormatError(f"{str(path)!r} cannot be read: {error or type(error).__name__}") from error


def _to_8_bits(image: "Image.Image") -> "Image.Image":
    from PIL import Image

    if image.mode.startswith("I"):  # 16 bits: Pillow would cut them off at 255
        values = np.clip(np.asarray(image, dtype=np.float32), 0, 65535)
        return Image.fromarray(np.rint(values / 257).astype(np.uint8))
    if "A" in image.getbands() or "transparency" in image.info:
        layer = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    return image.convert("L" if image.mode in ("1", "L") else "RGB")
