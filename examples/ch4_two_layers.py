"""A network of two layers learns to read digits; numerical gradients take it the same way, only much more slowly.

A numerical gradient needs two passes through the network for each weight, backpropagation two in all. Both give the
same numbers, so the steps coincide. Then backpropagation goes on alone, for epochs over all training images of a larger
set; the accuracy on images that were not trained on rises with the other.

Chapter 4 of *Deep Learning from Scratch*.
"""

import time

import numpy as np

import dlcore as dl
import support
from dlcore import backend, data, models, optim
from dlcore import functional as F

options = support.options(__doc__)


def numerical_gradients(network, x, labels, h: float = 1e-5) -> None:
    """Fill in each weight's gradient: the loss with a little more of that weight, less the loss with a little less."""
    for parameter in network.parameters():
        values = parameter.numpy()
        slopes = np.zeros(values.shape)
        for place in np.ndindex(values.shape):
            moved = values.copy()
            moved[place] += h
            parameter.copy_(moved)
            above = F.cross_entropy(network(x), labels).item()
            moved[place] -= 2 * h
            parameter.copy_(moved)
            slopes[place] = (above - F.cross_entropy(network(x), labels).item()) / (2 * h)
        parameter.copy_(values)
        parameter.grad = dl.tensor(slopes)


def first_steps(kind: str, steps: int) -> tuple[list[float], float]:
    """The losses of so many steps from the same start on the same batches, and the seconds per step."""
    backend.seed(options.seed)
    network = models.MLP((1, 8, 8), 10, hidden=(5,)).astype("float64")
    optimizer = optim.SGD(network.parameters(), lr=0.5)
    batches = list(data.DataLoader(data.digits()[0], batch_size=100, shuffle=True))
    losses = []
    start = time.perf_counter()
    for step in range(steps):
        x, labels = batches[step % len(batches)]
        x = x.astype("float64")
        loss = F.cross_entropy(network(x), labels)
        losses.append(loss.item())
        optimizer.zero_grad()
        if kind == "numerical":
            with dl.no_grad():
                numerical_gradients(network, x, labels)
        else:
            loss.backward()
        optimizer.step()
    return losses, (time.perf_counter() - start) / steps


steps = 5 if options.quick else 40
first_steps("backpropagation", 1)  # compiles
slow, slow_seconds = first_steps("numerical", steps)
fast, fast_seconds = first_steps("backpropagation", steps)
support.table(
    ["gradient", f"loss at step {steps}", "ms per step"],
    [("numerical", slow[-1], 1e3 * slow_seconds), ("backpropagation", fast[-1], 1e3 * fast_seconds)],
)
apart = max(abs(a - b) for a, b in zip(slow, fast, strict=True))
print(f"\nThe losses differ by at most {apart:.1e}; the time by a factor of {slow_seconds / fast_seconds:.0f}\n")

train, _, test = support.digits_or_mnist(options)
network = models.MLP(train.input_shape, 10, hidden=(50,))
trainer = dl.Trainer(network, optim.SGD(network.parameters(), lr=0.1), progress=False)
loader = data.DataLoader(train, batch_size=100 if len(train) > 10_000 else 20, shuffle=True)
history = trainer.fit(loader, epochs=6 if options.quick else 16, validation=test)
rows = zip(history["epoch"], history["loss"], history["accuracy"], history["validation_accuracy"], strict=True)
support.table(["epoch", "loss", "trained images", "test images"], [(f"{epoch:.0f}", *rest) for epoch, *rest in rows])

figure, (left, right) = support.subplots(1, 2, height=3.6)
left.plot(
    range(1, steps + 1), fast, color=support.SKY, linewidth=5, label=f"backpropagation: {1e3 * fast_seconds:.1f} ms"
)
left.plot(range(1, steps + 1), slow, "k--", label=f"numerical: {1e3 * slow_seconds:.0f} ms")
left.set(title="The same steps", xlabel="step", ylabel="loss of the batch")
left.legend(title="gradient, time per step")
right.plot(history["epoch"], history["accuracy"], "o-", label="images trained on")
right.plot(history["epoch"], history["validation_accuracy"], "s--", label="images never seen")
right.set(
    title=f"Backpropagation on {len(train):,} images", xlabel="epoch", ylabel="accuracy", xticks=history["epoch"][::3]
)
right.legend()
support.save(figure, options)
