"""What the emulation raises."""


class EmulationError(Exception):
    """A kernel, or its launch, is wrong in a way that a device would not have to tell anybody."""


class CompileException(Exception):  # noqa: N818 (CuPy's name)
    """CuPy's error where a source does not compile."""


class OutOfMemoryError(MemoryError):
    """CuPy's error where a device's memory, or the limit of a pool, does not suffice."""

    def __init__(self, size: int, total: int, limit: int = 0) -> None:
        message = f"Out of memory allocating {size:,} bytes (allocated so far: {total:,} bytes"
        super().__init__(f"{message}, limit set to: {limit:,} bytes)." if limit else f"{message}).")
