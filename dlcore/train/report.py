"""The pictures that a finished run leaves in its folder."""

import importlib.util

import numpy as np
import numpy.typing as npt

from dlcore import backend
from dlcore.data import Dataset
from dlcore.files import replacing
from dlcore.nn import Module
from dlcore.train.metrics import ConfusionMatrix
from dlcore.train.run import RunFolder
from dlcore.train.trainer import Trainer
from kernels.types import Array

_MOST_MISTAKES = 24


def can_draw() -> bool:
    """Whether matplotlib is installed."""
    return importlib.util.find_spec("matplotlib") is not None


def write_figures(
    folder: RunFolder, trainer: Trainer, test: Dataset, chosen_epoch: int, results: dict[str, float]
) -> None:
    """Draw curves, confusion matrix, first-layer filters and worst mistakes (if there are any) into the folder.

    Needs matplotlib; see `can_draw`.

    Args:
        folder: where to.
        trainer: after training, with the weights of the epoch that was chosen.
        test: images with labels.
        chosen_epoch: that epoch's number.
        results: the test figures of those weights, by name.
    """
    from dlcore.train import figures  # slow: loads matplotlib

    outputs = trainer.predict(test.x)
    matrix = ConfusionMatrix()
    matrix.update(outputs, trainer.network.backend.asarray(test.y))
    drawn = {
        "curves": figures.curves(trainer.history, chosen_epoch, results),
        "confusion_matrix": figures.confusion(matrix.compute(), test.classes),
    }
    weights = first_layer(trainer.network, test.input_shape)
    if weights is not None:
        drawn["first_layer"] = figures.filters(weights)
    probabilities = softmax(outputs)
    worst = worst_mistakes(probabilities, test.y)[:_MOST_MISTAKES]
    if len(worst):
        drawn["worst_mistakes"] = figures.mistakes(test.x[worst], test.y[worst], probabilities[worst], test.classes)
    for name, figure in drawn.items():
        with replacing(folder.path / f"{name}.png") as temporary:
            figure.savefig(temporary, dpi=120)


def softmax(outputs: Array) -> npt.NDArray[np.float64]:
    """Probabilities, (N, classes), from the scores of a classifier on any backend."""
    scores = backend.to_numpy(outputs).astype(np.float64)
    exponentials = np.exp(scores - scores.max(axis=1, keepdims=True))
    probabilities: npt.NDArray[np.float64] = exponentials / exponentials.sum(axis=1, keepdims=True)
    return probabilities


def worst_mistakes(probabilities: npt.NDArray[np.float64], labels: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The numbers of the wrongly classified examples, those that give the right class the least chance first."""
    wrong = np.flatnonzero(probabilities.argmax(axis=1) != labels)
    return wrong[np.argsort(probabilities[wrong, labels[wrong]], kind="stable")]


def first_layer(network: Module, input_shape: tuple[int, ...]) -> npt.NDArray[np.floating[npt.NBitBase]] | None:
    """The weights that meet the input, (filters, C, H, W): a convolution's kernels, or a linear layer's as images."""
    parameters = network.parameters()
    if not parameters:
        return None
    weights = parameters[0].numpy()
    if weights.ndim == 2 and len(input_shape) == 3 and weights.shape[1] == np.prod(input_shape):
        weights = weights.reshape(-1, *input_shape)
    return weights if weights.ndim == 4 else None
