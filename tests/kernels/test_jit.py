"""The disk cache, the thread settings and safe launches, each in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from kernels.cpu import threads
from kernels.errors import ArgumentError

KERNEL = """
import os, threading
import numba, numpy as np
from kernels.cpu import jit as compiler, threads
from kernels.cpu.matmul import matmul

x = np.ones((90, 90), np.float32)
def product():
    assert (matmul(x, x) == 90).all()
"""

HITS = """
product()
from kernels.cpu.tasks import _in_parallel
stats = _in_parallel.dispatcher.stats
print(sum(stats.cache_hits.values()), sum(stats.cache_misses.values()))
"""


def run(code: str, **environment: str | None) -> str:
    """What the code prints in a fresh interpreter; None removes a variable."""
    settings = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    for name in ("DLCORE_CACHE", "NUMBA_CACHE_DIR", "XDG_CACHE_HOME"):
        settings.pop(name, None)
    for name, value in environment.items():
        settings.pop(name, None)
        if value is not None:
            settings[name] = value
    command = [sys.executable, "-W", "error", "-c", KERNEL + code]
    done = subprocess.run(command, env=settings, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_second_process_finds_the_first_ones_code_and_damage_only_costs_time(tmp_path):
    folder = str(tmp_path)
    assert run(HITS, DLCORE_CACHE=folder) == "0 1"
    assert run(HITS, DLCORE_CACHE=folder) == "1 0"
    for file in tmp_path.rglob("*.nb[ci]"):
        file.write_bytes(file.read_bytes()[:100])
    assert run(HITS, DLCORE_CACHE=folder) == "0 1"


def test_numbas_own_setting_is_respected_and_left_alone(tmp_path):
    code = "product(); print(numba.config.CACHE_DIR, compiler.cache_folder())"
    seen, used = run(code, NUMBA_CACHE_DIR=str(tmp_path)).split()
    assert seen == str(tmp_path)
    assert Path(used).parent == tmp_path / "dlcore"
    assert list(Path(used).rglob("*.nbi"))


@pytest.mark.parametrize("place", ["/dev/null/nowhere", "/proc/nowhere"])
def test_without_a_writable_cache_kernels_still_run(place):
    assert run("product(); print(compiler.cache_folder())", DLCORE_CACHE=place) == "None"


def test_without_a_home_kernels_still_run(tmp_path):
    code = "product(); print('fine')"
    assert run(code, HOME="/dev/null") == "fine"
    assert run(code, HOME=None) == "fine"


def test_vanished_folder_is_no_error(tmp_path):
    code = "import shutil; shutil.rmtree(compiler.cache_folder()); product(); print('fine')"
    assert run(code, DLCORE_CACHE=str(tmp_path)) == "fine"


def test_another_width_has_another_folder(tmp_path):
    code = "print(compiler.cache_folder())"
    folders = {run(code, DLCORE_CACHE=str(tmp_path), DLCORE_VECTOR_BITS=bits) for bits in ("", "128")}
    assert len(folders) == 2


def test_old_folders_of_other_keys_go_when_a_new_one_is_made(tmp_path):
    old, recent = tmp_path / "kernels" / "old", tmp_path / "kernels" / "recent"
    old.mkdir(parents=True)
    recent.mkdir()
    os.utime(old, (0, 0))
    run("", DLCORE_CACHE=str(tmp_path))
    assert not old.exists()
    assert recent.exists()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_runs_serially():
    code = """
product()
child = os.fork()
if child == 0:
    threads.set_num_threads(2)
    product()
    os._exit(0)
print(os.waitpid(child, 0)[1])
"""
    assert run(code) == "0"


@pytest.mark.parametrize("layer", ["omp", "workqueue"])
def test_python_threads_may_launch_at_once(layer):
    code = """
threads.set_num_threads(2)
def work():
    for _ in range(200):
        product()
product()
workers = [threading.Thread(target=work) for _ in range(4)]
for worker in workers: worker.start()
for worker in workers: worker.join()
print(threads.threading_layer())
"""
    if layer == "omp":
        pytest.importorskip("numba.np.ufunc.omppool", reason="this Numba has no OpenMP layer")
    assert run(code, NUMBA_THREADING_LAYER=layer) == layer


def test_more_threads_than_cores_and_the_users_own_count_comes_back():
    code = """
from numba import prange
@compiler.jit(parallel=True)
def who(out):
    for k in prange(out.size):
        out[k] = numba.get_thread_id()
out = np.empty(60, np.int64)
users = numba.get_num_threads()
for count in (1, 2, 3, 5):
    threads.set_num_threads(count)
    who(out)
    print(len(set(out)) if threads.threading_layer() != "workqueue" else count, end=" ")
print(numba.get_num_threads() == users)
"""
    assert run(code) == "1 2 3 5 True"


@pytest.mark.parametrize("count", [0, -1, 1.5, "2", True, None, 10**9])
def test_a_thread_count_must_be_a_sensible_integer(count):
    with pytest.raises(ArgumentError, match=r"set_num_threads: count is .* an integer from 1 to"):
        threads.set_num_threads(count)


def test_numpys_integers_count_threads():
    before = threads.get_num_threads()
    threads.set_num_threads(np.int64(2))
    assert threads.get_num_threads() == 2
    threads.set_num_threads(before)


def test_the_count_comes_from_the_environment(monkeypatch):
    monkeypatch.setattr(threads, "_count", None)
    monkeypatch.setenv("DLCORE_NUM_THREADS", "3")
    assert threads.get_num_threads() == 3
    monkeypatch.setattr(threads, "_count", None)
    monkeypatch.setenv("DLCORE_NUM_THREADS", "many")
    with pytest.raises(ArgumentError, match="DLCORE_NUM_THREADS is 'many'"):
        threads.get_num_threads()


def test_a_diverged_value_stays_nan():
    from kernels.cpu.jit import jit

    @jit
    def total(x):
        result = x.dtype.type(0)
        for value in x:
            result += value
        return result

    assert np.isnan(total(np.array([1.0, np.nan, 2.0])))
