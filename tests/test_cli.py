"""The command `dlcore`, mostly called in this process: `main` takes arguments and returns the exit code."""

import datetime
import errno
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import dlcore
from dlcore import backend as backends
from dlcore import models
from dlcore.cli import main
from dlcore.commands import choices, information, training
from dlcore.data import digits
from dlcore.train import snapshot
from dlcore.train.report import can_draw

ROOT = Path(__file__).parents[1]
CONTROL_CHARACTERS = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")
FIGURES = ["confusion_matrix.png", "curves.png", "first_layer.png", "worst_mistakes.png"]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Each command starts in an empty folder, and leaves threads and backend as they were."""
    monkeypatch.chdir(tmp_path)
    threads = dlcore.get_num_threads()
    with backends.using(backends.current().name):
        yield tmp_path
    dlcore.set_num_threads(threads)


@pytest.fixture
def no_figures(monkeypatch):
    """As if matplotlib were not installed: drawing takes longer than these networks take to learn."""
    monkeypatch.setattr(training, "can_draw", lambda: False)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of a run of two epochs, which commands that read a run share."""
    path = tmp_path_factory.mktemp("runs") / "mlp"
    assert main(["train", "--model", "mlp", "--epochs", "2", "--lr", "0.01", "--run", str(path)]) == 0
    return path


def command(*arguments, **environment):
    """The command in a process of its own, without a terminal; SIGINT reaches it even where this one ignores it."""
    return subprocess.Popen(
        [sys.executable, "-m", "dlcore", *arguments],
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        preexec_fn=None if sys.platform == "win32" else lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def test_train_without_options(here, capsys):
    """The README's first line: at least 0.97 on digits that the network never saw."""
    assert main(["train"]) == 0
    (folder,) = (here / "runs").iterdir()
    assert re.fullmatch(r"simple-convnet-digits-\d{8}-\d{6}", folder.name)
    results = json.loads((folder / "results.json").read_text())
    assert results["test_accuracy"] >= 0.97
    out, err = capsys.readouterr()
    assert err == ""
    assert f"test accuracy {results['test_accuracy']:.4f}, loss {results['test_loss']:.4f}\n" in out
    files = ["config.json", "metrics.jsonl", "model.safetensors", "results.json"]
    if can_draw():
        files += FIGURES
    saved = out.partition(f"saved in runs/{folder.name}:\n")[2]
    assert saved.split()[: len(files)] == files
    records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [record["epoch"] for record in records] == list(range(1, 31))
    best = min(records, key=lambda record: record["validation_loss"])
    assert results["epoch"] == best["epoch"]
    assert results["validation_loss"] == best["validation_loss"]


def test_options_are_kept(here, capsys, no_figures):
    options = "--model perceptron --epochs 1 --batch-size 50 --optimizer adamw --lr 0.02 --weight-decay 0.1 --seed 7"
    assert main(["train", *options.split(), "--backend", "numpy", "--threads", "1", "--run", "a/b"]) == 0
    config = json.loads((here / "a/b/config.json").read_text())
    assert config == {
        "dlcore": dlcore.__version__,
        "model": "perceptron",
        "data": "digits",
        "input_shape": [1, 8, 8],
        "classes": [str(digit) for digit in range(10)],
        "epochs": 1,
        "batch_size": 50,
        "optimizer": "adamw",
        "learning_rate": 0.02,
        "weight_decay": 0.1,
        "seed": 7,
        "backend": "numpy",
        "threads": 1,
        "schedule": "constant",
        "accumulate": 1,
        "checkpoint_every": 0,
        "keep_checkpoints": 2,
    }
    assert len((here / "a/b/metrics.jsonl").read_text().splitlines()) == 1
    assert "adamw, learning rate 0.02, batches of 50, seed 7; numpy, 1 thread\n" in capsys.readouterr().out


def test_the_backend_can_be_named(backend, here, capsys, no_figures):
    options = f"--model mlp --epochs 1 --batch-size 100 --lr 0.01 --backend {backend.name}"
    assert main(["train", *options.split(), "--run", "run"]) == 0
    assert json.loads((here / "run/config.json").read_text())["backend"] == backend.name
    trained = json.loads((here / "run/results.json").read_text())["test_accuracy"]
    capsys.readouterr()
    assert main(["evaluate", "run", "--backend", backend.name]) == 0
    assert f"{trained:.4f}" in capsys.readouterr().out


@pytest.mark.parametrize("optimizer", choices.OPTIMIZERS)
def test_every_optimizer_learns_with_its_usual_rate(here, no_figures, optimizer):
    arguments = ["train", "--model", "mlp", "--epochs", "3", "--optimizer", optimizer, "--run", "run"]
    assert main(arguments) == 0
    assert json.loads((here / "run/results.json").read_text())["test_accuracy"] > 0.8


def test_same_seed_same_bits_whatever_the_threads(here, no_figures):
    for name, seed, threads in (("one", 1, 1), ("two", 1, 2), ("other", 2, 2)):
        arguments = ["train", "--epochs", "2", "--seed", str(seed), "--threads", str(threads), "--run", name]
        assert main(arguments) == 0
    one, two, other = ((here / name / "model.safetensors").read_bytes() for name in ("one", "two", "other"))
    assert one == two
    assert one != other
    assert (here / "one/metrics.jsonl").read_bytes() == (here / "two/metrics.jsonl").read_bytes()


def test_evaluate(run, capsys):
    assert main(["evaluate", str(run)]) == 0
    results = json.loads((run / "results.json").read_text())
    first, _, table = capsys.readouterr().out.partition("\n")
    assert first == (
        f"mlp on the 300 test images of digits: accuracy {results['test_accuracy']:.4f}, "
        f"loss {results['test_loss']:.4f}"
    )
    rows = [line.split() for line in table.splitlines() if re.match(r"\d ", line)]
    counts = np.array([[int(count) if count != "·" else 0 for count in row[1:11]] for row in rows])
    assert (counts.sum(axis=1) == 30).all()
    assert np.trace(counts) == round(300 * results["test_accuracy"])
    assert [row[11] for row in rows] == [f"{counts[digit, digit] / 30:.3f}" for digit in range(10)]


def test_predict(run, here, capsys):
    """Test digits as files: of their own size, and enlarged, dark on white, off the centre."""
    test = digits()[2]
    paths, expected = [], []
    for number in range(10):
        grey = (test.x[number, 0] * 255).astype(np.uint8)
        for suffix in ("small.png", "large.jpg"):
            image = Image.fromarray(grey)
            if suffix == "large.jpg":
                large = 255 - np.kron(grey, np.ones((20, 20), dtype=np.uint8))
                image = Image.fromarray(np.pad(large, ((10, 70), (30, 0)), constant_values=255))
            paths.append(f"{number}-{suffix}")
            image.save(paths[-1])
            expected.append(str(test.y[number]))
    assert main(["predict", str(run), *paths]) == 0
    out = capsys.readouterr().out
    rows = [line.split() for line in out.splitlines() if ".png" in line or ".jpg" in line]
    assert [row[0] for row in rows] == paths
    agreement = np.mean([row[1] == digit for row, digit in zip(rows, expected, strict=True)])
    assert agreement >= 0.85
    for row in rows:
        probabilities = [float(cell) for cell in row[2:]]
        assert len(probabilities) == 10
        assert sum(probabilities) == pytest.approx(1, abs=0.006)
        assert probabilities[int(row[1])] == max(probabilities)
    assert not CONTROL_CHARACTERS.search(out)


def test_models(capsys):
    assert main(["models"]) == 0
    out = capsys.readouterr().out
    for name, count in {"perceptron": "7,850", "mlp": "79,510"}.items():
        assert re.search(rf"^{name} +{count} ", out, flags=re.MULTILINE)
    assert all(models.describe(name) in out for name in models.names())


def test_info(capsys, monkeypatch):
    monkeypatch.setenv("DLCORE_DATA", "/some/data")
    reason = "CuPy is not installed; install it"
    monkeypatch.setattr(information.backend, "available", lambda: {"numpy": True, "cupy": reason})
    assert main(["info"]) == 0
    rows = dict(re.split(r"  +", line.strip(), maxsplit=1) for line in capsys.readouterr().out.splitlines() if line)
    assert rows["dlcore"] == dlcore.__version__
    assert rows["numpy"] == np.__version__
    assert rows["backend numpy"] == "available"
    assert rows["backend cupy"] == reason
    assert rows["threads"].startswith(f"{dlcore.get_num_threads()}, on ")
    assert rows["SIMD"].endswith(" bits")
    assert {"Python", "numba", "matplotlib", "active backend", "cache folder", "compiled kernels"} <= set(rows)
    assert rows["data folder"] == "/some/data"


def test_info_tells_what_is_set_wrong(capsys, monkeypatch):
    def wrong():
        raise dlcore.ArgumentError("DLCORE_NUM_THREADS is 'abc'")

    monkeypatch.setattr(information.dlcore, "get_num_threads", wrong)
    assert main(["info"]) == 0
    assert "DLCORE_NUM_THREADS is 'abc'" in capsys.readouterr().out


def test_info_names_what_is_not_installed(capsys, monkeypatch):
    def missing(package):
        raise information.PackageNotFoundError(package)

    monkeypatch.setattr(information, "version", missing)
    assert main(["info"]) == 0
    assert "not installed: no figures; install it with pip install 'dlcore[plot]'" in capsys.readouterr().out


def test_without_matplotlib(capsys, no_figures):
    assert main(["train", "--model", "perceptron", "--epochs", "1", "--run", "run"]) == 0
    out = capsys.readouterr().out
    assert "figures need matplotlib: pip install 'dlcore[plot]'\n" in out
    assert ".png" not in out


def test_the_first_run_says_why_it_takes_a_while(here, capsys, monkeypatch, no_figures):
    monkeypatch.setattr("kernels.cpu.jit.cache_folder", lambda: here)
    for name in ("a", "b"):
        assert main(["train", "--model", "perceptron", "--epochs", "1", "--backend", "numpy", "--run", name]) == 0
        (here / "kernel.nbc").touch()
        assert ("first run: kernels are compiled" in capsys.readouterr().out) == (name == "a")


def test_two_runs_in_the_same_second():
    moment = datetime.datetime(2026, 1, 2, 3, 4, 5)
    for suffix in ("", "-2", "-3"):
        path = training.unused_path("mlp", "digits", moment)
        assert path == Path(f"runs/mlp-digits-20260102-030405{suffix}")
        path.mkdir(parents=True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("train --epochs 0", "'--epochs'"),
        ("train --epochs ten", "'--epochs'"),
        ("train --batch-size 0", "'--batch-size'"),
        ("train --threads 0", "'--threads'"),
        ("train --seed -1", "'--seed'"),
        (f"train --seed {2**64}", f"expected an integer from 0 to 2**64 - 1, got {2**64}"),
        ("train --lr -1", "lr must be a number at least 0.0, got -1.0"),
        ("train --lr nan", "lr must be a number at least 0.0, got nan"),
        ("train --weight-decay -1", "weight_decay"),
        ("train --model resnet", "model: expected one of perceptron, mlp, simple-convnet, deep-convnet, lenet-5, "),
        (
            "train --data imagenet",
            "data: expected one of digits, mnist, fashion-mnist, cifar10, a folder of images or an .npz file, got",
        ),
        ("train --optimizer magic", "optimizer: expected one of sgd,"),
        ("train --backend jax", '"cupy:N" or "auto", got \'jax\''),
        ("train --colour blue", "--colour"),
        ("train digits", "digits"),
        ("train --run used", "used is not empty; name another run folder"),
        ("train --run used/file", "used/file is a file; name another run folder"),
        ("train --run used/file/new", "Not a directory: used/file/new"),
        ("evaluate", "'RUN'"),
        ("evaluate nowhere", "there is no folder 'nowhere'"),
        ("evaluate used", "used is no run folder: it has no config.json"),
        ("predict used", "'IMAGE"),
        ("predict RUN nothing.png", "there is no file 'nothing.png'"),
        ("predict RUN used/file", "'used/file' is neither a PNG nor a JPEG image"),
        ("evaluate damaged", "damaged/model.safetensors' is damaged or not a safetensors file"),
        (
            "evaluate other",
            "other/model.safetensors: load_state_dict: SimpleConvNet does not match: missing conv1.weight",
        ),
        ("evaluate unknown", "model: expected one of perceptron"),
        ("bogus", "'bogus'"),
        ("--bogus", "--bogus"),
    ],
)
def test_one_line_says_what_is_wrong(run, here, capsys, arguments, message):
    (here / "used").mkdir()
    (here / "used/file").write_text("mine")
    for name in ("damaged", "other", "unknown"):
        (here / name).mkdir()
        for file in ("config.json", "model.safetensors"):
            (here / name / file).write_bytes((run / file).read_bytes())
    (here / "damaged/model.safetensors").write_bytes((run / "model.safetensors").read_bytes()[:1000])
    config = (run / "config.json").read_text()
    (here / "other/config.json").write_text(config.replace('"mlp"', '"simple-convnet"'))
    (here / "unknown/config.json").write_text(config.replace('"mlp"', '"resnet"'))
    before = sorted(here.rglob("*"))
    capsys.readouterr()
    assert main(arguments.replace("RUN", str(run)).split()) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("dlcore: ")
    assert err.count("\n") == 1
    assert message in err
    assert sorted(here.rglob("*")) == before
    assert (here / "used/file").read_text() == "mine"


@pytest.mark.skipif(backends.available()["cupy"] is True, reason="this machine has CuPy and a CUDA device")
def test_a_backend_that_is_missing(capsys):
    assert main(["train", "--backend", "cupy"]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "dlcore[cuda12]" in err


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written(here, capsys):
    here.chmod(0o500)
    assert main(["train", "--epochs", "1"]) == 2
    assert capsys.readouterr().err == "dlcore: Permission denied: runs\n"


def test_training_that_diverges(here, capsys):
    assert main(["train", "--model", "mlp", "--optimizer", "sgd", "--lr", "1e30", "--run", "run"]) == 2
    err = capsys.readouterr().err
    assert re.fullmatch(
        r"dlcore: training: the loss is NaN or infinite at step \d .*try a smaller learning rate\n", err
    )
    assert not (here / "run/model.safetensors").exists()


@pytest.mark.parametrize(
    ("epochs_before", "message"),
    [
        (0, "interrupted in epoch 1 of 30, before there was a checkpoint; go on with: dlcore train --resume run"),
        (
            2,
            "interrupted in epoch 3 of 30; all is saved up to step-000000076-epoch-0002; go on with: "
            "dlcore train --resume run",
        ),
    ],
)
def test_ctrl_c(here, capsys, monkeypatch, epochs_before, message):
    class Impatient(training.MetricsFile):
        def on_batch_end(self, trainer):
            if trainer.epoch > epochs_before:
                raise KeyboardInterrupt

    monkeypatch.setattr(training, "MetricsFile", Impatient)
    assert main(["train", "--model", "mlp", "--run", "run"]) == 130
    assert capsys.readouterr().err == f"dlcore: {message}\n"
    assert (here / "run/model.safetensors").exists() == (epochs_before > 0)


def test_a_full_disk_says_how_to_go_on(here, capsys, monkeypatch, no_figures):
    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(snapshot, "_write", full)
        assert main(["train", "--model", "mlp", "--epochs", "2", "--run", "run"]) == 2
    error = "the checkpoint of step 38 can't be written into run/checkpoints: No space left on device"
    go_on = "once that is mended, go on with: dlcore train --resume run"
    assert capsys.readouterr().err == f"dlcore: {error}; {go_on}\n"
    assert main(["train", "--resume", "run"]) == 0
    assert len((here / "run/metrics.jsonl").read_text().splitlines()) == 2


def test_schedules_and_accumulation(here, capsys, no_figures):
    rates = {}
    for name in ("constant", "cosine", "one-cycle", "plateau"):
        options = f"--model mlp --epochs 3 --lr 0.01 --batch-size 16 --accumulate 3 --schedule {name} --run {name}"
        assert main(["train", *options.split()]) == 0
        records = [json.loads(line) for line in (here / name / "metrics.jsonl").read_text().splitlines()]
        assert [record["step"] for record in records] == [25, 50, 75]
        rates[name] = [record["learning_rate"] for record in records]
    assert rates["constant"] == rates["plateau"] == [0.01] * 3
    np.testing.assert_allclose(rates["cosine"], [0.01, 0.0075, 0.0025])
    assert rates["one-cycle"][0] < rates["one-cycle"][2] < rates["one-cycle"][1] <= 0.01
    for arguments, message in (
        ("--lr 1", "--lr: a run that is resumed goes on as it began; leave --lr out"),
        ("--epochs 9", "epochs: the learning rates of this run follow 'cosine' over 3 epochs, so there can't be 9"),
    ):
        assert main(["train", "--resume", "cosine", *arguments.split()]) == 2
        assert message in capsys.readouterr().err


def test_ctrl_c_elsewhere(run, capsys, monkeypatch):
    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "measure", interrupt)
    assert main(["evaluate", str(run)]) == 130
    assert capsys.readouterr().err == "dlcore: interrupted\n"


def test_help_and_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"dlcore {dlcore.__version__}\n"
    for arguments in ([], ["--help"]):
        assert main(arguments) == 0
        out = capsys.readouterr().out
        assert all(f"\n  {name} " in out for name in ("train", "evaluate", "predict", "info", "models"))
    assert main(["train", "--help"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "5,000 of them held out for validation" in out
    assert "Default: 30 for digits, 5 for mnist, 10 for fashion-mnist, 10 for cifar10; for a path" in out
    assert str(sum(map(len, digits()))) == "1797"
    assert "1,197 training, 300 validation and 300 test images" in out


def test_a_terminal_without_our_letters():
    """It shows "?" for "×", and nothing fails."""
    out, err = command("models", PYTHONIOENCODING="ascii").communicate(timeout=60)
    assert err == ""
    assert "30@5?5" in out


def test_help_is_quick():
    """It does not wait for what only computing needs."""
    script = "import sys; from dlcore.cli import main; main(['--help']); print(*sys.modules)"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    loaded = subprocess.run(
        [sys.executable, "-c", script], env=environment, check=True, capture_output=True, text=True
    ).stdout.split()
    assert "dlcore.cli" in loaded
    assert not {"cupy", "llvmlite", "matplotlib", "numba"} & set(loaded)


def test_in_a_process_of_its_own(here):
    process = command("train", "--model", "mlp", "--epochs", "2", "--run", "run")
    out, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (0, "")
    assert not CONTROL_CHARACTERS.search(out)
    assert re.search(r"^ +2/2 +\d\.\d{4} ", out, flags=re.MULTILINE)
    process = command("evaluate", "nowhere")
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (2, "")
    assert err == "dlcore: there is no folder 'nowhere'\n"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT to send to another process")
def test_ctrl_c_for_real(here):
    process = command("train", "--model", "mlp", "--epochs", "100000", "--run", "run")
    deadline = time.monotonic() + 120
    while not (here / "run/model.safetensors").exists():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    saved = r"all is saved up to step-\d+\S*; go on with: dlcore train --resume run"
    notice, err = err.split("\n", 2)[1:]
    assert notice == "interrupted: a checkpoint follows as soon as may be; Ctrl-C again stops at once"
    assert re.fullmatch(rf"dlcore: interrupted in epoch \d+ of 100000; {saved}\n", err)
    assert main(["evaluate", "run"]) == 0
    epochs = len((here / "run/metrics.jsonl").read_text().splitlines())
    assert main(["train", "--resume", "run", "--epochs", str(epochs + 1)]) == 0
    assert len((here / "run/metrics.jsonl").read_text().splitlines()) == epochs + 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "least"),
    [
        ("--model mlp --epochs 5", 0.97),
        ("--model simple-convnet --epochs 3", 0.98),
        ("--model deep-convnet --epochs 4", 0.985),
    ],
)
def test_mnist(here, options, least):
    folder = os.environ.get("DLCORE_DATA")
    if folder is None:
        pytest.skip("needs MNIST: set DLCORE_DATA to the folder that holds it")
    arguments = ["train", "--data", "mnist", *options.split(), "--batch-size", "100", "--seed", "0", "--run", "run"]
    assert main(arguments) == 0
    assert json.loads((here / "run/results.json").read_text())["test_accuracy"] >= least
