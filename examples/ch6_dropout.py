"""Dropout holds back overfitting.

300 images are too few for a network of seven layers. With dropout every neuron is silent in a fifth of the updates, at
random, so that none can rely on one other: the network needs longer to learn the training images, and in the end reads
more of those that it never saw. In evaluation all neurons speak.

Chapter 6 of *Deep Learning from Scratch*.
"""

import math

import dlcore as dl
import support
from dlcore import backend, data, nn, optim


def make_network(features: int, dropout: float) -> nn.Sequential:
    """Six layers of 100 neurons, each followed by dropout, and one of 10."""
    layers: list[nn.Module] = [nn.Flatten()]
    for width in (features, *[100] * 5):
        linear = nn.Linear(width, 100)
        nn.init.he_normal_(linear.weight)
        nn.init.zeros_(linear.bias)
        layers += [linear, nn.ReLU(), nn.Dropout(dropout)]
    return nn.Sequential(*layers, nn.Linear(100, 10))


options = support.options(__doc__)
everything, _, test = support.digits_or_mnist(options)
train = data.Subset(everything, range(300))
epochs = 20 if options.quick else 200

figure, axes = support.subplots()
rows = []
for dropout, color in ((0.0, support.RED), (0.2, support.BLUE)):
    backend.seed(options.seed)
    network = make_network(math.prod(train.input_shape), dropout)
    trainer = dl.Trainer(network, optim.Momentum(network.parameters(), lr=0.01), progress=False)
    loader = data.DataLoader(train, batch_size=100, shuffle=True, seed=options.seed)
    seen, unseen = [], []
    for _ in range(epochs):
        trainer.fit(loader, epochs=1)
        seen.append(trainer.evaluate(train)["accuracy"])
        unseen.append(trainer.evaluate(test)["accuracy"])
    rows.append([f"p = {dropout}", seen[-1], unseen[-1], seen[-1] - unseen[-1]])
    axes.plot(range(1, epochs + 1), seen, "--", color=color, label=f"dropout {dropout}, training images")
    axes.plot(range(1, epochs + 1), unseen, color=color, label=f"dropout {dropout}, test images")

support.table(["dropout", "training accuracy", "test accuracy", "gap"], rows)
axes.set_title("A network of seven layers on 300 training images")
axes.set_xlabel("epoch")
axes.set_ylabel("accuracy (all neurons speaking)")
axes.set_ylim(0, 1.03)
axes.legend(loc="lower right")
support.save(figure, options)
