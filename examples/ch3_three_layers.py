"""Two numbers go through three layers: by hand, as one matrix product per layer, and as a network.

Every circle is a neuron with the value it gives out, every line a weight (the thicker, the larger). A layer multiplies
what arrives by its weights, adds its biases and applies an activation; the last layer here gives its sums as they are.
`nn.Sequential` holds the same weights and gives the same answer.

Chapter 3 of *Deep Learning from Scratch*.
"""

import numpy as np

import dlcore as dl
import support
from dlcore import nn

options = support.options(__doc__)
x = dl.tensor([1.0, 0.5])
weights = [  # (out, in): one row for each neuron, the layout of nn.Linear
    dl.tensor([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]]),
    dl.tensor([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]]),
    dl.tensor([[0.1, 0.2], [0.3, 0.4]]),
]
biases = [dl.tensor([0.1, 0.2, 0.3]), dl.tensor([0.1, 0.2]), dl.tensor([0.1, 0.2])]

# By hand.
z1 = (weights[0] @ x + biases[0]).sigmoid()
z2 = (weights[1] @ z1 + biases[1]).sigmoid()
y = weights[2] @ z2 + biases[2]

# As a network, into which the same weights are loaded.
network = nn.Sequential(nn.Linear(2, 3), nn.Sigmoid(), nn.Linear(3, 2), nn.Sigmoid(), nn.Linear(2, 2))
parameters = [tensor.data for layer in zip(weights, biases, strict=True) for tensor in layer]
network.load_state_dict(dict(zip(network.state_dict(), parameters, strict=True)))
with dl.no_grad():
    answer = network(x)

layers = {"input": x, "layer 1": z1, "layer 2": z2, "output": y}
values = {name: layer.numpy() for name, layer in layers.items()}
support.table(["layer", "values"], [(name, "  ".join(f"{v:.6f}" for v in layer)) for name, layer in values.items()])
difference = abs(answer.numpy() - y.numpy()).max()
print(f"\nThe network says {answer.numpy()}; the largest difference is {difference:.1e}")

figure, axes = support.subplots(height=3.6)
support.bare(axes)
places = [
    [(column, row - (len(layer) - 1) / 2) for row in range(len(layer))] for column, layer in enumerate(values.values())
]
for column, weight in enumerate(weights):
    for (target, source), strength in np.ndenumerate(weight.numpy()):
        ends = np.array([places[column][source], places[column + 1][target]])
        axes.plot(*ends.T, color=support.SKY, linewidth=8 * strength, zorder=1, solid_capstyle="round")
for (name, layer), spots in zip(values.items(), places, strict=True):
    for value, (column, row) in zip(layer, spots, strict=True):
        axes.scatter(column, row, s=1500, color="white", edgecolor=support.BLUE, linewidth=1.5, zorder=2)
        axes.text(column, row, f"{value:.3f}", ha="center", va="center", fontsize=9, zorder=3)
    axes.text(spots[0][0], 1.75, name, ha="center", va="top", color=support.GREY)
axes.set(
    xlim=(-0.4, 3.4), ylim=(1.85, -1.5), title="A forward pass; the thicker a line, the larger the weight (0.1 to 0.6)"
)
support.save(figure, options)
