"""Images in folders named after their classes."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from dlcore.data.dataset import ArrayDataset
from dlcore.data.images import SUFFIXES, read_image
from dlcore.data.reading import listing
from kernels.errors import ArgumentError, DataError, MissingFileError
from kernels.shortage import within_memory

Pixels = npt.NDArray[np.uint8]


@within_memory
def image_folder(
    root: str | os.PathLike[str],
    *,
    size: tuple[int, int] | None = None,
    channels: Literal[1, 3] | None = None,
    classes: Sequence[str] | None = None,
) -> ArrayDataset:
    """The images `root/CLASS/*.png`, `.jpg` and `.jpeg`, all in memory as bytes.

    The classes are the folders in `root`, in the order of their names; within a class, images come in the order of
    theirs. Symbolic links to folders and files are followed. Hidden files and folders, files with other endings, files
    beside the class folders and folders within them are passed over. What is transparent becomes white. Beside the
    dataset itself, memory is needed for one image at a time.

    Args:
        root: the folder of the class folders.
        size: (height, width) to which every image is scaled (bilinear, not keeping proportions); without it, all must
            have one size already.
        channels: 1 for grey, 3 for red, green and blue; without it, grey if every image is, whatever its file stores.
        classes: the names of the classes in the order of their labels, where they must be those of another dataset; a
            class may then have no folder.

    Returns:
        Images, float32 of shape (channels, height, width) in [0, 1], and the labels of their folders.

    Raises:
        MissingFileError: there is no folder `root`, or a folder or file in it cannot be read; says why.
        DataError: there are no class folders, one is empty or not in `classes`, or two images differ in size (both are
            named).
        FileFormatError: an image is damaged, too large or of another kind; says which.
        ArgumentError: an option is out of its range.
        DeviceMemoryError: there is too little memory for all images.
    """
    _check_options(size, channels, classes)
    folders = _class_folders(Path(root))
    names = [folder.name for folder in folders] if classes is None else list(classes)
    paths: list[Path] = []
    labels: list[int] = []
    for folder in folders:
        if folder.name not in names:
            raise DataError(f"image_folder: {str(folder)!r} is none of the classes {', '.join(names)}")
        files = _image_files(folder)
        paths += files
        labels += [names.index(folder.name)] * len(files)
    return ArrayDataset(_read_all(paths, size, channels), np.array(labels), names)


def _read_all(paths: Sequence[Path], size: tuple[int, int] | None, channels: int | None) -> Pixels:
    """All images in one array, (N, 1, H, W) while they are grey and (N, 3, H, W) from the first one in colour on."""
    first = _pixels(paths[0], size, channels)
    x = np.empty((len(paths), *first.shape), np.uint8)
    for number, path in enumerate(paths):
        image = _pixels(path, size, channels) if number else first
        if image.shape[1:] != first.shape[1:]:
            raise DataError(
                f"image_folder: {str(path)!r} has {_size(image)} pixels, but {str(paths[0])!r} {_size(first)}; "
                "scale them to one size, or pass size=(height, width)"
            )
        if len(image) > x.shape[1]:
            _give_colours(x, number)
        x[number] = image  # a grey one among colours: in all three
    return x


def _give_colours(x: Pixels, count: int) -> None:
    """Make (N, 1, H, W) to (N, 3, H, W) where it lies, with `count` images in it; a copy would take memory twice."""
    count_all, _, height, width = x.shape
    x.resize((count_all, 3, height, width), refcheck=False)  # nobody else has seen it
    grey = x.reshape(-1)[: count * height * width].reshape(count, height, width)
    for number in reversed(range(count)):  # each goes to where those behind it were
        x[number] = grey[number].copy()


def _check_options(size: tuple[int, int] | None, channels: int | None, classes: Sequence[str] | None) -> None:
    if channels is not None and not (_is_integer(channels) and channels in (1, 3)):
        raise ArgumentError(f"image_folder: channels must be 1 (grey) or 3 (colours), got {channels!r}")
    if classes is not None and not (
        isinstance(classes, Sequence)
        and not isinstance(classes, str)
        and all(isinstance(name, str) for name in classes)
        and 0 < len(set(classes)) == len(classes)
    ):
        raise ArgumentError(f"image_folder: classes must be a list of different names, got {classes!r:.60}")
    if size is not None and not (
        isinstance(size, tuple | list)
        and len(size) == 2
        and all(_is_integer(length) and 1 <= length <= 1 << 14 for length in size)
    ):
        raise ArgumentError(f"image_folder: size must be (height, width), each from 1 to {1 << 14}, got {size!r}")


def _is_integer(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _class_folders(root: Path) -> list[Path]:
    with listing(root):
        if not root.is_dir():
            raise MissingFileError(f"image_folder: there is no folder {str(root)!r}")
        folders = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    if not folders:
        raise DataError(f"image_folder: {str(root)!r} holds no folders; expected one for each class")
    return folders


def _image_files(folder: Path) -> list[Path]:
    with listing(folder):
        files = sorted(
            path
            for path in folder.iterdir()
            if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()
        )
    if not files:
        raise DataError(f"image_folder: {str(folder)!r} holds no {', '.join(SUFFIXES)} files")
    return files


def _pixels(path: Path, size: tuple[int, int] | None, channels: int | None) -> Pixels:
    """(1, H, W) where the image is grey or shall be, else (3, H, W)."""
    image = read_image(path)
    if channels is not None:
        image = image.convert("L" if channels == 1 else "RGB")
    if size is not None:
        from PIL import Image  # slow: `import dlcore` does without

        image = image.resize((int(size[1]), int(size[0])), Image.Resampling.BILINEAR)
    pixels: Pixels = np.asarray(image)
    if pixels.ndim == 2:
        return pixels[np.newaxis]
    is_grey = channels is None and (pixels == pixels[..., :1]).all()
    return np.ascontiguousarray(np.moveaxis(pixels, -1, 0)[: 1 if is_grey else 3])


def _size(image: Pixels) -> str:
    return f"{image.shape[2]} × {image.shape[1]}"
