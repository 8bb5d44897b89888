"""Philox4x32-10: counter-based random words, the same bits from every array library.

Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC 2011).

A block of four 32-bit words is a pure function of a 64-bit key and a 128-bit counter: nothing is carried from one
block to the next, so any thread, process or device can compute any part of a stream. Here the key is the seed, the
upper half of the counter names the stream (its purpose) and the lower half counts blocks within it.
"""

from types import ModuleType

from kernels.types import Array

MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
KEY_INCREMENTS = (0x9E3779B9, 0xBB67AE85)  # the golden ratio, and sqrt(3) - 1
ROUNDS = 10
LOW = 0xFFFFFFFF


def philox4x32(xp: ModuleType, count: int, *, key: int, stream: int = 0, start: int = 0) -> Array:
    """`count` random words: those of blocks `start`, `start + 1`, … of one stream.

    Args:
        xp: the array library that computes them (NumPy or CuPy).
        count: how many words; the last block is cut where 4 does not divide it.
        key: 64 bits, the seed.
        stream: 64 bits, the upper half of the counter.
        start: the first block, below 2**64.

    Returns:
        uint32 array of shape (count,).
    """
    blocks = -(-count // 4)
    index = xp.arange(blocks, dtype=xp.uint64) + xp.uint64(start)
    low = xp.uint64(LOW)
    shift = xp.uint64(32)
    c0, c1 = index & low, index >> shift
    c2 = xp.full(blocks, stream & LOW, dtype=xp.uint64)
    c3 = xp.full(blocks, stream >> 32, dtype=xp.uint64)
    k0, k1 = key & LOW, key >> 32
    for _ in range(ROUNDS):
        product0 = c0 * xp.uint64(MULTIPLIERS[0])
        product1 = c2 * xp.uint64(MULTIPLIERS[1])
        c0, c1 = (product1 >> shift) ^ c1 ^ xp.uint64(k0), product1 & low
        c2, c3 = (product0 >> shift) ^ c3 ^ xp.uint64(k1), product0 & low
        k0 = (k0 + KEY_INCREMENTS[0]) & LOW
        k1 = (k1 + KEY_INCREMENTS[1]) & LOW
    words: Array = xp.stack([c0, c1, c2, c3], axis=1).astype(xp.uint32).reshape(-1)
    return words[:count]
