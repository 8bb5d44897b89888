"""A matplotlib backend that draws without a display, and keeps what `plt.show()` would open a window for.

`plt.show()` ends as if all windows had been closed: what is plotted behind it begins a new figure. Matplotlib loads
this module by its name; see `dlcore.book.figures`.
"""

import matplotlib.pyplot as plt
from matplotlib.backend_bases import FigureManagerBase
from matplotlib.backends.backend_agg import FigureCanvasAgg

from dlcore.book.figures import current

__all__ = ["FigureCanvas", "FigureManager", "show"]


class FigureManager(FigureManagerBase):
    """A figure's window, which is none."""

    def show(self) -> None:
        """Nothing: `figure.show()` does not wait, and the figure is still open."""


class FigureCanvas(FigureCanvasAgg):
    """Where a figure is drawn."""

    manager_class = FigureManager


def show(block: bool | None = None) -> None:
    """Keep all open figures, and close them; without blocking (`plt.pause`, `plt.ion`) they stay open."""
    is_blocking = not plt.isinteractive() if block is None else block
    if is_blocking and current:
        current[-1].keep_open_figures()
