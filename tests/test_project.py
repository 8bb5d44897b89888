"""Promises of the project as a whole: what is in it, what it needs, what importing it costs."""

import os
import re
import tomllib
from pathlib import Path

import pytest

import dlcore
import kernels

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_version_is_the_projects() -> None:
    assert dlcore.__version__ == PROJECT["version"]


@pytest.mark.parametrize("package", [dlcore, kernels], ids=["dlcore", "kernels"])
def test_types_are_shipped(package: object) -> None:
    assert Path(package.__file__).with_name("py.typed").exists()


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md"])
def test_documents_name_only_extras_and_files_that_exist(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    extras = {extra for group in re.findall(r"\[([a-z0-9,]+)\]\"", text) for extra in group.split(",")}
    assert extras <= set(PROJECT["optional-dependencies"])
    paths = re.findall(r"`((?:kernels|dlcore|benchmarks|tests|examples|\.ci)/[\w./]*)`", text)
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_ci_can_be_run() -> None:
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
