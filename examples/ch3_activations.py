"""Activation functions: what a neuron makes of the weighted sum of its inputs, and its slope.

A step has slope 0 wherever it has one, so no gradient could teach a network made of it; sigmoid and tanh are smooth
steps whose slope fades on both sides; ReLU's stays 1 as long as the neuron is active. On the output side, softmax makes
probabilities of any scores, and adding 1000 to all of them changes nothing: it cannot overflow.

Chapter 3 of *Deep Learning from Scratch*.
"""

import numpy as np

import dlcore as dl
import support

options = support.options(__doc__)
x = dl.tensor(np.linspace(-5, 5, 201), "float32", requires_grad=True)
activations = {
    "step": lambda x: (x > 0).astype("float32"),
    "sigmoid": dl.Tensor.sigmoid,
    "tanh": dl.Tensor.tanh,
    "ReLU": dl.Tensor.relu,
}

figure, (left, middle, right) = support.subplots(1, 3, height=3.4, width_ratios=[3, 3, 2])
rows = []
for name, activation in activations.items():
    y = activation(x)
    slope = dl.grad(y.sum(), [x])[0].numpy() if y.requires_grad else np.zeros(201)
    at = [20, 100, 140]  # x = -4, 0, 2
    rows.append((name, *map(float, y.numpy()[at]), *map(float, slope[at])))
    style = {"label": name, "linestyle": "--" if name == "step" else "-", "zorder": 3 if name == "step" else 2}
    left.plot(x.numpy(), y.numpy(), **style)
    middle.plot(x.numpy(), slope, **style)
support.table(["activation", "y(-4)", "y(0)", "y(2)", "slope(-4)", "slope(0)", "slope(2)"], rows)
left.set(title="Activation", xlabel="weighted sum $x$", ylabel="$y$", ylim=(-1.2, 2.2))
left.legend()
middle.set(title="Its slope", xlabel="weighted sum $x$", ylabel="$dy / dx$", ylim=(-0.1, 1.2))

scores = dl.tensor([0.3, 2.9, 4.0])
rows = []
for shift, place in ((0, -0.2), (1000, 0.2)):
    probabilities = (scores + shift).softmax().numpy()
    name = f"scores + {shift}" if shift else "the scores"
    rows.append((name, *map(float, (scores + shift).numpy()), *map(float, probabilities), float(probabilities.sum())))
    right.bar(np.arange(3) + place, probabilities, width=0.36, label=name)
support.table(["softmax of", "", "", "", "p(0)", "p(1)", "p(2)", "sum"], rows)
right.set(title="Softmax", xlabel="class", ylabel="probability", xticks=[0, 1, 2], ylim=(0, 1.2))
right.legend(loc="upper left", title="of 0.3, 2.9, 4.0")
support.save(figure, options)
