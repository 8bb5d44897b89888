"""The question decides what a network gives out at its end, and by which loss it learns.

Yes or no: sigmoid and binary cross-entropy. One of several classes: softmax and categorical cross-entropy. Any number
of several labels: a sigmoid and a binary cross-entropy for each. Any real number: identity and mean squared error. A
number from 0 to 1: sigmoid and mean squared error (or binary cross-entropy). Here all five are asked about the same
handwritten digits. The cross-entropies take the sums that go into the output activation, so that nothing overflows.

Chapter 3 of *Deep Learning from Scratch*.
"""

import numpy as np

import dlcore as dl
import support
from dlcore import data, models, optim
from dlcore import functional as F

options = support.options(__doc__)
train, _, test = data.digits()
cross_entropy, binary, squared = F.cross_entropy, F.binary_cross_entropy_with_logits, F.mse_loss


def learn(x: np.ndarray, y: np.ndarray, x_test: np.ndarray, outputs: int, activation, loss) -> np.ndarray:
    """What an MLP answers for the test inputs, after training."""
    network = models.MLP(x.shape[1:], outputs)
    optimizer = optim.Adam(network.parameters(), lr=3e-3)
    batches = data.DataLoader(data.ArrayDataset(x, y), batch_size=50, shuffle=True)
    for _ in range(5 if options.quick else 60):
        for images, targets in batches:
            optimizer.zero_grad()
            loss(network(images), targets).backward()
            optimizer.step()
    with dl.no_grad():
        return activation(network(dl.tensor(x_test))).numpy()


def pairs(dataset: data.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Each digit with another one to its right, and which of the ten digits are there: (N, 10) of 0 and 1."""
    other = np.roll(np.arange(len(dataset)), 1)
    there = np.eye(10, dtype=np.float32)[np.stack([dataset.y, dataset.y[other]])].max(axis=0)
    return np.concatenate([dataset.x, dataset.x[other]], axis=3), there


def slant(x: np.ndarray) -> np.ndarray:
    """By how many pixels a digit moves to the right per row upwards (from second moments), (N, 1)."""
    weight = x[:, 0] / x[:, 0].sum(axis=(1, 2), keepdims=True)
    down, right = (axis - (weight * axis).sum(axis=(1, 2), keepdims=True) for axis in np.mgrid[0:8, 0:8])
    slopes = -(weight * down * right).sum(axis=(1, 2)) / (weight * down**2).sum(axis=(1, 2))
    return slopes.astype(np.float32)[:, np.newaxis]


odd, odd_test = ((part.y % 2).astype(np.float32)[:, np.newaxis] for part in (train, test))
(two, there), (two_test, there_test) = pairs(train), pairs(test)
hidden, hidden_test, grey, grey_test = train.x.copy(), test.x.copy(), train.x[:, :, 4, 4], test.x[:, :, 4, 4]
hidden[:, :, 4, 4] = hidden_test[:, :, 4, 4] = 0
slants, slants_test = slant(train.x), slant(test.x)
sigmoid, softmax, identity = dl.Tensor.sigmoid, dl.Tensor.softmax, lambda x: x

p_odd = learn(train.x, odd, test.x, 1, sigmoid, binary)
p_digit = learn(train.x, train.y, test.x, 10, softmax, cross_entropy)
p_there = learn(two, there, two_test, 10, sigmoid, binary)
real = learn(train.x, slants, test.x, 1, identity, squared)
shade = learn(hidden, grey, hidden_test, 1, sigmoid, lambda x, y: squared(x.sigmoid(), y))

pair_score = f"{((p_there > 0.5) == there_test).mean():.1%} of labels right"
# How far off the network is, and one who always answers with the mean.
off, shade_off = (
    f"off by {abs(answer - truth).mean():.3f}; the mean by {abs(mean - truth).mean():.3f}"
    for answer, truth, mean in ((real, slants_test, slants.mean()), (shade, grey_test, grey.mean()))
)
rows = [
    ("Is the digit odd?", "sigmoid", "binary c.-e.", f"{((p_odd > 0.5) == odd_test).mean():.1%} right"),
    ("Which digit is it?", "softmax", "cross-entropy", f"{(p_digit.argmax(axis=1) == test.y).mean():.1%} right"),
    ("Which digits are in the pair?", "sigmoid × 10", "binary c.-e.", pair_score),
    ("How far does it slant?", "identity", "squared error", off),
    ("How bright is the hidden pixel?", "sigmoid", "squared error", shade_off),
]
support.table(["question", "output", "loss", "on images not seen"], rows)

figure, grid = support.subplots(2, 3, height=5.2)
yes_or_no, classes, labels, slanted, bright, last = grid.flat
for axes, p, truth in ((yes_or_no, p_odd, odd_test), (labels, p_there, there_test)):
    kinds = ("even", "odd") if axes is yes_or_no else ("not there", "there")
    axes.hist([p[truth == 0], p[truth == 1]], bins=10, range=(0, 1), label=kinds, color=[support.SKY, support.RED])
    axes.set(xlabel="sigmoid", yscale="log")
    axes.legend()
yes_or_no.set(title="Odd? (sigmoid)", ylabel="images")
labels.set(title="Which pair? (10 sigmoids)", ylabel="labels")
classes.imshow([p_digit[test.y == digit].mean(axis=0) for digit in range(10)], cmap="Blues", vmin=0, vmax=1)
classes.set(title="Which digit? (softmax)", xlabel="mean probability of", ylabel="digit", xticks=range(0, 10, 3))
classes.grid(visible=False)
for axes, answer, truth in ((slanted, real, slants_test), (bright, shade, grey_test)):
    axes.axline((0, 0), slope=1, color=support.GREY, linewidth=1)
    axes.plot(truth, answer, ".", markersize=4, alpha=0.6)
slanted.set(title="Slant (identity)", xlabel="true, pixels per row", ylabel="answer")
bright.set(title="Hidden pixel (sigmoid)", xlabel="true grey value", ylabel="answer")
support.bare(last)
last.imshow(1 - np.concatenate([two_test[0, 0], np.zeros((1, 16)), np.pad(hidden_test[1, 0], ((0, 0), (4, 4)))]))
last.set_title("A pair; a hidden pixel")
support.save(figure, options)
