"""What the README says works: its examples run and print what it says, its commands parse."""

import re
import shlex
from pathlib import Path

import pytest
import typer.main

from dlcore import backend, cli

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```python\n(.*?)^```", README, flags=re.DOTALL | re.MULTILINE)
COMMANDS = [
    line
    for block in re.findall(r"^```bash\n(.*?)^```", README, flags=re.DOTALL | re.MULTILINE)
    for line in block.splitlines()
]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.partition("\n")[0].strip("# "))
def test_example(
    example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with backend.using("numpy"):  # where an example's own `use` ends
        exec(compile(example, "README.md", "exec"), {"__name__": "__main__"})
    printed = capsys.readouterr().out.splitlines()
    for expected in re.findall(r"^ *print\(.*\)  # (.*)$", example, flags=re.MULTILINE):
        assert expected in printed


def test_the_examples_are_found() -> None:
    assert len(EXAMPLES) == 6


@pytest.mark.parametrize("name", ["train", "test"])
def test_the_two_commands_are_one_line_each(name: str) -> None:
    """The line that .ci/run takes from the README and runs."""
    found = re.findall(rf"^<!-- command: {name} -->\n```bash\n(.*?)^```", README, flags=re.DOTALL | re.MULTILINE)
    assert len(found) == 1
    assert found[0].count("\n") == 1


@pytest.mark.parametrize("command", [line for line in COMMANDS if line.startswith(".venv/bin/dlcore ")])
def test_command_line_parses(command: str) -> None:
    """Options and arguments are those of the program; nothing is run."""
    name, *arguments = shlex.split(command, comments=True)[1:]
    typer.main.get_command(cli.app).commands[name].make_context(name, arguments)
