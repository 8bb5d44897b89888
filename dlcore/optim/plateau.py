"""A schedule that waits for a figure to improve no more."""

from collections.abc import Mapping
from typing import Any, Literal

from dlcore.optim.groups import check_range
from dlcore.optim.optimizer import Optimizer
from dlcore.optim.schedules import check_entries
from kernels import options
from kernels.errors import ArgumentError, StateDictError


class ReduceLROnPlateau:
    """Multiplied by `factor` when a figure, such as the validation loss, has not improved for `patience` steps.

    Args:
        optimizer: whose learning rates are reduced.
        mode: "min" for a figure that should fall, "max" for one that should rise.
        factor: what the rate is multiplied by, below 1.
        patience: how many steps without an improvement are borne.
        threshold: how much is an improvement: as a share of the best ("rel"), or as it is ("abs").
        threshold_mode: "rel" or "abs".
        cooldown: steps after a reduction in which nothing is counted.
        min_lr: no rate is brought below it.
        eps: a reduction by no more than this is left out.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: Literal["min", "max"] = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: Literal["rel", "abs"] = "rel",
        cooldown: int = 0,
        min_lr: float = 0.0,
        eps: float = 1e-8,
    ) -> None:
        if not isinstance(optimizer, Optimizer):
            raise ArgumentError(f"ReduceLROnPlateau: expected an Optimizer first, got {options.short(optimizer)}")
        options.choice("ReduceLROnPlateau", "mode", mode, ("min", "max"))
        options.choice("ReduceLROnPlateau", "threshold_mode", threshold_mode, ("rel", "abs"))
        check_range(
            "ReduceLROnPlateau",
            factor=(factor, 0.0, 1.0),
            patience=(patience, 0, None),
            threshold=(threshold, 0.0, None),
            cooldown=(cooldown, 0, None),
            min_lr=(min_lr, 0.0, None),
            eps=(eps, 0.0, None),
        )
        self.optimizer = optimizer
        self.mode = mode
        self.factor = factor
        self.patience = patience
        self.threshold = threshold
        self.threshold_mode = threshold_mode
        self.cooldown = cooldown
        self.min_lr = min_lr
        self.eps = eps
        self.best: float | None = None
        self.bad_steps = 0
        self.cooling = 0

    def step(self, metrics: float) -> None:
        """Take the next figure, a number or a Tensor of one element, and reduce the rates if it is time."""
        figure = _figure(metrics)
        if self.best is None or self._is_better(figure, self.best):
            self.best, self.bad_steps = figure, 0
        else:
            self.bad_steps += 1
        if self.cooling:
            self.cooling -= 1
            self.bad_steps = 0
        if self.bad_steps > self.patience:
            self.cooling, self.bad_steps = self.cooldown, 0
            for group in self.optimizer.param_groups:
                reduced = max(group["lr"] * self.factor, self.min_lr)
                if group["lr"] - reduced > self.eps:
                    group["lr"] = reduced

    def get_last_lr(self) -> list[float]:
        """The learning rate of each group, as it is now."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def _is_better(self, figure: float, best: float) -> bool:
        margin = self.threshold * (best if self.threshold_mode == "rel" else 1.0)
        return figure < best - margin if self.mode == "min" else figure > best + margin

    def state_dict(self) -> dict[str, Any]:
        """What a later run needs to go on; the optimizer keeps the rates themselves."""
        return {"best": self.best, "bad_steps": self.bad_steps, "cooling": self.cooling}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Go on from `state_dict()`.

        Raises:
            StateDictError: entries are missing or unknown; nothing is loaded.
        """
        check_entries(self, self.state_dict(), saved)
        try:
            for name in ("bad_steps", "cooling"):
                options.whole("ReduceLROnPlateau", name, saved[name], least=0)
            if saved["best"] is not None:
                _figure(saved["best"])
        except ArgumentError as error:
            raise StateDictError(f"{error} (in the saved state)") from None
        self.best, self.bad_steps, self.cooling = saved["best"], saved["bad_steps"], saved["cooling"]


def _figure(metrics: Any) -> float:
    value = metrics.item() if hasattr(metrics, "item") and getattr(metrics, "size", 0) == 1 else metrics
    if isinstance(value, float):
        return value  # NaN, too: it is not better than anything
    return options.number("ReduceLROnPlateau", "metrics", value)
