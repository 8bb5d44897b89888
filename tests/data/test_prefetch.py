import gc
import subprocess
import sys
import threading
import time
import traceback

import pytest

from dlcore.data.prefetch import Prefetcher


def prefetch_threads():
    return [thread for thread in threading.enumerate() if thread.name == "dlcore-prefetch"]


@pytest.fixture(autouse=True)
def _no_thread_is_left():
    yield
    assert not prefetch_threads()


@pytest.mark.parametrize("depth", [1, 2, 100])
def test_yields_the_items_in_order(depth):
    assert list(Prefetcher(iter(range(20)), depth)) == list(range(20))


def test_runs_ahead_but_no_further_than_its_depth():
    made = []

    def items():
        for number in range(10):
            made.append(number)
            yield number

    with_time_to_spare = Prefetcher(items(), 3)
    wait_until(lambda: len(made) == 3)
    time.sleep(0.05)
    assert made == [0, 1, 2]
    next(with_time_to_spare)
    wait_until(lambda: len(made) == 4)
    time.sleep(0.05)
    assert made == [0, 1, 2, 3]
    with_time_to_spare.close()


def test_an_exception_arrives_in_its_turn_with_its_traceback():
    def items():
        yield 1
        raise KeyError("cause")

    source = Prefetcher(items(), 2)
    assert next(source) == 1
    with pytest.raises(KeyError, match="cause") as caught:
        next(source)
    assert "items" in [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    with pytest.raises(StopIteration):
        next(source)


def test_stops_when_closed_in_the_middle():
    made = []
    source = Prefetcher((made.append(number) or number for number in range(1000)), 2)
    assert next(source) == 0
    source.close()
    assert not prefetch_threads()
    assert len(made) <= 4
    assert list(source) == []
    source.close()


def test_stops_when_dropped_in_the_middle():
    source = Prefetcher(iter(range(1000)), 2)
    next(source)
    del source
    assert not prefetch_threads()


def test_stops_when_the_collector_finds_it_in_a_cycle():
    source = Prefetcher(iter(range(1000)), 2)
    source.itself = source
    del source
    gc.collect()
    assert not prefetch_threads()


def test_may_be_collected_by_its_own_thread():
    keep, collected = [], threading.Event()

    def items():
        yield 1
        keep.clear()  # the last reference
        gc.collect()
        collected.set()
        yield 2

    keep.append(Prefetcher(items(), 1))
    next(keep[0])
    assert collected.wait(10)
    wait_until(lambda: not prefetch_threads())


def test_the_interpreter_exits_in_the_middle():
    script = """
        import itertools
        from dlcore.data.prefetch import Prefetcher
        source = Prefetcher(itertools.count(), 2)
        print(next(source))
    """
    assert run(script) == "0\n"


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="this platform has no os.fork")
def test_a_forked_child_is_told_instead_of_waiting_for_ever():
    script = """
        import os, itertools, warnings
        from dlcore.data.prefetch import Prefetcher
        warnings.simplefilter("ignore")  # forking with threads: Python 3.12 and later
        source = Prefetcher(itertools.count(), 2)
        first = next(source)
        child = os.fork()
        if child == 0:
            try:
                for _ in source: pass
            except ValueError as error:
                print(error, flush=True)
            source.close()
            os._exit(0)
        os.waitpid(child, 0)
        print(first, next(source))
    """
    output = run(script)
    assert "forked" in output
    assert output.endswith("\n0 1\n")


def run(script):
    lines = "\n".join(line.removeprefix(" " * 8) for line in script.splitlines())
    return subprocess.run([sys.executable, "-c", lines], capture_output=True, text=True, check=True, timeout=60).stdout


def wait_until(condition):
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end, "waited for 10 s"
        time.sleep(0.001)
