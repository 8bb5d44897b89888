"""Memory that is used again: never while an array lives in it."""

import multiprocessing
import sys
import threading

import numpy as np
import pytest

from kernels.cpu import memory

LARGE = (64, 1024)


def address(array: np.ndarray) -> int:
    return array.ctypes.data


@pytest.fixture(autouse=True)
def _empty_store():
    memory.release()
    yield
    memory.release()


def test_memory_is_used_again_once_no_array_lives_in_it() -> None:
    first = memory.empty(LARGE, np.float32)
    place, view = address(first), first[1:, ::2].T
    del first
    second = memory.empty(LARGE, np.float32)
    assert address(second) != place  # a view lives on
    del view
    assert address(memory.empty(LARGE, np.float32)) == place


def test_arrays_begin_at_a_cache_line_and_are_like_numpys() -> None:
    for shape, dtype in ((LARGE, np.float32), ((3, 100, 200), np.float64), ((70_000,), np.uint8), ((2, 2), np.int64)):
        array = memory.zeros(shape, dtype)
        assert (array.shape, array.dtype) == (shape, dtype)
        assert array.flags.c_contiguous
        assert array.flags.writeable
        assert not array.any()
        if array.nbytes >= 1 << 16:
            assert address(array) % 64 == 0
    assert memory.empty_like(np.ones((2, 3), np.float32)).shape == (2, 3)


def test_small_arrays_are_not_kept() -> None:
    memory.empty((10,), np.float32)
    assert memory.release() == 0


def test_release_gives_back_what_is_free_and_nothing_else() -> None:
    kept = memory.empty(LARGE, np.float32)
    kept.fill(7)
    memory.empty(LARGE, np.float32)
    assert memory.release() >= kept.nbytes
    assert memory.release() == 0
    assert (kept == 7).all()


def test_no_more_is_kept_than_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_MOST_FREE_BYTES", 1 << 20)
    for size in range(1 << 18, 1 << 21, 1 << 17):
        memory.empty((size,), np.uint8)
    assert memory.release() <= (1 << 20) + (1 << 21)


def test_threads_never_share_a_block() -> None:
    wrong = []

    def work(number: int) -> None:
        for _ in range(300):
            array = memory.empty(LARGE, np.int32)
            array.fill(number)
            if not (array == number).all():
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert not wrong


def _in_a_child(queue: "multiprocessing.Queue[int]") -> None:
    queue.put(memory.empty(LARGE, np.float32).size)


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="this system cannot fork processes")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_that_was_forked_while_the_lock_was_held_can_allocate() -> None:
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    with memory._lock:
        child = context.Process(target=_in_a_child, args=(queue,))
        child.start()
    assert queue.get(timeout=30) == 64 * 1024
    child.join()
