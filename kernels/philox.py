"""Philox4x32-10: counter-based random words, the same bits from every array library.

Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC 2011).

A block of four 32-bit words is a pure function of a 64-bit key and a 128-bit counter: nothing is carried from one
block to the next, so any thread, process or device can compute any part of a stream. Here the key is the seed, the
upper half of the counter names the stream (its purpose) and the lower half counts blocks within it.
"""

from types import ModuleType

import numpy as np

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
    if xp is not np:
        from kernels.cuda.dropout import random_words  # what needs no device does not load it

        return random_words(xp, count, key=key, stream=stream, start=start)
    blocks = -(-count // 4)
    index = np.arange(blocks, dtype=np.uint64) + np.uint64(start)
    low, shift = np.uint64(LOW), np.uint64(32)
    c0, c1 = index & low, index >> shift
    c2 = np.full(blocks, stream & LOW, dtype=np.uint64)
    c3 = np.full(blocks, stream >> 32, dtype=np.uint64)
    k0, k1 = key & LOW, key >> 32
    for _ in range(ROUNDS):
        product0 = c0 * np.uint64(MULTIPLIERS[0])
        product1 = c2 * np.uint64(MULTIPLIERS[1])
        c0, c1 = (product1 >> shift) ^ c1 ^ np.uint64(k0), product1 & low
        c2, c3 = (product0 >> shift) ^ c3 ^ np.uint64(k1), product0 & low
        k0 = (k0 + KEY_INCREMENTS[0]) & LOW
        k1 = (k1 + KEY_INCREMENTS[1]) & LOW
    words: Array = np.stack([c0, c1, c2, c3], axis=1).astype(np.uint32).reshape(-1)
    return words[:count]
