"""What the examples share, none of it about learning: options, the style of the figures, tables, and images of digits.

options = support.options(__doc__)                  # --backend, --seed, --quick, --figures
figure, axes = support.subplots(1, 2, height=3.5)   # matplotlib's, in one style
support.save(figure, options)                       # figures/NAME-OF-THE-SCRIPT.png; shown where there is a display
"""

import argparse
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

try:
    import matplotlib as mpl
    import matplotlib.pyplot as plt
    from matplotlib.figure import Figure
except ModuleNotFoundError:
    sys.exit("The examples draw with matplotlib, which is not installed: pip install matplotlib, or dlcore[plot].")

import dlcore as dl
from dlcore import backend, data
from dlcore.data import Dataset

# Colours that colour-blind readers can tell apart (Okabe and Ito, 2008).
BLACK, BLUE, ORANGE, GREEN, RED, PURPLE, SKY = (
    "#000000",
    "#0072b2",
    "#e69f00",
    "#009e73",
    "#d55e00",
    "#cc79a7",
    "#56b4e9",
)
GREY = "#707070"

_WIDTH = 7.5  # inches; 900 pixels
_STYLE = {
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.prop_cycle": mpl.cycler(color=[BLUE, RED, GREEN, ORANGE, PURPLE, SKY, BLACK]),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 10,
    "figure.constrained_layout.h_pad": 0.08,
    "figure.constrained_layout.use": True,
    "figure.constrained_layout.w_pad": 0.08,
    "figure.titlesize": 11,
    "font.size": 9.5,
    "grid.alpha": 0.25,
    "image.cmap": "gray",
    "legend.frameon": False,
    "legend.fontsize": 9,
    "savefig.dpi": 120,
}


@dataclass(frozen=True)
class Options:
    """What was asked for on the command line.

    Attributes:
        name: the script's name, without ".py"; its figure is called so, too.
        backend: the name of the active backend.
        seed: what the default generator was seeded with.
        quick: be done in seconds: fewer steps, smaller data.
        figures: the folder for figures.
    """

    name: str
    backend: str
    seed: int
    quick: bool
    figures: Path


def options(docstring: str | None) -> Options:
    """Read the command line, choose the backend and seed the default generator."""
    title = (docstring or "").strip()
    parser = argparse.ArgumentParser(description=title, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", metavar="NAME", help='"numpy", "cupy", "cupy:1" or "auto"')
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of every random number (default: 0)")
    parser.add_argument("--quick", action="store_true", help="be done in seconds, on less data")
    parser.add_argument("--figures", type=Path, default=Path("figures"), metavar="DIR", help="default: ./figures")
    given = parser.parse_args()
    try:
        if given.backend is not None:
            backend.use(given.backend)
        backend.seed(given.seed)
    except dl.DLCoreError as error:
        parser.error(str(error))
    name = Path(sys.argv[0]).stem
    return Options(name, backend.current().name, given.seed, given.quick, given.figures)


def subplots(rows: int = 1, columns: int = 1, *, height: float = 4.2, width: float = _WIDTH, **more: Any) -> Any:
    """Matplotlib's `subplots` in the examples' style: (figure, axes); sizes in inches, 120 pixels each."""
    mpl.rcParams.update(_STYLE)
    return plt.subplots(rows, columns, figsize=(width, height), **more)


def bare(*axes: Any) -> None:
    """Axes without ticks, grid and frame: for images."""
    for each in axes:
        each.set_xticks([])
        each.set_yticks([])
        each.grid(visible=False)
        each.spines[:].set_visible(False)


def save(figure: Figure, options: Options, suffix: str = "") -> Path:
    """Write the figure as PNG, print its path, and show it where there is a display.

    Args:
        figure: from `subplots`.
        options: whose `figures` names the folder; it is made.
        suffix: tells a script's second figure from its first: "filters" gives NAME-filters.png.
    """
    options.figures.mkdir(parents=True, exist_ok=True)
    path = options.figures / f"{options.name}{'-' * bool(suffix)}{suffix}.png"
    figure.savefig(path)
    print(f"\nFigure: {path}")
    if plt.get_backend().lower() != "agg":  # matplotlib takes "agg" by itself where there is no display
        plt.show()
    plt.close(figure)
    return path


def table(headings: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print rows under headings: the first column to the left, the others to the right; floats to four digits."""
    cells = [
        headings,
        *([f"{cell:.4g}" if isinstance(cell, float) else str(cell) for cell in row] for row in rows),
    ]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    cells.insert(1, ["-" * width for width in widths])
    print()
    for first, *others in cells:
        aligned = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        print("  ".join([first.ljust(widths[0]), *aligned]))


def digits_or_mnist(options: Options) -> tuple[Dataset, Dataset, Dataset]:
    """Images of digits for training, validation and test, and a printed line that says which.

    MNIST (55,000, 5,000 and 10,000 images of 28 × 28), where it is found or can be downloaded; with --quick, and where
    there is none, the digits that come with dlcore (1,197, 300 and 300 images of 8 × 8).
    """
    reason = "with --quick"
    if not options.quick:
        try:
            both, test = data.mnist()
        except dl.DLCoreError as error:
            reason = str(error)
        else:
            train, validation = data.random_split(both, [len(both) - 5_000, 5_000], seed=0)
            print("Data: MNIST, images of 28 × 28 pixels")
            return train, validation, test
    print(f"Data: the digits that come with dlcore, images of 8 × 8 pixels ({reason})")
    return data.digits()
