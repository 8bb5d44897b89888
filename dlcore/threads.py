"""How many threads the CPU kernels use; results do not depend on it."""


def get_num_threads() -> int:
    """The number of threads: `set_num_threads`, else DLCORE_NUM_THREADS, else the cores this process may use."""
    from kernels.cpu import threads  # loads Numba

    return threads.get_num_threads()


def set_num_threads(count: int) -> None:
    """Use `count` threads from now on.

    Raises:
        ArgumentError: `count` is not a positive integer.
    """
    from kernels.cpu import threads  # loads Numba

    threads.set_num_threads(count)
