"""Six optimizers walk down one long valley.

f(x, y) = x²/20 + y² is steep along y and nearly flat along x, so its gradient seldom points at the minimum, the star.
SGD zigzags between the walls; Momentum and Nesterov roll like a ball, which swings but gathers speed along the valley;
AdaGrad and RMSprop give each coordinate a step size of its own, and bend towards the minimum at once. Adam does both.

Chapter 6 of *Deep Learning from Scratch*.
"""

import numpy as np

import dlcore as dl
import support
from dlcore import optim

START = (-7.0, 2.0)
STEPS = 30

# Each needs its own learning rate. Those of SGD, Momentum, AdaGrad and Adam are the book's.
OPTIMIZERS = {
    "SGD": lambda parameters: optim.SGD(parameters, lr=0.95),
    "Momentum": lambda parameters: optim.Momentum(parameters, lr=0.1),
    "Nesterov": lambda parameters: optim.Nesterov(parameters, lr=0.1),
    "AdaGrad": lambda parameters: optim.AdaGrad(parameters, lr=1.5),
    "RMSprop": lambda parameters: optim.RMSprop(parameters, lr=0.3, alpha=0.9),
    "Adam": lambda parameters: optim.Adam(parameters, lr=0.3),
}


def f(x, y):
    """The valley: of numbers, of arrays and of Tensors."""
    return x**2 / 20 + y**2


def walk(make_optimizer) -> np.ndarray:
    """The points on the way, (STEPS + 1, 2)."""
    point = dl.tensor(START, requires_grad=True)
    optimizer = make_optimizer([point])
    points = [point.numpy()]
    for _ in range(STEPS):
        optimizer.zero_grad()
        f(point[0], point[1]).backward()
        optimizer.step()
        points.append(point.numpy())
    return np.stack(points)


options = support.options(__doc__)
paths = {name: walk(make_optimizer) for name, make_optimizer in OPTIMIZERS.items()}

support.table(
    ["optimizer", "x at the end", "y at the end", "f at the end", "length of the way"],
    [
        [name, *map(float, path[-1]), float(f(*path[-1])), float(np.linalg.norm(np.diff(path, axis=0), axis=1).sum())]
        for name, path in paths.items()
    ],
)

x, y = np.meshgrid(np.linspace(-8, 8, 161), np.linspace(-3.2, 3.2, 65))
figure, axes = support.subplots(3, 2, height=6.6, sharex=True, sharey=True)
for each, (name, path) in zip(axes.flat, paths.items(), strict=True):
    each.contour(x, y, f(x, y), levels=np.linspace(0.2, 3.6, 9) ** 2, colors=support.GREY, linewidths=0.6, alpha=0.6)
    each.plot(*path.T, marker="o", markersize=3, linewidth=1, color=support.RED)
    each.plot(0, 0, marker="*", markersize=11, color=support.BLUE)
    each.set_title(f"{name}: f = {f(*path[-1]):.2g} after {STEPS} steps")
    each.grid(visible=False)
for each in axes[-1]:
    each.set_xlabel("x")
for each in axes[:, 0]:
    each.set_ylabel("y")
figure.suptitle("f(x, y) = x²/20 + y², from (-7, 2)")
support.save(figure, options)
