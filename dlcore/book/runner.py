"""Runs a script as `python SCRIPT` does, from its own folder, with `common` and `dataset` answered from here."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from dlcore.book.common import (
    functions,
    gradient,
    layers,
    multi_layer_net,
    multi_layer_net_extend,
    optimizer,
    trainer,
    util,
)
from dlcore.book.dataset import mnist
from dlcore.book.figures import Album, has_display, kept_in
from kernels.errors import ArgumentError, BackendUnavailableError, MissingFileError

INTERRUPTED = 130

_PACKAGES = {
    "common": (functions, gradient, layers, multi_layer_net, multi_layer_net_extend, optimizer, trainer, util),
    "dataset": (mnist,),
}


def run(script: str | Path, arguments: Sequence[str] = (), figures: str | Path | None = None) -> int:
    """Run a script of the book.

    It runs in its own folder, as `__main__`, with its arguments in `sys.argv`. Without a display nothing that it
    shows is waited for.

    Args:
        script: the file.
        arguments: what follows it on the command line. `--figures DIR` may stand here, too, before a `--`.
        figures: the folder in which figures are kept as PNG, named after the script; None to open windows where
            there is a display.

    Returns:
        The exit code: 0; 1 where the script failed, after its traceback; 130 where it was interrupted.

    Raises:
        SystemExit: the script ended itself with this.
        MissingFileError: there is no such script.
        ArgumentError: `--figures` has no folder.
        BackendUnavailableError: the script needs matplotlib, which is not installed.
    """
    path = Path(os.path.abspath(script))
    if not path.is_file():
        raise MissingFileError(f"book: there is no script {script}; give the path of one, such as ch04/gradient_2d.py")
    own, asked = _split(arguments)
    folder = asked or figures
    album = Album(None if folder is None else Path(folder).absolute(), path.stem)
    with _as_the_program(path, own):
        if album.folder is None and has_display():
            return _execute(path)
        try:
            with kept_in(album):
                return _execute(path)
        finally:
            if album.folder is None and album.shown:
                print(f"dlcore: no display for {album.shown} figures; --figures DIR keeps them", file=sys.stderr)


def _split(arguments: Sequence[str]) -> tuple[list[str], str | None]:
    """The script's own arguments, and the folder of figures that stands among them."""
    own = list(arguments)
    end = own.index("--") if "--" in own else len(own)
    for place, argument in enumerate(own[:end]):
        name, equals, folder = argument.partition("=")
        if name != "--figures":
            continue
        if equals:
            return own[:place] + own[place + 1 :], folder
        if place + 1 == end:
            raise ArgumentError("book: --figures needs a folder: --figures DIR")
        return own[:place] + own[place + 2 :], own[place + 1]
    return own, None


@contextmanager
def _as_the_program(path: Path, arguments: Sequence[str]) -> Iterator[None]:
    """Make this process look as `python SCRIPT`, started in the script's folder, would make it look."""
    argv, search_path, folder, known = sys.argv, list(sys.path), Path.cwd(), set(sys.modules)
    hidden = _take_out(lambda name, module: name == "__main__" or name.partition(".")[0] in _PACKAGES)
    sys.argv = [str(path), *arguments]
    sys.path.insert(0, str(path.parent))
    for name in _PACKAGES:
        sys.modules.update(_package(name, path.parent))
    os.chdir(path.parent)
    try:
        yield
    finally:
        sys.argv, sys.path[:] = argv, search_path
        os.chdir(folder)
        # The next script of this process has a two_layer_net of its own.
        here = f"{path.parent}{os.sep}"
        _take_out(lambda name, module: name not in known and str(getattr(module, "__file__", "")).startswith(here))
        _take_out(lambda name, module: name == "__main__" or name.partition(".")[0] in _PACKAGES)
        sys.modules.update(hidden)


def _take_out(is_meant: Callable[[str, ModuleType], bool]) -> dict[str, ModuleType]:
    """Forget some of the imported modules, and return them."""
    return {name: sys.modules.pop(name) for name, module in list(sys.modules.items()) if is_meant(name, module)}


def _package(name: str, folder: Path) -> dict[str, ModuleType]:
    """A package with our modules; others that a reader put into the book's own package are still found there."""
    package = ModuleType(name)
    package.__path__ = [str(folder / name), str(folder.parent / name)]
    modules = {f"{name}.{module.__name__.rpartition('.')[2]}": module for module in _PACKAGES[name]}
    for full_name, module in modules.items():
        setattr(package, full_name.rpartition(".")[2], module)
    return {name: package, **modules}


def _execute(path: Path) -> int:
    program = ModuleType("__main__")
    program.__file__ = str(path)
    sys.modules["__main__"] = program
    try:
        exec(compile(path.read_bytes(), str(path), "exec", dont_inherit=True), program.__dict__)
    except SystemExit:
        raise
    except BaseException as error:
        if isinstance(error, ModuleNotFoundError) and error.name == "matplotlib":
            raise BackendUnavailableError(
                f"book: {path.name} draws with matplotlib, which is not installed: pip install 'dlcore[plot]'"
            ) from None
        # The first frame is this function's, the next the script's.
        frames = error.__traceback__.tb_next if error.__traceback__ else None
        sys.excepthook(type(error), error.with_traceback(frames), frames)
        return INTERRUPTED if isinstance(error, KeyboardInterrupt) else 1
    return 0
