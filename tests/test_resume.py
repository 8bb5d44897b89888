"""A training run that is killed again and again ends as one that nobody disturbed."""

import filecmp
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
KILLS = 30
# Dropout, an optimizer with state, learning rates that follow the steps, several batches to an update.
OPTIONS = "--model deep-convnet --epochs 3 --batch-size 16 --accumulate 2 --schedule cosine --checkpoint-every 4"

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")]

#: Ends its own process, as SIGKILL would, when the third snapshot is half written.
KILLED_WHILE_WRITING = """
import os, signal, sys
from dlcore import cli
from dlcore.train import snapshot

write, count = snapshot._write, 0

def half(path, text):
    global count
    count += path.name == "state.json"
    if count == 3:
        path.write_text(text[: len(text) // 2])
        os.kill(os.getpid(), signal.SIGKILL)
    write(path, text)

snapshot._write = half
cli.main(sys.argv[1:])
"""


def start(folder, *arguments, python=("-m", "dlcore")):
    """`dlcore train` in a process of its own, begun or resumed."""
    is_begun = (folder / "run/config.json").exists()
    options = ["--resume", "run"] if is_begun else [*OPTIONS.split(), "--run", "run"]
    return subprocess.Popen(
        [sys.executable, *python, "train", *options, *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )


def finish(folder):
    process = start(folder)
    out, _ = process.communicate(timeout=300)
    assert process.returncode == 0, out
    return out


def assert_same(folder, whole):
    for name in ("metrics.jsonl", "model.safetensors"):
        assert filecmp.cmp(folder / "run" / name, whole / "run" / name, shallow=False), name
    results = [json.loads((one / "run/results.json").read_text()) for one in (folder, whole)]
    for result in results:
        del result["seconds"]
    assert results[0] == results[1]
    left = [path.name for path in (folder / "run").rglob(".*") if path.name != ".lock"]
    assert left == []


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of a run that nobody disturbed, and the seconds that it took."""
    folder = tmp_path_factory.mktemp("whole")
    finish(folder)  # compiles, perhaps
    (folder / "run").rename(folder / "first")
    began = time.monotonic()
    finish(folder)
    return folder, time.monotonic() - began


def test_killed_inside_a_write(tmp_path, whole):
    process = start(tmp_path, python=("-c", KILLED_WHILE_WRITING))
    process.communicate(timeout=300)
    assert process.returncode == -signal.SIGKILL
    names = sorted(path.name for path in (tmp_path / "run/checkpoints").iterdir() if path.name != ".lock")
    assert names[0].startswith(".step-000000012.")
    assert names[1:] == ["step-000000004", "step-000000008"]
    assert "going on from step-000000008\n" in finish(tmp_path)
    assert_same(tmp_path, whole[0])


def test_killed_at_random_moments(tmp_path, whole, closing_line):
    """30 kills, over as many runs as they take; each run goes on after each kill, and is compared at its end."""
    reference, seconds = whole
    moments = random.Random(0)
    kills, runs, resumed_from = 0, 0, set()
    while kills < KILLS:
        folder = tmp_path / str(runs)
        folder.mkdir(exist_ok=True)
        process = start(folder)
        try:
            out, _ = process.communicate(timeout=moments.uniform(0.1, 0.9) * seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            out, _ = process.communicate()
            kills += 1
        else:
            assert process.returncode == 0, out
            assert_same(folder, reference)
            runs += 1
        resumed_from.update(line for line in out.splitlines() if line.startswith("going on from"))
    folder = tmp_path / str(runs)
    folder.mkdir(exist_ok=True)
    finish(folder)
    assert_same(folder, reference)
    closing_line(f"resume: {kills} kills in {runs + 1} runs, resumed from {len(resumed_from)} different checkpoints")
    assert len(resumed_from) >= 3


def test_a_run_is_trained_by_one_process_at_a_time(tmp_path, whole):
    process = start(tmp_path)
    while not (tmp_path / "run/.lock").exists():
        assert process.poll() is None
        time.sleep(0.01)
    other = start(tmp_path)
    out, _ = other.communicate(timeout=60)
    process.kill()
    process.communicate()
    assert (other.returncode, out) == (2, "dlcore: run is being trained in by another process\n")
