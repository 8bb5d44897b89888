"""What was measured, and what follows from it: ratios, geometric means beside goals, JSON.

A ratio is a peer's time divided by dlcore's: above 1, dlcore is faster. Ratios are taken of the fastest calls, and of
the medians as a second opinion.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from benchmarks.goals import LEAST_RATIO, NEAR_CEILING, PYTORCH, PYTORCH_BEST, Key
from benchmarks.timing import Timing

OURS = "dlcore"


@dataclass(frozen=True)
class Row:
    """One line of a table.

    Attributes:
        group: what the line is averaged with.
        action: the pass of a kernel, or what a network does.
        kernel: the function's name, or the network's.
        layer: its shapes, in short.
        timings: each contender's, by title.
        share: of what the machine can do at most, dlcore's fastest call; None where there is no such figure.
        rate: dlcore's fastest call in words, such as "105 GFLOP/s".
    """

    group: str
    action: str
    kernel: str
    layer: str
    timings: Mapping[str, Timing]
    share: float | None = None
    rate: str = ""

    def peers(self) -> dict[str, tuple[float, float]]:
        """Each peer's fastest and median seconds; PyTorch at its best is the best of its forms for each of them."""
        peers = {title: (t.minimum, t.median) for title, t in self.timings.items() if title != OURS}
        forms = [seconds for title, seconds in peers.items() if title.startswith(PYTORCH)]
        merged = {title: peers[title] for title in peers if title == PYTORCH or not title.startswith(PYTORCH)}
        if forms:
            merged[PYTORCH_BEST] = (min(fastest for fastest, _ in forms), min(median for _, median in forms))
        return merged

    def ratio(self, peer: str) -> float | None:
        """The peer's fastest call divided by ours; None where the peer does not compete."""
        return self._ratio(peer, 0)

    def median_ratio(self, peer: str) -> float | None:
        """The same of the median calls."""
        return self._ratio(peer, 1)

    def _ratio(self, peer: str, statistic: int) -> float | None:
        theirs = self.peers().get(peer)
        ours = self.timings[OURS]
        return None if theirs is None else theirs[statistic] / (ours.minimum, ours.median)[statistic]

    @property
    def is_behind(self) -> bool:
        """Whether PyTorch at its best is clearly faster, and the machine's limit is not the reason."""
        ratio = self.ratio(PYTORCH_BEST)
        at_limit = self.share is not None and self.share >= NEAR_CEILING
        return ratio is not None and ratio < LEAST_RATIO and not at_limit


class Mean(NamedTuple):
    """The geometric mean of a group's ratios to one peer.

    Attributes:
        group, action, peer: what it is of.
        rows: how many ratios are in it.
        ratio: of the fastest calls.
        median_ratio: of the median calls.
        least: the smallest ratio.
        goal: what it should be at least; None where none was set.
    """

    group: str
    action: str
    peer: str
    rows: int
    ratio: float
    median_ratio: float
    least: float
    goal: float | None

    @property
    def is_reached(self) -> bool | None:
        """Whether the goal is reached; None without one."""
        return None if self.goal is None else self.ratio >= self.goal


def geometric_mean(values: Iterable[float]) -> float:
    """The n-th root of the product of n positive numbers."""
    logarithms = [math.log(value) for value in values]
    return math.exp(math.fsum(logarithms) / len(logarithms))


def means(rows: Sequence[Row], goal_of: Callable[[Key], float | None]) -> list[Mean]:
    """For each group, action and peer, in the order of the rows, the geometric mean of the ratios."""
    gathered: dict[Key, list[tuple[float, float]]] = {}
    for row in rows:
        for peer in row.peers():
            ratio, median_ratio = row.ratio(peer), row.median_ratio(peer)
            assert ratio is not None
            assert median_ratio is not None
            gathered.setdefault((row.group, row.action, peer), []).append((ratio, median_ratio))
    return [
        Mean(
            *key,
            rows=len(ratios),
            ratio=geometric_mean(ratio for ratio, _ in ratios),
            median_ratio=geometric_mean(median for _, median in ratios),
            least=min(ratio for ratio, _ in ratios),
            goal=goal_of(key),
        )
        for key, ratios in gathered.items()
    ]


def as_json(rows: Sequence[Row], found: Sequence[Mean]) -> dict[str, Any]:
    """Rows and means for `json.dumps`: every contender's fastest and median call, and how many there were."""
    return {
        "rows": [
            {
                "group": row.group,
                "pass": row.action,
                "kernel": row.kernel,
                "layer": row.layer,
                "rate": row.rate,
                "share_of_ceiling": row.share,
                "is_behind": row.is_behind,
                "ratios": {peer: row.ratio(peer) for peer in row.peers()},
                "contenders": {title: timing.as_json() for title, timing in row.timings.items()},
            }
            for row in rows
        ],
        "means": [{**mean._asdict(), "is_reached": mean.is_reached} for mean in found],
    }
