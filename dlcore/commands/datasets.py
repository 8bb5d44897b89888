"""What `--data` can name: data sets that dlcore knows, a folder of images, or an `.npz` file."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dlcore import data
from dlcore.data import Dataset
from dlcore.train.run import RunConfig
from kernels.errors import ArgumentError, DataError, MissingFileError


@dataclass(frozen=True)
class Splits:
    """A data set in three parts: to learn from, to choose an epoch by, and to report on."""

    train: Dataset
    validation: Dataset
    test: Dataset


@dataclass(frozen=True)
class DataChoice:
    """A data set that the command line knows by name.

    Attributes:
        description: what is in it, and how it is split.
        epochs, batch_size: the defaults.
        input_shape, num_classes: what one input looks like and how many classes there are: nothing is downloaded to
            find out.
        margin: for handwritten digits, the pixels between a digit and the edge of its image, which `predict` keeps,
            too; None for other images.
    """

    description: str
    epochs: int
    batch_size: int
    input_shape: tuple[int, ...]
    num_classes: int
    margin: int | None = None


#: Of MNIST's 60,000 training images and CIFAR-10's 50,000, those held out for validation. The test images only ever
#: measure the result.
HELD_OUT = 5_000

NAMED = {
    "digits": DataChoice(
        "1,197 training, 300 validation and 300 test images of 8 × 8 pixels, which come with dlcore",
        epochs=30,
        batch_size=32,
        input_shape=(1, 8, 8),
        num_classes=10,
        margin=0,
    ),
    "mnist": DataChoice(
        f"60,000 training images of 28 × 28 pixels, {HELD_OUT:,} of them held out for validation, and 10,000 test "
        "images; found in $DLCORE_DATA or downloaded once (11 MB)",
        epochs=5,
        batch_size=100,
        input_shape=(1, 28, 28),
        num_classes=10,
        margin=4,
    ),
    "fashion-mnist": DataChoice(
        "clothes instead of digits, otherwise like mnist (31 MB)",
        epochs=10,
        batch_size=100,
        input_shape=(1, 28, 28),
        num_classes=10,
    ),
    "cifar10": DataChoice(
        f"50,000 training images of 32 × 32 pixels in colour, {HELD_OUT:,} of them held out for validation, and 10,000 "
        "test images; found in $DLCORE_DATA or downloaded once (170 MB)",
        epochs=10,
        batch_size=100,
        input_shape=(3, 32, 32),
        num_classes=10,
    ),
}

#: What `--data` takes besides names, for its help.
PATHS = (
    "A folder holds CLASS/*.png (or .jpg), or such folders in train/ and perhaps validation/ (or val/, valid/) and "
    "test/; an .npz file holds x (N, C, H, W; bytes, or values from 0 to 1) and y, perhaps classes, x_test and y_test. "
    "What has neither a validation nor a test part is split 80:10:10, what lacks one of them 90:10, always in the same "
    "way."
)

# What the folder of the images to choose an epoch by may be called.
_VALIDATION = ("validation", "val", "valid")

# The split of a path's data; the same for every seed, so that runs of different seeds can be compared.
_SPLIT_SEED = 0


def check_name(name: str) -> None:
    """Refuse what is neither a known data set nor looks like a path.

    Raises:
        ArgumentError: says which there are.
    """
    if name not in NAMED and not Path(name).suffix == ".npz" and not _separators(name) and not os.path.exists(name):
        raise ArgumentError(
            f"data: expected one of {', '.join(NAMED)}, a folder of images or an .npz file, got {name!r}"
        )


def lasting(name: str) -> str:
    """The name of a known data set, or a path that means the same from every folder."""
    return name if name in NAMED else os.path.abspath(os.path.expanduser(name))


def label(name: str) -> str:
    """A short name that suits a file name: a known data set's own, or one made from the path's last part."""
    if name in NAMED:
        return name
    last = Path(lasting(name)).name.removesuffix(".npz")
    return re.sub(r"[^\w.-]+", "-", last).strip("-.")[:60] or "data"


def load(name: str) -> Splits:
    """The data set of that name, downloaded if need be, or the one at that path.

    Raises:
        DataUnavailableError, FileFormatError, MissingFileError: its files are missing, unreadable or damaged.
        DataError: they do not make a data set to classify.
    """
    if name == "digits":
        return Splits(*data.digits())
    if name in NAMED:
        both, test = {"mnist": data.mnist, "fashion-mnist": data.fashion_mnist, "cifar10": data.cifar10}[name]()
        # The same split for every seed, so that runs of different seeds can be compared.
        train, validation = data.random_split(both, [len(both) - HELD_OUT, HELD_OUT], seed=0)
        return Splits(train, validation, test)
    path = Path(os.path.expanduser(name))
    try:
        is_folder, is_file = path.is_dir(), path.is_file()
    except OSError as error:  # no permission, too long a name
        raise MissingFileError(f"data: {name!r} cannot be read: {error.strerror or error}") from None
    if is_folder:
        splits = _folder(path)
    elif is_file:
        splits = _npz(path)
    else:
        raise MissingFileError(f"data: there is no folder or .npz file {name!r}; was it moved or deleted?")
    if splits.train.num_classes < 2:
        raise DataError(f"data: {name!r} has {splits.train.num_classes} classes; expected labels of two or more")
    return splits


def load_for(config: RunConfig) -> Splits:
    """The data set of a run that began earlier.

    Raises:
        DataError: it has changed since, in the shape of its images or in its classes.
        DLCoreError: as for `load`.
    """
    splits = load(config.data)
    for what, now, then in (
        ("images of shape", splits.train.input_shape, config.input_shape),
        ("the classes", ", ".join(splits.train.classes), ", ".join(config.classes)),
    ):
        if now != then:
            raise DataError(f"data: {config.data!r} has {what} {now} now, but the run was made for {then}")
    return splits


def default_epochs(name: str, train: Dataset) -> int:
    """How often to go through the training data: the less there are, the more often."""
    return NAMED[name].epochs if name in NAMED else min(max(round(200_000 / len(train)), 5), 30)


def default_batch_size(name: str, train: Dataset) -> int:
    """The images per step."""
    return NAMED[name].batch_size if name in NAMED else 32 if len(train) < 10_000 else 100


def _folder(path: Path) -> Splits:
    """A folder of classes, or of such folders for training and perhaps validation and test.

    What is missing of the latter two is held out from the training images. A folder train/ without folders in it is a
    class: pictures of trains.
    """
    if not _holds_folders(path / "train"):
        if _holds_folders(path / "test"):
            raise DataError(f"data: {str(path)!r} holds test/, but no images for training in train/CLASS/")
        return _split(data.image_folder(path))
    train = data.image_folder(path / "train")
    validation, test = _part(path, _VALIDATION, train), _part(path, ("test",), train)
    if test is None:
        return _split(train) if validation is None else _hold_out_test(train, validation)
    return _hold_out(train, test) if validation is None else Splits(train, validation, test)


def _part(path: Path, names: Sequence[str], train: Dataset) -> Dataset | None:
    """The images in the folder of one of these names, which are like those for training; None where there is none."""
    folders = [path / name for name in names if os.path.isdir(path / name)]
    if len(folders) > 1:
        raise DataError(f"data: {str(path)!r} holds both {folders[0].name}/ and {folders[1].name}/; keep one of them")
    if not folders:
        return None
    channels, height, width = train.input_shape
    images = data.image_folder(folders[0], channels=1 if channels == 1 else 3, classes=train.classes)
    if images.input_shape != train.input_shape:
        _, other_height, other_width = images.input_shape
        raise DataError(
            f"data: the images in {str(folders[0])!r} have {other_width} × {other_height} pixels, but those for "
            f"training {width} × {height}; scale them to one size"
        )
    return images


def _holds_folders(path: Path) -> bool:
    try:
        return any(inner.is_dir() and not inner.name.startswith(".") for inner in path.iterdir())
    except (NotADirectoryError, FileNotFoundError):
        return False
    except OSError as error:
        raise MissingFileError(f"data: {str(path)!r} cannot be read: {error.strerror or error}") from None


def _npz(path: Path) -> Splits:
    both, test = data.npz(path)
    if len(both.input_shape) != 3:
        raise DataError(
            f"data: {str(path)!r} holds inputs x of shape {(len(both), *both.input_shape)}; expected images, "
            "(N, C, H, W)"
        )
    return _split(both) if test is None else _hold_out(both, test)


def _split(everything: Dataset) -> Splits:
    _check_number(everything)
    return Splits(*data.random_split(everything, [0.8, 0.1, 0.1], seed=_SPLIT_SEED))


def _hold_out(both: Dataset, test: Dataset) -> Splits:
    _check_number(both)
    train, validation = data.random_split(both, [0.9, 0.1], seed=_SPLIT_SEED)
    return Splits(train, validation, test)


def _hold_out_test(both: Dataset, validation: Dataset) -> Splits:
    _check_number(both)
    train, test = data.random_split(both, [0.9, 0.1], seed=_SPLIT_SEED)
    return Splits(train, validation, test)


def _check_number(images: Dataset) -> None:
    if len(images) < 10:
        raise DataError(f"data: there are {len(images)} images to split; expected at least 10")


def _separators(name: str) -> bool:
    return os.sep in name or (os.altsep is not None and os.altsep in name)
