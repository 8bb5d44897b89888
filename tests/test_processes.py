"""Threads, forked processes and memory: training in company gives what training alone gives, and leaves nothing."""

import gc
import os
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import numpy as np
import pytest

import dlcore as dl
from dlcore import backend as backends
from dlcore import functional as F
from dlcore import nn, optim
from dlcore.data import ArrayDataset, DataLoader

ROOT = Path(__file__).parents[1]


def train_briefly(seed, backend):
    """The weights of a small ConvNet with dropout and batch norm after two epochs, as bytes."""
    with backends.using(backend):
        backends.seed(seed)
        rng = np.random.default_rng(seed)
        images = ArrayDataset(rng.random((40, 1, 8, 8), dtype=np.float32), rng.integers(0, 10, 40))
        network = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Dropout(0.3),
            nn.Linear(128, 10),
        )
        trainer = dl.Trainer(network, optim.Adam(network.parameters()), progress=False)
        trainer.fit(DataLoader(images, 8, shuffle=True), epochs=2)
        return [backends.to_numpy(array).tobytes() for array in network.state_dict().values()]


def test_networks_trained_side_by_side_are_those_trained_alone(backend):
    seeds = range(4)
    alone, together = {}, {}

    def work(seed, results):
        results[seed] = train_briefly(seed, backend)

    for seed in seeds:
        thread = threading.Thread(target=work, args=(seed, alone))
        thread.start()
        thread.join()
    threads = [threading.Thread(target=work, args=(seed, together)) for seed in seeds]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert together == alone
    assert len({tuple(weights) for weights in alone.values()}) == len(seeds)


def run(script, **environment):
    """The output of a Python script in a process of its own, which must end well and soon."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_children_forked_in_the_midst_of_training_train_like_their_parent():
    out = run(
        """
        import hashlib, multiprocessing, warnings
        import dlcore as dl
        from dlcore.data import DataLoader, digits
        from tests.test_processes import train_briefly

        def outcome(seed):
            return hashlib.sha256(b"".join(train_briefly(seed, "numpy"))).hexdigest()

        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 and later: forking with threads
        dl.set_num_threads(2)
        here = [outcome(seed) for seed in range(3)]
        batches = iter(DataLoader(digits()[0], 32))
        next(batches)  # its thread is running now
        with multiprocessing.get_context("fork").Pool(2) as pool:
            assert pool.map(outcome, range(3)) == here
        next(batches)
        assert outcome(0) == here[0]
        print("same")
        """
    )
    assert out == "same\n"


def test_no_thread_is_left_behind():
    out = run(
        """
        import threading
        import dlcore as dl
        from dlcore.data import DataLoader, digits
        from tests.test_processes import train_briefly

        train_briefly(0, "numpy")
        for batch in DataLoader(digits()[0], 32):
            break
        del batch
        print([thread.name for thread in threading.enumerate()])
        left = iter(DataLoader(digits()[0], 32))
        next(left)  # this one is still under way when the interpreter ends
        """
    )
    assert out == "['MainThread']\n"


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc to read how large a process is")
def test_a_thousand_steps_leave_the_process_no_larger(closing_line):
    out = run(
        """
        import gc, os
        import numpy as np
        from dlcore import models, optim, functional as F
        import dlcore as dl

        def megabytes():
            with open("/proc/self/statm") as file:
                return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20

        network = models.create("deep-convnet", (1, 28, 28), 10)
        optimizer = optim.Adam(network.parameters())
        rng = np.random.default_rng(0)
        x, labels = dl.tensor(rng.random((10, 1, 28, 28), dtype=np.float32)), rng.integers(0, 10, 10)

        def step():
            optimizer.zero_grad()
            loss = F.cross_entropy(network(x), labels)
            loss.backward()
            optimizer.step()
            return loss.item()

        for _ in range(50):
            step()
        gc.collect()
        gc.disable()
        sizes, objects = [megabytes()], len(gc.get_objects())
        for _ in range(2):
            for _ in range(1000):
                step()
            sizes.append(megabytes())
        print(sizes[1] - sizes[0], sizes[2] - sizes[1], len(gc.get_objects()) - objects)
        """
    )
    first, second, objects = map(float, out.split())
    closing_line(
        f"1,000 steps of DeepConvNet, cycle collector off: {first:+.2f} MB, 1,000 more: {second:+.2f} MB, "
        f"{objects:.0f} more objects"
    )
    assert first < 4  # the allocator's own store, filled once
    assert second < 0.5
    assert objects < 100


def test_a_step_leaves_no_cycles(backend):
    """With the collector off, all of a step goes when its last name does."""
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.GELU(), nn.Flatten(), nn.Linear(72, 3))
    optimizer = optim.SGD(network.parameters())
    x = dl.randn(4, 1, 8, 8)

    def step():
        optimizer.zero_grad()
        F.cross_entropy(network(x), backends.asarray(np.arange(4) % 3)).backward()
        optimizer.step()

    step()
    gc.collect()
    gc.disable()
    try:
        step()
        unreachable = gc.collect()
    finally:
        gc.enable()
    assert unreachable == 0
