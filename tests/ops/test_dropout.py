"""Dropout: statistics, repeatability, its edges."""

import numpy as np
import pytest

import dlcore as dl
from dlcore import functional as F


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_statistics(backend: dl.backend.Backend, p: float) -> None:
    y = F.dropout(dl.ones((100, 1000)), p).numpy()
    assert set(np.unique(y)) == {np.float32(0), np.float32(1 / (1 - p))}
    kept = (y != 0).mean()
    assert abs(kept - (1 - p)) < 5 * np.sqrt(p * (1 - p) / y.size)
    assert abs(y.mean() - 1) < 5 * np.sqrt(p / (1 - p) / y.size)


def test_the_gradient_passes_where_the_value_did(backend: dl.backend.Backend) -> None:
    x = dl.ones(1000, requires_grad=True)
    y = F.dropout(x, 0.3)
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), y.numpy())


def test_repeats_with_the_seed_and_changes_from_call_to_call(backend: dl.backend.Backend) -> None:
    x = dl.ones((2, 3, 16, 16))
    first, second = F.dropout(x).numpy(), F.dropout(x).numpy()
    assert (first != second).any()
    dl.backend.seed(0)
    np.testing.assert_array_equal(F.dropout(x).numpy(), first)
    dl.backend.seed(1)
    assert (F.dropout(x).numpy() != first).any()


def test_the_mask_does_not_depend_on_the_memory_layout(backend: dl.backend.Backend) -> None:
    x = dl.ones((2, 3, 4, 5))
    plain = F.dropout(x).numpy()
    dl.backend.seed(0)
    permuted = dl.ones((2, 4, 5, 3)).permute_dims((0, 3, 1, 2))
    np.testing.assert_array_equal(F.dropout(permuted).numpy(), plain)


@pytest.mark.parametrize("p", [1e-12, 0.0])
def test_next_to_nothing_dropped(backend: dl.backend.Backend, p: float) -> None:
    assert (F.dropout(dl.ones(1000), p).numpy() == 1).all()


def test_all_dropped(backend: dl.backend.Backend) -> None:
    x = dl.ones(10, requires_grad=True)
    y = F.dropout(x, 1.0)
    y.sum().backward()
    assert not y.numpy().any()
    assert not x.grad.numpy().any()


def test_evaluation_is_the_identity(backend: dl.backend.Backend) -> None:
    x = dl.ones(10)
    assert F.dropout(x, 0.5, training=False) is x


@pytest.mark.parametrize("p", [-0.1, 1.1, float("nan")])
def test_impossible_probabilities(backend: dl.backend.Backend, p: float) -> None:
    with pytest.raises(dl.ArgumentError, match=f"dropout: p must be a probability from 0 to 1, got {p}"):
        F.dropout(dl.ones(3), p)
