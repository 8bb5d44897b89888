"""Gradient descent walks downhill; the learning rate is the length of its steps.

On f(x₀, x₁) = x₀² + x₁² each step multiplies the distance to the minimum by 1 - 2 · rate. With a rate that is too small
next to nothing happens; with a large one each step jumps over the valley; above 1 it climbs out. The upper row cuts
through the valley, from the start on the left through the minimum; the lower row shows the function's value.

Chapter 4 of *Deep Learning from Scratch*.
"""

import numpy as np

import dlcore as dl
import support
from dlcore import optim

options = support.options(__doc__)
rates = {0.005: "too small", 0.1: "good", 0.9: "large", 1.02: "too large"}
steps = 50 if options.quick else 100


def descend(rate: float) -> tuple[np.ndarray, np.ndarray]:
    """The points from (-3, 4) on, and the function's value at each."""
    x = dl.tensor([-3.0, 4.0], requires_grad=True)
    optimizer = optim.SGD([x], lr=rate)
    points, values = [], []
    for _ in range(steps + 1):
        value = (x * x).sum()
        points.append(x.numpy())
        values.append(value.item())
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
    return np.array(points), np.array(values)


figure, grid = support.subplots(2, 4, height=4.6, sharex="row", sharey="row")
cut = np.linspace(-8, 8, 100)  # signed distance from the minimum
rows = []
for (above, below), (rate, name) in zip(grid.T, rates.items(), strict=True):
    points, values = descend(rate)
    rows.append((f"{rate:g} ({name})", *map(float, points[-1]), float(values[-1])))
    distance = points @ np.array([0.6, -0.8])
    above.plot(cut, cut**2, color=support.GREY, linewidth=1)
    above.plot(distance[:13], values[:13], "o-", color=support.BLUE, markersize=4, linewidth=1)
    above.set(title=f"rate {rate:g}: {name}", xlabel="distance", xlim=(-8.2, 8.2), ylim=(-3, 66))
    below.semilogy(values, color=support.BLUE)
    below.set(xlabel="step", ylim=(1e-18, 1e6))
support.table(["learning rate", f"x₀ after {steps} steps", "x₁", "f"], rows)
grid[0, 0].set_ylabel("$x_0^2 + x_1^2$, 12 steps")
grid[1, 0].set_ylabel("$x_0^2 + x_1^2$")
support.save(figure, options)
