"""Six optimizers train the same network.

A network of five layers learns digits, each time from the same initial values and the same batches; only the rule that
turns gradients into steps differs. Plain SGD is the slowest by far. The memory of Momentum and Nesterov helps much, a
step size for each weight (AdaGrad, RMSprop, Adam) still more. Other learning rates can change that order.

Chapter 6 of *Deep Learning from Scratch*.
"""

import numpy as np

import support
from dlcore import backend, data, models, optim
from dlcore import functional as F
from dlcore.train import evaluate

OPTIMIZERS = {
    "SGD": lambda parameters: optim.SGD(parameters, lr=0.01),
    "Momentum": lambda parameters: optim.Momentum(parameters, lr=0.01),
    "Nesterov": lambda parameters: optim.Nesterov(parameters, lr=0.01),
    "AdaGrad": lambda parameters: optim.AdaGrad(parameters, lr=0.01),
    "RMSprop": lambda parameters: optim.RMSprop(parameters, lr=0.001),
    "Adam": lambda parameters: optim.Adam(parameters, lr=0.001),
}

options = support.options(__doc__)
train, _, test = support.digits_or_mnist(options)
epochs, window = (10, 5) if options.quick else (5, 50)

losses: dict[str, list[float]] = {}
rows = []
for name, make_optimizer in OPTIMIZERS.items():
    backend.seed(options.seed)  # the same initial values and batches for all
    network = models.MLP(train.input_shape, 10, hidden=(100, 100, 100, 100))
    optimizer = make_optimizer(network.parameters())
    loader = data.DataLoader(train, batch_size=128, shuffle=True, seed=options.seed)
    losses[name] = []
    for _ in range(epochs):
        for images, labels in loader:
            loss = F.cross_entropy(network(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses[name].append(loss.item())
    rows.append([name, optimizer.lr, np.mean(losses[name][-window:]), evaluate(network, test)["accuracy"]])

support.table(["optimizer", "learning rate", f"loss of the last {window} batches", "test accuracy"], rows)

figure, axes = support.subplots()
for name, values in losses.items():
    smooth = np.convolve(values, np.full(window, 1 / window), mode="valid")
    axes.plot(np.arange(len(smooth)) + window, smooth, label=name, linewidth=1.4)
axes.set_yscale("log")
axes.set_xlabel("updates, of 128 images each")
axes.set_ylabel(f"training loss (cross-entropy), mean of {window} batches")
axes.set_title("The same network and batches, six optimizers")
axes.legend(ncols=2)
support.save(figure, options)
