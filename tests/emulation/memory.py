"""The emulated devices' memory: every allocation ends where a page begins that cannot be touched.

                 ┌ address                    an access behind the end, or far before the start, is a signal;
    ░░░░ │ · · · xxxxxxxxxxxxxxxxxxxx · │ ░░░░     writes into the rest of the pages (·) are found after a launch
    guard        └ nbytes ┘               guard

New memory holds 0xFF: NaN in every floating-point type, −1 as an integer. What is freed is kept for later use, because
asking the system for pages takes longer than most operations of a test.
"""

import ctypes
import mmap
from collections import defaultdict

import numpy as np

from tests.emulation.errors import OutOfMemoryError

_PAGE = mmap.PAGESIZE
_GUARD = 64 * _PAGE  # address space, no memory
_ALIGNMENT = 16  # the widest load of a thread; on a device allocations are aligned to 512
_POISON = 0xFF
_POISONED_PAGE = bytes([_POISON]) * _PAGE
_NO_ACCESS = 0  # PROT_NONE
_MOST_KEPT = 256 * 2**20  # bytes
_MOST_GUARDED = 10_000  # pieces, in use or kept

#: As in CuPy's pool: sizes are counted in such units.
UNIT = 512

_c_library = ctypes.CDLL(None, use_errno=True)


class _Pages:
    """Some pages between two guards."""

    def __init__(self, size: int) -> None:
        global _guarded
        _guarded += 1
        self.size = size
        kind = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_NORESERVE", 0)
        self.map = mmap.mmap(-1, size + 2 * _GUARD, flags=kind, prot=mmap.PROT_READ | mmap.PROT_WRITE)
        start = ctypes.addressof(ctypes.c_char.from_buffer(self.map))
        self.start = start + _GUARD
        for guard in (start, self.start + size):
            if _c_library.mprotect(ctypes.c_void_p(guard), ctypes.c_size_t(_GUARD), _NO_ACCESS):
                raise OSError(ctypes.get_errno(), "mprotect")
        self.bytes = np.frombuffer(self.map, np.uint8, size, _GUARD)

    def __del__(self) -> None:
        global _guarded
        _guarded -= 1


class _Unguarded:
    """The same without guards: the system allows a process only some ten thousand of them."""

    def __init__(self, size: int) -> None:
        self.size = size
        memory = np.empty(size + _ALIGNMENT, np.uint8)
        skipped = -memory.ctypes.data % _ALIGNMENT
        self.bytes = memory[skipped : skipped + size]
        self.start = self.bytes.ctypes.data


class Pool:
    """The memory of one device: what is in use, and how much there is."""

    def __init__(self, device: int) -> None:
        self.device = device
        self.limit = 0  # bytes; 0 for none
        self.used = 0
        self.blocks = 0

    def take(self, nbytes: int) -> None:
        """Count an allocation.

        Raises:
            OutOfMemoryError: it would pass the limit.
        """
        rounded = -(-nbytes // UNIT) * UNIT
        if self.limit and self.used + rounded > self.limit:
            raise OutOfMemoryError(rounded, self.used, self.limit)
        self.used += rounded
        self.blocks += 1

    def give_back(self, nbytes: int) -> None:
        """Count the end of an allocation."""
        self.used -= -(-nbytes // UNIT) * UNIT
        self.blocks -= 1


pools: dict[int, Pool] = {}
_kept: dict[int, list[_Pages]] = defaultdict(list)
_kept_bytes = 0
_guarded = 0


def pool(device: int) -> Pool:
    """The pool of a device."""
    return pools.setdefault(device, Pool(device))


class Allocation:
    """A piece of a device's memory.

    Attributes:
        device: its number.
        nbytes: its size.
        address: where it starts; 0 if it is empty.
        is_exported: somebody else has a pointer to it, so that it must not be used again.
    """

    __slots__ = ("_pages", "address", "device", "is_exported", "nbytes")

    def __init__(self, nbytes: int, device: int) -> None:
        global _kept_bytes
        self.device = device
        self.nbytes = nbytes
        self.is_exported = False
        self.address = 0
        self._pages: _Pages | _Unguarded | None = None
        if not nbytes:
            return
        pool(device).take(nbytes)
        size = -(-nbytes // _PAGE) * _PAGE
        if _kept[size]:
            self._pages = _kept[size].pop()
            _kept_bytes -= size
        else:
            self._pages = (_Pages if _guarded < _MOST_GUARDED else _Unguarded)(size)
        self._pages.bytes.fill(_POISON)
        self.address = self._pages.start + self._first

    def __del__(self) -> None:
        global _kept_bytes
        if self._pages is None:
            return
        pool(self.device).give_back(self.nbytes)
        is_reusable = isinstance(self._pages, _Pages) and not self.is_exported
        if is_reusable and _kept_bytes + self._pages.size <= _MOST_KEPT:
            _kept[self._pages.size].append(self._pages)
            _kept_bytes += self._pages.size

    @property
    def _first(self) -> int:
        """The offset of the first byte in the pages."""
        assert self._pages is not None
        return (self._pages.size - self.nbytes) // _ALIGNMENT * _ALIGNMENT

    @property
    def bytes(self) -> np.ndarray:
        """The memory as the host's uint8 array."""
        if self._pages is None:
            return np.empty(0, np.uint8)
        return self._pages.bytes[self._first : self._first + self.nbytes]

    def stray_write(self) -> int | None:
        """The offset from the start (below 0, or from nbytes on) of a byte that was written beside the memory."""
        if self._pages is None:
            return None
        first, everything = self._first, self._pages.bytes
        for start, stop in ((0, first), (first + self.nbytes, self._pages.size)):
            beside = everything[start:stop]
            if beside.tobytes() != _POISONED_PAGE[: stop - start]:
                wrong = np.flatnonzero(beside != _POISON)
                beside[:] = _POISON
                return start + int(wrong[-1 if stop == first else 0]) - first
        return None


class Borrowed:
    """Memory of another library, which the emulation does not watch.

    Attributes:
        device: the number of the device that it counts as.
        nbytes: its size.
        address: where it starts.
    """

    __slots__ = ("address", "device", "is_exported", "nbytes", "owner")

    def __init__(self, host: np.ndarray, device: int) -> None:
        self.owner = host
        self.device = device
        self.address, stop = np.lib.array_utils.byte_bounds(host)
        self.nbytes = stop - self.address
        self.is_exported = True

    def stray_write(self) -> None:
        """Nothing is known."""
