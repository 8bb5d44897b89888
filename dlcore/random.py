"""Random numbers that do not depend on the backend, the thread or the moment.

Every draw is Philox4x32-10 of (seed, purpose, counter), so initial weights, shuffles and dropout masks are the same on
NumPy and on CuPy, at any thread count, and after a resume: the whole state is a seed and one counter per purpose.
"""

import functools
import hashlib
import importlib
import math
import threading
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from kernels import options
from kernels.errors import ArgumentError, DTypeError, StateDictError
from kernels.philox import philox4x32
from kernels.shortage import within_memory
from kernels.types import Array

Shape = int | tuple[int, ...]


@dataclass
class _State:
    seed: int
    counters: dict[str, int] = field(default_factory=dict)  # purpose → blocks drawn
    lock: threading.Lock = field(default_factory=threading.Lock)


class Generator:
    """A source of random arrays, keyed by a seed.

    Args:
        seed: any integer from 0 to 2**64 - 1.
        xp: the array library whose arrays the draws are (NumPy or CuPy); see `on`.

    Each method takes `purpose`, which names an independent stream: draws for one purpose do not move another's counter.
    """

    def __init__(self, seed: int = 0, xp: ModuleType = np) -> None:
        if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or not 0 <= seed < 2**64:
            raise ArgumentError(f"seed: expected an integer from 0 to 2**64 - 1, got {seed!r}")
        self.xp = xp
        self._state = _State(int(seed))

    @property
    def seed(self) -> int:
        """The key of all draws."""
        return self._state.seed

    def on(self, xp: ModuleType) -> "Generator":
        """This same generator (one seed, shared counters), drawing arrays of another library."""
        if xp is self.xp:
            return self
        twin = Generator(xp=xp)
        twin._state = self._state
        return twin

    def spawn(self, purpose: str) -> "Generator":
        """An independent generator: a pure function of this one's seed and `purpose`, whatever was drawn before."""
        _check_purpose(purpose)
        high, low = philox4x32(np, 2, key=self.seed, stream=_stream("spawn " + purpose)).tolist()
        return Generator((high << 32) | low, self.xp)

    @within_memory
    def words(self, count: int, purpose: str = "words") -> Array:
        """`count` uniform 32-bit words, uint32 of shape (count,)."""
        return philox4x32(self.xp, count, **self.reserve(count, purpose))

    def reserve(self, count: int, purpose: str) -> dict[str, int]:
        """The key, stream and start with which a kernel draws `count` words; nobody else will draw these."""
        count = options.whole("reserve", "count", count, least=0, most=2**60)
        _check_purpose(purpose)
        with self._state.lock:
            seed, start = self._state.seed, self._state.counters.get(purpose, 0)
            self._state.counters[purpose] = start + -(-count // 4)
        return {"key": seed, "stream": _stream(purpose), "start": start}

    @within_memory
    def uniform(
        self,
        shape: Shape,
        low: float = 0.0,
        high: float = 1.0,
        dtype: npt.DTypeLike = np.float32,
        purpose: str = "uniform",
    ) -> Array:
        """Uniform on [low, high), with 24 random bits (float32) or 53 (float64)."""
        shape, dtype = options.lengths("uniform", shape), _floating("uniform", dtype)
        low, high = options.number("uniform", "low", low), options.number("uniform", "high", high)
        xp, size = self.xp, math.prod(shape)
        if dtype == np.float64:
            words = self.words(2 * size, purpose).astype(xp.uint64).reshape(-1, 2)
            bits = (words[:, 0] >> xp.uint64(5) << xp.uint64(26)) | (words[:, 1] >> xp.uint64(6))
            unit = bits.astype(xp.float64) * 2.0**-53
        else:
            unit = (self.words(size, purpose) >> xp.uint32(8)).astype(xp.float32) * xp.float32(2.0**-24)
        result: Array = (unit * (high - low) + low).astype(dtype).reshape(shape)
        return result

    @within_memory
    def normal(
        self,
        shape: Shape,
        mean: float = 0.0,
        std: float = 1.0,
        dtype: npt.DTypeLike = np.float32,
        purpose: str = "normal",
    ) -> Array:
        """Normal with the given mean and standard deviation (Box and Muller, 1958; computed in float64)."""
        shape, dtype = options.lengths("normal", shape), _floating("normal", dtype)
        mean, std = options.number("normal", "mean", mean), options.number("normal", "std", std)
        xp, size = self.xp, math.prod(shape)
        pairs = -(-size // 2)
        unit = (self.words(2 * pairs, purpose).astype(xp.float64) + 0.5) * 2.0**-32  # in (0, 1): log is finite
        radius = xp.sqrt(-2.0 * xp.log(unit[:pairs]))
        angle = 2.0 * math.pi * unit[pairs:]
        values = xp.stack([radius * xp.cos(angle), radius * xp.sin(angle)], axis=1).reshape(-1)[:size]
        result: Array = (values * std + mean).astype(dtype).reshape(shape)
        return result

    @within_memory
    def bernoulli(self, shape: Shape, p: float, purpose: str = "bernoulli") -> Array:
        """Booleans that are True with probability `p`, resolved to 2**-32."""
        shape = options.lengths("bernoulli", shape)
        threshold = round(options.probability("bernoulli", p) * 2**32)
        if threshold >= 2**32:
            return self.xp.ones(shape, dtype=bool)
        words = self.words(math.prod(shape), purpose)
        result: Array = (words < self.xp.uint32(threshold)).reshape(shape)
        return result

    @within_memory
    def permutation(self, n: int, purpose: str = "permutation") -> npt.NDArray[np.int64]:
        """The numbers 0 … n - 1 in random order, as a host array whatever the backend."""
        n = options.whole("permutation", "n", n, least=0)
        words = self.on(np).words(2 * n, purpose).astype(np.uint64).reshape(n, 2)
        order: npt.NDArray[np.int64] = np.argsort(words[:, 0] << np.uint64(32) | words[:, 1], kind="stable")
        return order

    def __getstate__(self) -> dict[str, Any]:
        return {"library": self.xp.__name__, **self.state_dict()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.xp = importlib.import_module(state["library"])
        self._state = _State(state["seed"])
        self._state.counters = dict(state["counters"])

    def state_dict(self) -> dict[str, Any]:
        """Seed and counters: all there is to continue every stream where it stands."""
        with self._state.lock:
            return {"seed": self._state.seed, "counters": dict(self._state.counters)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict()`.

        Raises:
            StateDictError: it is no such state; nothing is changed.
        """
        try:
            counters = {
                str(name): options.whole("Generator", f"the counter {name!r}", count, least=0, most=2**64 - 1)
                for name, count in state["counters"].items()
            }
            seed = options.whole("Generator", "seed", state["seed"], least=0, most=2**64 - 1)
        except (AttributeError, IndexError, KeyError, TypeError, ArgumentError) as error:
            raise StateDictError(
                f"Generator: expected a state of a seed and counters, got {options.short(state)} ({error})"
            ) from None
        with self._state.lock:
            self._state.seed, self._state.counters = seed, counters

    def __repr__(self) -> str:
        return f"Generator(seed={self.seed})"


_process_generator = Generator(0)
_context_generator: ContextVar[Generator | None] = ContextVar("dlcore_generator", default=None)


def default_generator() -> Generator:
    """The generator that initial weights, dropout and unseeded loaders draw from."""
    return _context_generator.get() or _process_generator


def seed(value: int) -> None:
    """Restart the default generator from `value`.

    In the main thread this is the process's generator; in another thread it is that thread's own, so that two networks
    trained side by side, each thread seeding for itself, get the numbers they would get alone.
    """
    global _process_generator
    generator = Generator(value)
    if threading.current_thread() is threading.main_thread():
        _process_generator = generator
        _context_generator.set(None)
    else:
        _context_generator.set(generator)


@functools.lru_cache
def _stream(purpose: str) -> int:
    return int.from_bytes(hashlib.blake2b(purpose.encode(), digest_size=8).digest(), "little")


def _check_purpose(purpose: object) -> None:
    if not isinstance(purpose, str):
        raise ArgumentError(f"random: purpose must be a str, got {options.short(purpose)}")


def _floating(operation: str, dtype: npt.DTypeLike) -> np.dtype[Any]:
    """The type of what is drawn.

    Raises:
        DTypeError: it is no floating-point type.
    """
    found = options.element_type(operation, dtype)
    if found.kind in "biu":
        raise DTypeError(f"{operation}: random numbers are floating-point, got dtype {found}")
    return found
