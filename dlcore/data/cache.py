"""Where data files lie: in the user's own data folder, or in dlcore's cache folder, to which downloads go."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from dlcore.data.download import download
from dlcore.data.remote import Remote
from kernels.errors import DataUnavailableError, FileFormatError

Content = TypeVar("Content")


def cache_folder() -> Path:
    """The folder for what dlcore downloads; it need not exist yet.

    $DLCORE_CACHE where that is set, else the platform's place: %LOCALAPPDATA%/dlcore (Windows),
    ~/Library/Caches/dlcore (macOS), $XDG_CACHE_HOME/dlcore or ~/.cache/dlcore (elsewhere).

    Raises:
        DataUnavailableError: the account has no home folder, and no variable names another.
    """
    try:
        if given := os.environ.get("DLCORE_CACHE"):
            return Path(given).expanduser()
        if sys.platform == "win32":
            users = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
        elif sys.platform == "darwin":
            users = Path.home() / "Library" / "Caches"
        else:
            users = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        return users / "dlcore"
    except RuntimeError as error:
        raise DataUnavailableError(
            f"no folder to keep data in: {error}; set DLCORE_CACHE to a folder that can be written"
        ) from error


def data_folders(dataset: str) -> list[Path]:
    """The folders in which the files of a dataset ("mnist") are looked for, in this order.

    $DLCORE_DATA/mnist and $DLCORE_DATA where that is set, then data/mnist in the cache folder.
    """
    folders = [cache_folder() / "data" / dataset]
    if given := os.environ.get("DLCORE_DATA"):
        own = Path(given).expanduser()
        folders = [own / dataset, own, *folders]
    return folders


def find_or_download(
    dataset: str, files: Sequence[Remote[Content]], mirrors: Sequence[str]
) -> list[tuple[Path, Content]]:
    """The paths of a dataset's files and what is in them; what no data folder holds is downloaded to the cache folder.

    A file is known by its content: one of its name that is damaged, or belongs to another dataset, is passed over.

    Args:
        dataset: the dataset's name, which is also the name of its folder.
        files: what it consists of. A file is also found without its ending ".gz".
        mirrors: addresses of folders that hold the files, ending in "/".

    Raises:
        DataUnavailableError: a file is not here and cannot be downloaded; says which files to put where, and what is
            wrong with those of their names that are here.
        DeviceMemoryError: there is too little memory for a file.
    """
    folders = data_folders(dataset)
    found: dict[str, tuple[Path, Content]] = {}
    misfits: list[str] = []
    for file in files:
        for path in candidates(file, folders):
            try:
                found[file.name] = path, file.read(path)
                break
            except (FileFormatError, DataUnavailableError) as error:
                misfits.append(str(error))
    missing = [file for file in files if file.name not in found]
    try:
        for file in missing:
            path = download(file, mirrors, folders[-1])
            found[file.name] = path, file.read(path)
    except DataUnavailableError as error:
        names = ", ".join(file.name for file in missing if file.name not in found)
        passed_over = f". Passed over: {'; '.join(misfits)}" if misfits else ""
        raise DataUnavailableError(
            f"{dataset}: {error}. Put {names} into {folders[0]}, or into a folder that DLCORE_DATA names{passed_over}"
        ) from error
    return [found[file.name] for file in files]


def candidates(file: Remote[object], folders: Sequence[Path]) -> list[Path]:
    """The files of its name in these folders, in their order; what is in them is not looked at."""
    names = (file.name, file.name.removesuffix(".gz"))
    return [folder / name for folder in folders for name in dict.fromkeys(names) if os.path.isfile(folder / name)]
