"""One neuron draws one line, and XOR needs two.

AND, NAND and OR are one neuron each: it fires where w · x + b > 0, which is one side of a line. No line has the two 1s
of XOR on one side and the two 0s on the other: the best of 10,000 gets three of the four. Two layers do it:
XOR = AND(NAND, OR). Above, weights that were given; below, weights that were learned from the four lines of the truth
table.

Chapter 2 of *Deep Learning from Scratch*.
"""

import numpy as np

import dlcore as dl
import support
from dlcore import functional as F
from dlcore import nn, optim

options = support.options(__doc__)
points = dl.tensor([[0, 0], [1, 0], [0, 1], [1, 1]], "float32")
truth = {"AND": [0, 0, 0, 1], "NAND": [1, 1, 1, 0], "OR": [0, 1, 1, 1], "XOR": [0, 1, 1, 0]}


def neuron(w1: float, w2: float, b: float):
    """A neuron that fires where w₁ x₁ + w₂ x₂ + b > 0."""
    weight = dl.tensor([w1, w2], "float32")
    return lambda x: (x @ weight + b > 0).astype("float32")


def learned(network: nn.Module, target: list[int]):
    """The network, after it has learned the four lines of a truth table."""
    optimizer = optim.Adam(network.parameters(), lr=0.05)
    wanted = dl.tensor(target, "float32")
    for _ in range(300 if options.quick else 1000):
        loss = F.binary_cross_entropy_with_logits(network(points)[:, 0], wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return lambda x: (network(x)[:, 0] > 0).astype("float32")


def best_of(count: int, target: list[int]):
    """Of so many neurons with random weights the one that gets most of a truth table right."""
    lines = dl.randn(count, 3)
    fires = (points @ lines[:, :2].T + lines[:, 2] > 0).numpy()
    right = (fires == np.array(target)[:, np.newaxis]).sum(axis=0)
    return neuron(*lines.numpy()[right.argmax()].tolist())


AND, NAND, OR = neuron(0.5, 0.5, -0.7), neuron(-0.5, -0.5, 0.7), neuron(0.5, 0.5, -0.2)
two_layers = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1))
gates = [
    ("AND", "AND, given", AND),
    ("NAND", "NAND, given", NAND),
    ("OR", "OR, given", OR),
    ("XOR", "XOR, given", lambda x: AND(dl.stack([NAND(x), OR(x)], axis=1))),
    ("AND", "AND, learned", learned(nn.Linear(2, 1), truth["AND"])),
    ("OR", "OR, learned", learned(nn.Linear(2, 1), truth["OR"])),
    ("XOR", "XOR, best line", best_of(10_000, truth["XOR"])),
    ("XOR", "XOR, two layers", learned(two_layers, truth["XOR"])),
]
answers = [gate(points).numpy().astype(int) for _, _, gate in gates]
scores = [int(sum(answer == truth[name])) for (name, _, _), answer in zip(gates, answers, strict=True)]
rows = [(title, *answer, f"{score} of 4") for (_, title, _), answer, score in zip(gates, answers, scores, strict=True)]
support.table(["gate", "0 0", "1 0", "0 1", "1 1", "right"], rows)

side = np.linspace(-0.5, 1.5, 201, dtype=np.float32)
plane = np.stack(np.meshgrid(side, side), axis=-1)
figure, grid = support.subplots(2, 4, height=4.3, sharex=True, sharey=True)
for axes, (name, title, gate), score in zip(grid.flat, gates, scores, strict=True):
    fires = gate(dl.tensor(plane.reshape(-1, 2))).numpy().reshape(201, 201)
    axes.contourf(side, side, fires, levels=[-0.5, 0.5, 1.5], colors=["#f2f2f2", "#b9d9ee"])
    for value, marker, colour in ((0, "o", support.BLACK), (1, "^", support.RED)):
        at = points.numpy()[np.array(truth[name]) == value]
        axes.plot(at[:, 0], at[:, 1], marker, color=colour, markersize=8, label=f"wanted: {value}")
    axes.set_title(f"{title}: {score} of 4", fontsize=8.5)
    axes.set(aspect="equal", xticks=[0, 1], yticks=[0, 1])
for axes in grid[1]:
    axes.set_xlabel("$x_1$")
for axes in grid[:, 0]:
    axes.set_ylabel("$x_2$")
figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
figure.suptitle("Where a perceptron fires (blue)")
support.save(figure, options)
