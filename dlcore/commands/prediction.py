"""`dlcore predict`."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dlcore.commands import datasets
from dlcore.commands.images import as_digit, as_picture, check_takes_images, read_grey
from dlcore.commands.output import table
from dlcore.commands.training import open_run
from dlcore.data.images import read_image
from dlcore.train import predict as outputs_of
from dlcore.train.report import softmax


def predict(run: Path, paths: Sequence[Path]) -> None:
    """Print which class a run's network sees in each image, and the probability of every class.

    Raises:
        DLCoreError: the folder holds no run, or an image cannot be read; then nothing is printed.
    """
    config, network = open_run(run)
    check_takes_images(config.input_shape)
    margin = datasets.NAMED[config.data].margin if config.data in datasets.NAMED else None
    inputs = np.stack(
        [
            as_picture(read_image(path), config.input_shape)
            if margin is None
            else as_digit(str(path), read_grey(path), config.input_shape, margin)
            for path in paths
        ]
    )
    probabilities = softmax(outputs_of(network, inputs))
    rows = [
        [str(path), config.classes[row.argmax()], *(f"{probability:.3f}" for probability in row)]
        for path, row in zip(paths, probabilities, strict=True)
    ]
    head = ["image", "predicted", *(f"p({name})" for name in config.classes)]
    table(head, rows, right=range(2, len(head)))
