"""`dlcore warmup`: it compiles, says what it did and where that is, and the second time finds nothing to do."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import dlcore
from dlcore import backend as backends
from dlcore import models
from dlcore.cli import main
from dlcore.commands import warmup

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _threads_and_backend_stay():
    threads = dlcore.get_num_threads()
    with backends.using("numpy"):
        yield
    dlcore.set_num_threads(threads)


def test_first_and_second_time(tmp_path):
    """In processes of their own: this one has compiled already."""
    script = "import sys; from dlcore.cli import main; sys.exit(main(sys.argv[1:]))"
    environment = os.environ | {"PYTHONPATH": str(ROOT), "DLCORE_CACHE": str(tmp_path), "PYTHONIOENCODING": "utf-8"}

    def warm_up(*options):
        command = [sys.executable, "-c", script, "warmup", "perceptron", *options]
        process = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8", check=False)
        assert (process.returncode, process.stderr) == (0, "")
        return process.stdout

    first, second = warm_up("--data", "mnist"), warm_up("--data", "mnist")
    assert first.startswith("perceptron for mnist, batches of 100, adam; numpy\n")
    found = re.search(r"^compiled (\d+) functions in \d+\.\d s; they are kept in (.*)$", first, flags=re.MULTILINE)
    assert found, first
    folder = Path(found[2])
    assert folder.is_relative_to(tmp_path)
    assert len(list(folder.rglob("*.nbc"))) == int(found[1]) > 0
    assert re.search(r"^nothing to compile \(looked for \d+\.\d s\): all is in ", second, flags=re.MULTILINE), second
    assert str(folder) in second


def test_without_a_folder_nothing_is_kept(capsys, monkeypatch):
    monkeypatch.setattr(warmup, "_cache_folder", lambda: None)
    assert main(["warmup", "mlp", "--batch-size", "2", "--threads", "1"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("mlp for digits, batches of 2, adam; numpy\n")
    assert "but not kept: no folder can be written; let DLCORE_CACHE name one" in out


def test_a_batch_and_a_single_image_are_run(monkeypatch):
    seen = []
    monkeypatch.setattr(warmup, "_run_all", lambda stages: seen.extend(name for name, _ in stages))
    assert main(["warmup", "mlp", "--batch-size", "7"]) == 0
    assert seen == ["evaluation of 7 images", "training on 7 images", "evaluation of 1 image", "training on 1 image"]
    seen.clear()
    assert main(["warmup", "mlp", "--batch-size", "1"]) == 0
    assert seen == ["evaluation of 1 image", "training on 1 image"]


def test_data_of_ones_own_say_what_they_look_like(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(warmup, "_run_all", lambda stages: None)
    np.savez(tmp_path / "own.npz", x=np.zeros((20, 3, 6, 7), np.uint8), y=np.arange(20) % 4)
    made = []
    monkeypatch.setattr(warmup.models, "create", lambda *options: made.append(options) or models.MLP(*options[1:]))
    assert main(["warmup", "mlp", "--data", str(tmp_path / "own.npz")]) == 0
    assert made == [("mlp", (3, 6, 7), 4)]
    assert f"mlp for {tmp_path}/own.npz, batches of 32, adam; numpy\n" in capsys.readouterr().out
    assert main(["warmup", "mlp", "--data", str(tmp_path / "nowhere.npz")]) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("warmup", "'MODEL'"),
        ("warmup nothing", "resnet-18, resnet-34, got 'nothing'"),
        (
            "warmup mlp --data imagenet",
            "data: expected one of digits, mnist, fashion-mnist, cifar10, a folder of images or an .npz file, got",
        ),
        ("warmup mlp --optimizer magic", "optimizer: expected one of sgd,"),
        ("warmup mlp --batch-size 0", "'--batch-size'"),
    ],
)
def test_one_line_says_what_is_wrong(capsys, arguments, message):
    assert main(arguments.split()) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert message in err
