"""Batch normalization makes initial values matter less.

The same network of six layers learns 1,000 images of digits from sixteen different initial values: weights with
standard deviations from 1 down to 0.0001. Without normalization it learns from two or three of them; the others are
too large, and it diverges, or too small, and it never starts. With batch normalization it learns from every one,
though from the most extreme slowly.

Chapter 6 of *Deep Learning from Scratch*.
"""

import itertools
import math

import numpy as np

import support
from dlcore import backend, data, nn, optim
from dlcore import functional as F
from dlcore.train import evaluate

SCALES = np.logspace(0, -4, num=16)


def make_network(features: int, scale: float, batch_norm: bool) -> nn.Sequential:
    """Five layers of 100 neurons, and one of 10, with weights of standard deviation `scale`."""
    layers: list[nn.Module] = [nn.Flatten()]
    widths = [features, *[100] * 5, 10]
    for width_in, width_out in itertools.pairwise(widths):
        linear = nn.Linear(width_in, width_out)
        nn.init.normal_(linear.weight, std=scale)
        nn.init.zeros_(linear.bias)
        layers += [linear, *([nn.BatchNorm1d(width_out)] if batch_norm else []), nn.ReLU()]
    last = -2 if batch_norm else -1  # the scores are neither normalized nor rectified
    return nn.Sequential(*layers[:last])


def learn(network: nn.Sequential, train: data.Dataset, epochs: int) -> list[float]:
    """Train with SGD; the accuracy on the training images after each epoch."""
    optimizer = optim.SGD(network.parameters(), lr=0.01)
    loader = data.DataLoader(train, batch_size=100, shuffle=True, seed=0)
    accuracies = []
    for _ in range(epochs):
        for images, labels in loader:
            loss = F.cross_entropy(network.train()(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        accuracies.append(evaluate(network, train)["accuracy"])
    return accuracies


options = support.options(__doc__)
everything, _, _ = support.digits_or_mnist(options)
images, epochs = (300, 2) if options.quick else (1000, 20)
train = data.Subset(everything, range(images))

figure, axes = support.subplots(4, 4, height=6.8, sharex=True, sharey=True)
rows = []
for each, scale in zip(axes.flat, SCALES, strict=True):
    final = []
    for batch_norm, label, style in ((True, "with batch normalization", "-"), (False, "without", "--")):
        backend.seed(options.seed)
        network = make_network(math.prod(train.input_shape), scale, batch_norm)
        with np.errstate(all="ignore"):  # without normalization the largest scales overflow
            accuracies = learn(network, train, epochs)
        final.append(accuracies[-1])
        color = support.BLUE if batch_norm else support.RED
        each.plot(range(1, epochs + 1), accuracies, style, color=color, label=label)
    each.set_title(f"std {scale:.2g}")
    each.set_ylim(0, 1.03)
    rows.append([f"{scale:.2g}", *final])

support.table(["std of the initial weights", "with batch normalization", "without"], rows)
figure.supxlabel("epoch", fontsize=10)
figure.supylabel("accuracy on the training images", fontsize=10)
figure.suptitle(f"{images:,} images, sixteen initial values, with and without batch normalization\n")
figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="upper center", ncols=2, bbox_to_anchor=(0.5, 0.97))
support.save(figure, options)
