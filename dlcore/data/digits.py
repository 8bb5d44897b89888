"""The 8 × 8 UCI digits, which come with the package."""

from pathlib import Path

import numpy as np

from dlcore.data.dataset import ArrayDataset

_TRAINING, _TEST = 1197, 300  # images; those between are for validation


def digits() -> tuple[ArrayDataset, ArrayDataset, ArrayDataset]:
    """Handwritten digits, 8 × 8 pixels: enough to train a small ConvNet in seconds, and no download.

    Returns:
        Training, validation and test data: 1,197, 300 and 300 images, float32 of shape (1, 8, 8) in [0, 1]
        (the source's values 0 to 16, divided by 16), with labels 0 to 9. The split is fixed. It was drawn at
        random, with 30 images of each digit in the validation and in the test data; so the same 13 writers
        are in all three.

    Source: E. Alpaydin and C. Kaynak, *Optical Recognition of Handwritten Digits*, UCI Machine Learning
    Repository, 1998, https://doi.org/10.24432/C50P49 (its part `optdigits.tes`), licence CC BY 4.0. What was
    changed is stated in `digits.txt`, beside the data file.
    """
    with np.load(Path(__file__).with_name("digits.npz"), allow_pickle=False) as file:
        images, labels = file["images"], file["labels"]
    x = images[:, np.newaxis] / np.float32(16)
    classes = [str(digit) for digit in range(10)]
    train, validation, test = (
        ArrayDataset(x[part], labels[part], classes)
        for part in (slice(_TRAINING), slice(_TRAINING, -_TEST), slice(-_TEST, None))
    )
    return train, validation, test
