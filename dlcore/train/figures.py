"""The pictures of a run. Each function returns a matplotlib Figure of its own and leaves pyplot's state alone.

This file is imported only where matplotlib is installed (`pip install dlcore[plot]`).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator

from dlcore.train.history import History

_TRAINING, _VALIDATION, _MUTED = "#2f6fb3", "#d9622b", "#666666"
_MOST_PICTURES = 64  # filters in one figure


def curves(history: History, chosen_epoch: int, test: dict[str, float]) -> Figure:
    """Each figure of the history over the epochs, training beside validation.

    Args:
        history: with at least one epoch.
        chosen_epoch: whose weights were kept; marked.
        test: the test figures of those weights, by name; drawn as points at that epoch.
    """
    epochs = [int(epoch) for epoch in history["epoch"]]
    names = [name for name in history.names if name == "loss" or f"validation_{name}" in history.names or name in test]
    figure = _figure(5.2 * len(names), 4.0)
    for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        marker = "o" if len(epochs) < 25 else ""
        axes.plot(epochs, history[name], color=_TRAINING, marker=marker, markersize=4, label="training")
        if f"validation_{name}" in history.names:
            values = history[f"validation_{name}"]
            axes.plot(epochs, values, color=_VALIDATION, marker=marker, markersize=4, label="validation")
        axes.axvline(
            chosen_epoch, color=_MUTED, linewidth=1, linestyle=":", label=f"weights kept: epoch {chosen_epoch}"
        )
        if name in test:
            label = f"test: {test[name]:.4f}"
            axes.plot([chosen_epoch], [test[name]], color="black", marker="*", markersize=11, linestyle="", label=label)
        axes.set_title(name.replace("_", " ").capitalize())
        axes.set_xlabel("epoch")
        axes.set_xlim(epochs[0] - 0.5, epochs[-1] + 0.5)
        axes.set_ylabel(name.replace("_", " "))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)
    return figure


def confusion(matrix: npt.NDArray[np.integer[Any]], classes: Sequence[str]) -> Figure:
    """A confusion matrix, (classes, classes), truth down and prediction across.

    Right answers and mistakes have a colour scale each: on one scale, the few mistakes could not be seen.
    """
    count = len(classes)
    side = min(max(1.8 + 0.5 * count, 4.2), 14.0)
    figure = _figure(side, side)
    axes = figure.subplots()
    is_right = np.eye(count, dtype=bool)
    for cells, colours in ((is_right, "Blues"), (~is_right, "Oranges")):
        shown = np.ma.masked_where(~cells | (matrix == 0), matrix)
        # Twice the maximum: the strongest cell is a middle tone on which black figures can be read.
        axes.imshow(shown, cmap=colours, vmin=0, vmax=2 * max(int(matrix[cells].max(initial=0)), 1))
    if count <= 25:
        for row, column in np.argwhere(matrix > 0):
            axes.text(column, row, str(matrix[row, column]), ha="center", va="center", fontsize=9)
    axes.set_xticks(range(count), classes, rotation=0 if max(map(len, classes)) < 4 else 90)
    axes.set_yticks(range(count), classes)
    axes.set_xticks(np.arange(count + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(count + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="#dddddd", linewidth=0.6)
    axes.tick_params(which="both", length=0)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    total, right = int(matrix.sum()), int(np.trace(matrix))
    axes.set_title(f"Test data: {right:,} of {total:,} right, {total - right:,} wrong")
    return figure


def filters(weights: npt.NDArray[np.floating[Any]]) -> Figure:
    """First-layer weights, (filters, C, H, W), one picture each: red is positive, blue negative, white zero.

    Of more than 64 the first 64 are shown; of several channels the mean.
    """
    total = len(weights)
    pictures = weights[:_MOST_PICTURES].mean(axis=1)
    figure, grid = _grid(len(pictures), columns=min(len(pictures), 8 if total > 10 else 5), size=0.95, head=0.55)
    limit = max(float(np.abs(pictures).max()), 1e-12)
    image = None
    for axes, picture in zip(grid, pictures, strict=True):
        image = axes.imshow(picture, cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest")
    size = f"{weights.shape[2]} × {weights.shape[3]}"
    kind = f"first {len(pictures)} of {total} filters" if len(pictures) < total else f"{total} filters"
    figure.suptitle(f"First layer: {kind}, {size}", fontsize=11)
    if image is not None:
        figure.colorbar(image, ax=grid, shrink=0.7, pad=0.02, label="weight")
    return figure


def mistakes(
    images: npt.NDArray[np.floating[Any]],
    labels: npt.NDArray[np.integer[Any]],
    probabilities: npt.NDArray[np.floating[Any]],
    classes: Sequence[str],
) -> Figure:
    """Wrongly classified images, each with its true class, the predicted one and how sure the network was.

    Args:
        images: (N, C, H, W), the ones to show, at least one.
        labels: (N,), their true classes.
        probabilities: (N, classes), what the network said.
        classes: names, in the order of the labels.
    """
    figure, grid = _grid(len(images), columns=min(len(images), 6), size=1.35, head=0.5)
    for axes, image, label, probability in zip(grid, images, labels, probabilities, strict=True):
        predicted = int(probability.argmax())
        picture = image.transpose(1, 2, 0) if len(image) == 3 else image.mean(axis=0)
        axes.imshow(picture, cmap="gray", interpolation="nearest")
        axes.set_title(
            f"{classes[label]} taken for {classes[predicted]}\n{probability[predicted]:.1%} sure", fontsize=8
        )
    figure.suptitle("The worst mistakes on the test data", fontsize=11)
    return figure


def _figure(width: float, height: float) -> Figure:
    """An empty figure, in inches, with a little air around what is drawn."""
    return Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08))


def _grid(count: int, *, columns: int, size: float, head: float) -> tuple[Figure, list[Axes]]:
    """A figure with `count` square axes without ticks, `size` inches each, under `head` inches for a title."""
    rows = -(-count // columns)
    figure = _figure(max(columns * size + 0.9, 3.6), rows * size + head)
    cells: list[Axes] = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes in cells:
        axes.set_xticks([])
        axes.set_yticks([])
    for axes in cells[count:]:
        axes.remove()
    return figure, cells[:count]
