"""What scripts show: kept as PNG files, or let go where there is no display, so that no script waits for a window."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image

#: What MPLBACKEND says for `dlcore.book.pyplot_backend`.
_BACKEND = "module://dlcore.book.pyplot_backend"


class Album:
    """Where figures go.

    Args:
        folder: it is made when the first figure comes; None for nowhere.
        title: how files begin: title-1.png, title-2.png, …

    Attributes:
        shown: how many figures there were.
    """

    def __init__(self, folder: Path | None, title: str) -> None:
        self.folder = folder
        self.title = title
        self.shown = 0

    def next_file(self) -> Path | None:
        """The path of the next figure; None where figures are let go."""
        self.shown += 1
        if self.folder is None:
            return None
        self.folder.mkdir(parents=True, exist_ok=True)
        return self.folder / f"{self.title}-{self.shown}.png"

    def keep_image(self, image: Image.Image) -> None:
        """Save what PIL's `Image.show` is asked to show."""
        if file := self.next_file():
            base = Image.getmodebase(image.mode)
            (image if image.mode in ("1", "L", "RGB", "RGBA") else image.convert(base)).save(file)

    def keep_open_figures(self) -> None:
        """Save and close all figures that pyplot has open; nothing where no script imported it."""
        pyplot: Any = sys.modules.get("matplotlib.pyplot")
        if pyplot is None:
            return
        for number in pyplot.get_fignums():
            if file := self.next_file():
                pyplot.figure(number).savefig(file)
        pyplot.close("all")


#: The album is the last: where `dlcore.book.pyplot_backend`, which matplotlib loads by its name, finds it.
current: list[Album] = []


def has_display() -> bool:
    """Whether windows can be opened here."""
    if sys.platform in ("win32", "darwin"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _keep_image(image: Image.Image, title: str | None = None) -> None:
    """Stands for PIL's `Image.show`."""
    current[-1].keep_image(image)


@contextmanager
def kept_in(album: Album) -> Iterator[None]:
    """Within the block, and at its end, what matplotlib and PIL show goes into the album."""
    before, show_image = os.environ.get("MPLBACKEND"), Image.Image.show
    matplotlib: Any = sys.modules.get("matplotlib")  # a process that imported it does not look at MPLBACKEND again
    used = matplotlib.get_backend() if matplotlib else ""
    os.environ["MPLBACKEND"] = _BACKEND
    if matplotlib:
        matplotlib.use(_BACKEND)
    Image.Image.show = _keep_image  # type: ignore[assignment,method-assign]
    current.append(album)
    try:
        yield
    finally:
        try:
            album.keep_open_figures()
        finally:
            current.pop()
            Image.Image.show = show_image  # type: ignore[method-assign]
            del os.environ["MPLBACKEND"]
            if before is not None:
                os.environ["MPLBACKEND"] = before
            if matplotlib:
                matplotlib.use(used)
