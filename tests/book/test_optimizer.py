"""`common.optimizer`: each rule against the book's formulas in plain NumPy, on arrays and on numbers."""

import numpy as np
import pytest

from dlcore.book.common import optimizer

RNG = np.random.default_rng(2)


def sgd(w, g, s, n):
    return w - 0.1 * g


def momentum(w, g, s, n):
    s["v"] = 0.9 * s.get("v", 0.0) - 0.1 * g
    return w + s["v"]


def nesterov(w, g, s, n):
    v = s["v"] = 0.9 * s.get("v", 0.0) - 0.1 * g
    return w + 0.9 * 0.9 * v - (1 + 0.9) * 0.1 * g


def adagrad(w, g, s, n):
    s["h"] = s.get("h", 0.0) + g * g
    return w - 0.1 * g / (np.sqrt(s["h"]) + 1e-7)


def rmsprop(w, g, s, n):
    s["h"] = 0.99 * s.get("h", 0.0) + 0.01 * g * g
    return w - 0.1 * g / (np.sqrt(s["h"]) + 1e-7)


def adam(w, g, s, n):
    rate = 0.1 * np.sqrt(1 - 0.999**n) / (1 - 0.9**n)
    m, v = s.get("m", 0.0), s.get("v", 0.0)
    s["m"], s["v"] = m + 0.1 * (g - m), v + 0.001 * (g**2 - v)
    return w - rate * s["m"] / (np.sqrt(s["v"]) + 1e-7)


RULES = [
    (optimizer.SGD, sgd),
    (optimizer.Momentum, momentum),
    (optimizer.Nesterov, nesterov),
    (optimizer.AdaGrad, adagrad),
    (optimizer.RMSprop, rmsprop),
    (optimizer.Adam, adam),
]


@pytest.mark.parametrize(("kind", "rule"), RULES)
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
def test_arrays_move_in_place(kind, rule, dtype):
    params = {"W1": RNG.normal(size=(4, 3)).astype(dtype), "b1": RNG.normal(size=3).astype(dtype)}
    aliases, states = dict(params), {key: {} for key in params}
    expected = {key: value.astype(np.float64) for key, value in params.items()}
    optimize = kind(lr=0.1)
    for step in range(1, 5):
        grads = {key: RNG.normal(size=value.shape).astype(dtype) for key, value in params.items()}
        optimize.update(params, {**grads, "unused": None})
        for key, grad in grads.items():
            expected[key] = rule(expected[key], grad.astype(np.float64), states[key], step)
    tolerance = {np.float64: 1e-12, np.float32: 1e-4, np.float16: 0.1}[dtype]
    for key, value in params.items():
        assert value is aliases[key]
        assert value.dtype == dtype
        np.testing.assert_allclose(value, expected[key], rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("kind", "rule"), RULES)
@pytest.mark.parametrize("number", [float, int, np.float64])
def test_numbers_move_in_the_dict(kind, rule, number):
    params, states = {"x": number(-7), "y": number(2)}, {"x": {}, "y": {}}
    expected, optimize = dict(params), kind(lr=0.1)
    for step in range(1, 31):
        grads = {"x": params["x"] / 10.0, "y": params["y"] * 2.0}
        expected = {key: rule(value, grads[key], states[key], step) for key, value in expected.items()}
        optimize.update(params, grads)
        assert params == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("kind", "rule"), RULES)
def test_gradients_of_another_order_or_type(kind, rule):
    w, g = RNG.normal(size=(4, 3)), RNG.normal(size=(3, 4)).T
    for grad in (g, g.astype(np.float32)):
        params = {"W": w.copy()}
        kind(lr=0.1).update(params, {"W": grad})
        np.testing.assert_allclose(params["W"], rule(w, grad.astype(np.float64), {}, 1), rtol=1e-6)


def test_defaults():
    assert [kind().lr for kind, _ in RULES] == [0.01, 0.01, 0.01, 0.01, 0.01, 0.001]
    assert (optimizer.Momentum().momentum, optimizer.Nesterov().momentum, optimizer.RMSprop().decay_rate) == (
        0.9,
        0.9,
        0.99,
    )
    assert (optimizer.Adam().beta1, optimizer.Adam().beta2) == (0.9, 0.999)


def test_integer_parameters_are_refused_as_numpy_refuses_them():
    with pytest.raises(TypeError):
        optimizer.SGD().update({"W": np.array([1, 2])}, {"W": np.array([0.5, 0.5])})
