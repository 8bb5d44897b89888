"""Sums that are cut into parts: how many parts, and their addition."""

import math

from kernels.cuda.launch import launch
from kernels.types import Array

#: Blocks that keep a device busy: several for each of its 100 to 150 multiprocessors. A constant, and not what this
#: device has, so that sums are cut alike everywhere.
_BLOCKS = 1024

#: Parts at most: more would make the addition of the parts long.
_MOST_PARTS = 512

#: Threads of `add_parts` along the result.
_ALONG = 32
_ROWS = 8


def part_length(length: int, blocks: int, least: int) -> int:
    """The length of a part of a sum, a multiple of `least`.

    Args:
        length: of the whole sum.
        blocks: thread blocks per part.
        least: terms of the sum that are worth a block's start.
    """
    parts = max(1, min(_BLOCKS // blocks, _MOST_PARTS))
    return max(1, math.ceil(length / parts / least)) * least


def add_parts(partials: Array, total: Array) -> None:
    """`total` = the sum over the first axis of `partials`, which are in the type that kernels compute with."""
    count = total.size
    grid, threads = (math.ceil(count / _ALONG),), (_ALONG, _ROWS)
    launch("partial_sums", "add_parts", grid, threads, (partials, total, len(partials), count), total.dtype)
