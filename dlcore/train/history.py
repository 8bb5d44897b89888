"""What a training run has shown so far."""

import math
from collections.abc import Iterator
from typing import TypeAlias, overload

from kernels.errors import ArgumentError

#: The figures of one epoch, by name: "epoch", "step", "learning_rate", "loss", metrics, "validation_loss", …
Record: TypeAlias = dict[str, float]


class History:
    """One record per epoch, in order. `history["validation_loss"]` is the list of that figure over the epochs."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def append(self, record: Record) -> None:
        """Add the next epoch's figures."""
        self.records.append(record)

    @property
    def names(self) -> list[str]:
        """The names of the figures that each record holds."""
        return list(self.records[0]) if self.records else []

    def best(self, monitor: str = "validation_loss") -> Record:
        """The record of the epoch in which `monitor` was best, the earliest of equals; see `is_better`.

        Raises:
            ArgumentError: there is no such figure, or it never was a number.
        """
        best: Record | None = None
        for record, value in zip(self.records, self[monitor], strict=True):
            if is_better(monitor, value, math.nan if best is None else best[monitor]):
                best = record
        if best is None:
            raise ArgumentError(f"history: {monitor!r} was never a number in {len(self)} epochs")
        return best

    @overload
    def __getitem__(self, name: str) -> list[float]: ...
    @overload
    def __getitem__(self, name: int) -> Record: ...
    def __getitem__(self, name: str | int) -> list[float] | Record:
        """A figure by its name, epoch by epoch; an epoch's record by its position."""
        if isinstance(name, int):
            return self.records[name]
        if name not in self.names:
            raise ArgumentError(f"history: there is no figure {name!r}, only {', '.join(self.names) or 'no epoch yet'}")
        return [record[name] for record in self.records]

    def __iter__(self) -> Iterator[Record]:
        """Record by record."""
        return iter(self.records)

    def __len__(self) -> int:
        """The number of epochs."""
        return len(self.records)

    def __repr__(self) -> str:
        return f"History({len(self)} epochs of {', '.join(self.names)})"


def is_better(name: str, value: float, than: float, min_delta: float = 0.0) -> bool:
    """Whether `value` beats `than` by more than `min_delta`. A loss is better when smaller, other figures when larger.

    NaN never beats anything, and every number beats NaN.
    """
    if math.isnan(than):
        return not math.isnan(value)
    return (than - value if name.endswith("loss") else value - than) > min_delta
