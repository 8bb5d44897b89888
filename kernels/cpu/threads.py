"""How many threads kernels use, and how they are launched without harm.

Numba owns the pool. Its limits are met here, so that no kernel need think of them:

* A pool is as wide as `NUMBA_NUM_THREADS` was when it started, and Numba's own `set_num_threads` refuses more.
  With OpenMP and TBB that limit is only a check in Python, for the team is made per launch, so we set the width
  underneath it and `set_num_threads(3)` works on two cores. The `workqueue` layer really starts that many and
  no more; there a launch uses at most the pool.
* `workqueue` aborts the process when two Python threads launch at once: launches take a lock there.
* GNU OpenMP aborts in a child forked after the pool started: such a child runs every kernel serially.
* GNU OpenMP's threads spin for milliseconds at the end of a launch. Where other programs want the cores, every small
  launch then waits for a thread that is not running: digits trained twelve times slower on two busy cores. So they
  spin for a few tens of microseconds only, the time between two kernels, unless the environment says otherwise.
* Numba's width is per Python thread and its users' own; each launch sets ours and puts theirs back.
"""

import numbers
import operator
import os
import threading
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

from kernels.errors import ArgumentError

#: How often an idle thread looks for work before it sleeps; each look takes a few nanoseconds.
_SPIN_COUNT = "10000"

_start_lock = threading.Lock()
_count: int | None = None
_pool: "_Pool | None" = None
_forked_after_start = False


def get_num_threads() -> int:
    """The number of threads that kernels run on.

    Unless `set_num_threads` changed it: `DLCORE_NUM_THREADS`, or else the number of cores that this process
    may use.

    Raises:
        ArgumentError: `DLCORE_NUM_THREADS` is no such number.
    """
    global _count
    if _count is None:
        _count = _default_count()
    return _count


def set_num_threads(count: int) -> None:
    """Run kernels on `count` threads from now on, in every Python thread. Results do not depend on it.

    Raises:
        ArgumentError: `count` is no integer from 1 to the most that this machine could use.
    """
    global _count
    given: object = count
    is_integer = isinstance(given, numbers.Integral) and not isinstance(given, bool)
    if not is_integer or not 1 <= operator.index(count) <= _most_threads():
        raise ArgumentError(
            f"set_num_threads: count is {count!r} but an integer from 1 to {_most_threads()} is expected."
        )
    _count = operator.index(count)


def _most_threads() -> int:
    """More would only stand in each other's way, and far more would bring the machine down."""
    return max(64, 4 * (os.cpu_count() or 1))


def _default_count() -> int:
    wanted = os.environ.get("DLCORE_NUM_THREADS", "").strip()
    if wanted:
        if not wanted.isdecimal() or not 1 <= int(wanted) <= _most_threads():
            raise ArgumentError(
                f"get_num_threads: DLCORE_NUM_THREADS is {wanted!r} but an integer from 1 to {_most_threads()} is "
                "expected."
            )
        return int(wanted)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class _Pool:
    """Numba's thread pool, started: its layer's name, its widest team, and the lock that launches need."""

    def __init__(self) -> None:
        # Numba is slow to import, hence here. Its parallel module is private in part, but stable since 0.49.
        from numba import config
        from numba.np.ufunc import parallel

        # OpenMP is the layer with the cheapest launch that two Python threads may use at once.
        priority = config.THREADING_LAYER_PRIORITY
        config.THREADING_LAYER_PRIORITY = ["omp", "tbb", "workqueue"]
        users_spin = {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & os.environ.keys()
        if not users_spin:
            os.environ["GOMP_SPINCOUNT"] = _SPIN_COUNT  # read once, when the library is loaded
        try:
            parallel._launch_threads()
        finally:
            config.THREADING_LAYER_PRIORITY = priority
            if not users_spin:
                del os.environ["GOMP_SPINCOUNT"]
        self.layer: str = parallel.threading_layer()
        fixed = self.layer == "workqueue"
        self.widest: int | None = config.NUMBA_NUM_THREADS if fixed else None
        self.lock: Any = threading.Lock() if fixed else nullcontext()
        self.get_width: Callable[[], int] = parallel._get_num_threads
        self.set_width: Callable[[int], None] = parallel._set_num_threads


def _start_pool() -> _Pool:
    global _pool
    with _start_lock:
        if _pool is None:
            _pool = _Pool()
    return _pool


def threading_layer() -> str:
    """The layer under parallel kernels: "omp", "tbb" or "workqueue". Starts the pool."""
    return (_pool or _start_pool()).layer


def must_run_serially() -> bool:
    """Whether this process was forked from one whose pool had started, so that no team can be made in it."""
    return _forked_after_start


def launch(kernel: Callable[..., Any], arguments: tuple[Any, ...], count: int) -> Any:
    """Call the compiled parallel `kernel` on at most `count` threads; costs about a microsecond more."""
    pool = _pool or _start_pool()
    if pool.widest is not None and count > pool.widest:
        count = pool.widest
    with pool.lock:
        users = pool.get_width()
        if users == count:
            return kernel(*arguments)
        pool.set_width(count)
        try:
            return kernel(*arguments)
        finally:
            pool.set_width(users)


def _after_fork_in_child() -> None:
    global _forked_after_start, _start_lock
    _forked_after_start = _forked_after_start or _pool is not None
    _start_lock = threading.Lock()  # the parent's may have been held by a thread that does not exist here


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
