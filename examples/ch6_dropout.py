"""Dropout holds back overfitting.

300 images are too few for a network of four layers: it soon knows them by heart, becomes ever surer of itself, and
therefore pays ever more for its mistakes on images that it never saw. With dropout every hidden neuron is silent in
half of the updates, at random, so that none can rely on one other: it needs longer to learn, is less sure, and in the
end reads a few more of the unseen images. In evaluation all neurons speak.

Chapter 6 of *Deep Learning from Scratch*.
"""

import math

import numpy as np

import dlcore as dl
import support
from dlcore import backend, data, nn, optim


def make_network(features: int, dropout: float) -> nn.Sequential:
    """Three layers of 300 neurons, each followed by dropout, and one of 10."""
    layers: list[nn.Module] = [nn.Flatten()]
    for width in (features, 300, 300):
        linear = nn.Linear(width, 300)
        nn.init.he_normal_(linear.weight)
        nn.init.zeros_(linear.bias)
        layers += [linear, nn.ReLU(), nn.Dropout(dropout)]
    return nn.Sequential(*layers, nn.Linear(300, 10))


options = support.options(__doc__)
everything, _, test = support.digits_or_mnist(options)
train = data.Subset(everything, range(300))
epochs = 30 if options.quick else 100

figure, (left, right) = support.subplots(1, 2, height=3.8)
rows = []
for dropout, color in ((0.0, support.RED), (0.5, support.BLUE)):
    backend.seed(options.seed)
    network = make_network(math.prod(train.input_shape), dropout)
    trainer = dl.Trainer(network, optim.Adam(network.parameters(), lr=0.001), progress=False)
    loader = data.DataLoader(train, batch_size=100, shuffle=True, seed=options.seed)
    seen, unseen = [], []
    for _ in range(epochs):
        trainer.fit(loader, epochs=1)
        seen.append(trainer.evaluate(train))
        unseen.append(trainer.evaluate(test))
    last = [float(np.mean([each[name] for each in unseen[-20:]])) for name in ("accuracy", "loss")]
    rows.append([f"p = {dropout}", seen[-1]["accuracy"], *last])
    for axes, name in ((left, "accuracy"), (right, "loss")):
        x = range(1, epochs + 1)
        axes.plot(x, [each[name] for each in seen], "--", color=color, label=f"dropout {dropout}, training")
        axes.plot(x, [each[name] for each in unseen], color=color, label=f"dropout {dropout}, test")

support.table(
    ["dropout", "training accuracy", "test accuracy, mean of 20 epochs", "test loss, mean of 20 epochs"], rows
)
left.set_title("300 training images: accuracy")
left.set_ylabel("accuracy")
left.set_ylim(top=1.02)
left.legend(loc="lower right")
right.set_title("Loss")
right.set_ylabel("cross-entropy")
right.set_ylim(0, 1.2)
right.legend()
for axes in (left, right):
    axes.set_xlabel("epoch")
support.save(figure, options)
