"""Schedules: step by step against PyTorch's, by their own formulas, their state, what they refuse."""

import json
import math
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import dlcore as dl
from dlcore import optim

STEPS = 40

#: class, arguments as PyTorch takes them, keywords that PyTorch needs besides
CASES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("StepLR", {"step_size": 7}, {}),
    ("StepLR", {"step_size": 1, "gamma": 0.9}, {}),
    ("ExponentialLR", {"gamma": 0.93}, {}),
    ("CosineAnnealingLR", {"T_max": STEPS}, {}),
    ("CosineAnnealingLR", {"T_max": 13, "eta_min": 0.01}, {}),
    ("LinearLR", {}, {}),
    ("LinearLR", {"start_factor": 0.1, "end_factor": 0.8, "total_iters": 11}, {}),
    ("OneCycleLR", {"max_lr": 0.7, "total_steps": STEPS + 1}, {"cycle_momentum": False}),
    (
        "OneCycleLR",
        {
            "max_lr": [0.7, 0.2],
            "total_steps": STEPS + 1,
            "pct_start": 0.45,
            "anneal_strategy": "linear",
            "div_factor": 10.0,
            "final_div_factor": 100.0,
        },
        {"cycle_momentum": False},
    ),
]


def optimizer_of(lr: float = 0.5) -> optim.Optimizer:
    weights = [dl.ones(1, requires_grad=True) for _ in range(2)]
    return optim.SGD([{"params": weights[0]}, {"params": weights[1], "lr": 0.1}], lr=lr)


def peer_optimizer(torch: ModuleType, lr: float = 0.5) -> Any:
    weights = [torch.ones(1, requires_grad=True) for _ in range(2)]
    return torch.optim.SGD([{"params": weights[0]}, {"params": weights[1], "lr": 0.1}], lr=lr)


@pytest.mark.parametrize(("name", "options", "theirs_besides"), CASES, ids=str)
def test_like_torch(torch: ModuleType, name: str, options: dict[str, Any], theirs_besides: dict[str, Any]) -> None:
    peer = peer_optimizer(torch)
    ours = getattr(optim, name)(optimizer_of(), **options)
    theirs = getattr(torch.optim.lr_scheduler, name)(peer, **options, **theirs_besides)
    for step in range(STEPS):
        np.testing.assert_allclose(ours.get_last_lr(), theirs.get_last_lr(), rtol=1e-9, atol=1e-12, err_msg=str(step))
        peer.step()
        ours.step()
        theirs.step()
    np.testing.assert_allclose(ours.get_last_lr(), theirs.get_last_lr(), rtol=1e-9, atol=1e-12)


def test_one_after_the_other_like_torch(torch: ModuleType) -> None:
    optimizer, peer = optimizer_of(), peer_optimizer(torch)
    schedulers = torch.optim.lr_scheduler
    ours = optim.SequentialLR(
        optimizer,
        [
            optim.LinearLR(optimizer, 0.1, total_iters=5),
            optim.CosineAnnealingLR(optimizer, 12),
            optim.StepLR(optimizer, 4),
        ],
        [5, 17],
    )
    parts = [
        schedulers.LinearLR(peer, 0.1, total_iters=5),
        schedulers.CosineAnnealingLR(peer, 12),
        schedulers.StepLR(peer, 4),
    ]
    theirs = schedulers.SequentialLR(peer, parts, [5, 17])
    for _ in range(30):
        np.testing.assert_allclose(ours.get_last_lr(), theirs.get_last_lr(), rtol=1e-9, atol=1e-12)
        peer.step()
        ours.step()
        theirs.step()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"factor": 0.5, "patience": 2},
        {"mode": "max", "factor": 0.5, "patience": 1, "threshold": 0.2, "threshold_mode": "abs"},
        {"factor": 0.3, "patience": 0, "cooldown": 3, "min_lr": 0.02},
        {"factor": 0.9, "patience": 0, "eps": 0.02},
        {"mode": "max", "factor": 0.5, "patience": 1, "threshold": 0.05},
    ],
    ids=str,
)
def test_plateau_like_torch(torch: ModuleType, options: dict[str, Any]) -> None:
    optimizer, peer = optimizer_of(), peer_optimizer(torch)
    ours = optim.ReduceLROnPlateau(optimizer, **options)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(peer, **options)
    figures = np.random.default_rng(0).uniform(0.5, 1.0, 60) + np.linspace(1, 0, 60).clip(0.5)
    for figure in figures:
        ours.step(figure)
        theirs.step(figure)
        np.testing.assert_allclose(ours.get_last_lr(), [group["lr"] for group in peer.param_groups], rtol=1e-12)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda o: optim.StepLR(o, 2, 0.5), [1, 1, 0.5, 0.5, 0.25, 0.25]),
        (lambda o: optim.ExponentialLR(o, 0.5), [1, 0.5, 0.25, 0.125, 0.0625, 0.03125]),
        (lambda o: optim.CosineAnnealingLR(o, 4), [1, (1 + math.sqrt(0.5)) / 2, 0.5, (1 - math.sqrt(0.5)) / 2, 0]),
        (lambda o: optim.LinearLR(o, 0.2, total_iters=4), [0.2, 0.4, 0.6, 0.8, 1, 1, 1]),
        (lambda o: optim.OneCycleLR(o, 2.0, 6, 0.5, "linear", 4.0, 10.0), [0.5, 1.25, 2.0, 1.35, 0.7, 0.05]),
        (lambda o: optim.SequentialLR(o, [optim.LinearLR(o, 0.5, total_iters=2), optim.StepLR(o, 1)], [2]),
         [0.5, 0.75, 1, 0.1, 0.01]),
    ],
)  # fmt: skip
def test_closed_forms(make: Callable[[optim.Optimizer], optim.Schedule], expected: list[float]) -> None:
    optimizer = optim.SGD([dl.ones(1, requires_grad=True)], lr=1.0)
    schedule = make(optimizer)
    found = [optimizer.lr]
    for _ in expected[1:]:
        schedule.step()
        found.append(optimizer.lr)
    np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize(("name", "options", "_"), CASES, ids=str)
def test_going_on_from_saved_state(name: str, options: dict[str, Any], _: dict[str, Any]) -> None:
    optimizers = [optimizer_of(), optimizer_of(lr=0.9)]
    first, second = (getattr(optim, name)(optimizer, **options) for optimizer in optimizers)
    for _step in range(9):
        first.step()
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    optimizers[1].load_state_dict(optimizers[0].state_dict())
    for _step in range(9):
        assert first.get_last_lr() == second.get_last_lr()
        first.step()
        second.step()


def test_a_sequence_goes_on_from_saved_state() -> None:
    def made(lr: float) -> tuple[optim.Optimizer, optim.SequentialLR]:
        optimizer = optimizer_of(lr)
        parts = [optim.LinearLR(optimizer, 0.5, total_iters=4), optim.OneCycleLR(optimizer, 0.7, 30)]
        return optimizer, optim.SequentialLR(optimizer, parts, [4])

    (optimizer, first), (other, second) = made(0.5), made(0.9)
    np.testing.assert_allclose(first.get_last_lr(), [0.25, 0.05])
    for _ in range(3):
        first.step()
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    other.load_state_dict(optimizer.state_dict())
    for _ in range(9):
        assert first.get_last_lr() == second.get_last_lr()
        first.step()
        second.step()
    with pytest.raises(dl.StateDictError, match="SequentialLR: the saved state is of 1 schedules, not 2"):
        first.load_state_dict({**first.state_dict(), "schedulers": [{}]})


def test_a_plateau_goes_on_from_saved_state() -> None:
    optimizers = [optimizer_of(), optimizer_of()]
    first, second = (optim.ReduceLROnPlateau(optimizer, patience=2, cooldown=1) for optimizer in optimizers)
    for figure in (1.0, 2.0, 2.0):
        first.step(figure)
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    for figure in (2.0, 2.0, 2.0, 2.0, 0.5, dl.tensor(0.6)):
        first.step(figure)
        second.step(figure)
        assert first.get_last_lr() == second.get_last_lr()
    assert first.get_last_lr() != [0.5, 0.1]


def test_a_rate_set_by_hand_is_a_new_start() -> None:
    optimizer = optim.SGD([dl.ones(1, requires_grad=True)], lr=1.0)
    optim.LinearLR(optimizer, 0.5)
    optim.ExponentialLR(optimizer, 0.5)
    assert optimizer.lr == 1.0  # as PyTorch: both start from where the first did
    optimizer.lr = 0.25
    schedule = optim.ExponentialLR(optimizer, 0.5)
    schedule.step()
    assert optimizer.lr == 0.125


class SquareRoot(optim.Schedule):
    def rate(self, initial: float, count: int) -> float:
        return initial / math.sqrt(1 + count)


def test_users_write_their_own() -> None:
    optimizer = optim.SGD([dl.ones(1, requires_grad=True)], lr=1.0)
    schedule = SquareRoot(optimizer)
    for _ in range(3):
        schedule.step()
    assert optimizer.lr == 0.5


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda o: optim.StepLR(3, 1), "StepLR: expected an Optimizer first, got 3"),
        (lambda o: optim.StepLR(o, 0), "StepLR: step_size must be a whole number from 1, got 0"),
        (lambda o: optim.ExponentialLR(o, -1.0), "ExponentialLR: gamma must be a number at least 0.0"),
        (lambda o: optim.CosineAnnealingLR(o, 2.5), "CosineAnnealingLR: T_max must be a whole number from 1, got 2.5"),
        (lambda o: optim.LinearLR(o, start_factor=-1), "LinearLR: start_factor must be a number"),
        (lambda o: optim.OneCycleLR(o, [0.1], 10), "OneCycleLR: max_lr has 1 numbers for 2 groups"),
        (lambda o: optim.OneCycleLR(o, 0.1, 10, 1.5), "OneCycleLR: pct_start must be a number from 0.0 to 1.0"),
        (lambda o: optim.OneCycleLR(o, 0.1, 10, anneal_strategy="x"), 'anneal_strategy must be "cos" or "linear"'),
        (lambda o: [s := optim.OneCycleLR(o, 0.1, 2), s.step(), s.step()], "step 2 is beyond total_steps=2"),
        (lambda o: optim.SequentialLR(o, [optim.StepLR(o, 1)], [3]), "1 schedules need one rising milestone less"),
        (lambda o: optim.SequentialLR(o, [optim.StepLR(optimizer_of(), 1)], []), "a Schedule of the same optimizer"),
        (lambda o: optim.ReduceLROnPlateau(3), "ReduceLROnPlateau: expected an Optimizer first"),
        (lambda o: optim.ReduceLROnPlateau(o, "up"), 'ReduceLROnPlateau: mode must be "min" or "max"'),
        (lambda o: optim.ReduceLROnPlateau(o, factor=1.0), "ReduceLROnPlateau: factor must be .* below 1.0, got 1.0"),
    ],
)  # fmt: skip
def test_errors(call: Callable[[optim.Optimizer], Any], message: str) -> None:
    with pytest.raises(dl.ArgumentError, match=message):
        call(optimizer_of())


def test_a_schedule_without_a_rate() -> None:
    with pytest.raises(NotImplementedError, match="Schedule has no rate"):
        optim.Schedule(optimizer_of())


def test_state_that_does_not_fit_is_refused() -> None:
    schedule, plateau = optim.StepLR(optimizer_of(), 1), optim.ReduceLROnPlateau(optimizer_of())
    with pytest.raises(dl.StateDictError, match="StepLR: expected a saved state of count, initial, got best"):
        schedule.load_state_dict(plateau.state_dict())
    with pytest.raises(dl.StateDictError, match="ReduceLROnPlateau: expected a saved state of best"):
        plateau.load_state_dict(schedule.state_dict())
    with pytest.raises(dl.StateDictError, match="StepLR: the saved state is of 1 groups, not 2"):
        schedule.load_state_dict({"count": 3, "initial": [0.1]})
