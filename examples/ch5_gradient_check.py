"""Is the backward pass right? Compare it with numerical gradients, number by number.

On the left, every weight of a small network, on real digits: the points would leave the diagonal where backpropagation
errs. On the right, what is left of the difference. `dl.gradcheck` does this for any function, and finds the mistake in
an operation whose author took the derivative of x² for x.

Chapter 5 of *Deep Learning from Scratch*.
"""

import numpy as np

import dlcore as dl
import support
from dlcore import data, models
from dlcore import functional as F

options = support.options(__doc__)
train, _, _ = data.digits()
x, labels = dl.tensor(train.x[:3], "float64"), dl.tensor(train.y[:3])
network = models.MLP((1, 8, 8), 10, hidden=(30,)).astype("float64")


def numerical(parameter: dl.Tensor, step: float = 1e-4) -> np.ndarray:
    """The derivative of the loss by each element of a parameter, as a central difference."""
    values = parameter.numpy()
    slopes = np.zeros(values.shape)
    for place in np.ndindex(values.shape):
        losses = []
        for moved in (values[place] + step, values[place] - step):
            shifted = values.copy()
            shifted[place] = moved
            parameter.copy_(shifted)
            losses.append(F.cross_entropy(network(x), labels).item())
        slopes[place] = (losses[0] - losses[1]) / (2 * step)
    parameter.copy_(values)
    return slopes


class Square(dl.Function):
    """x², with a mistake: its derivative is 2 x."""

    def forward(self, x):
        """An array in, an array out."""
        self.save(x)
        return x * x

    def backward(self, grad_output):
        """A Tensor in, a Tensor out."""
        (x,) = self.saved
        return grad_output * x


F.cross_entropy(network(x), labels).backward()
figure, (left, right) = support.subplots(1, 2, height=3.8)
rows = []
for (name, parameter), marker in zip(network.named_parameters(), "o^sD", strict=True):
    with dl.no_grad():
        by_difference = numerical(parameter)
    by_backpropagation = parameter.grad.numpy()
    error = abs(by_difference - by_backpropagation)
    rows.append((name, parameter.size, float(abs(by_backpropagation).mean()), float(error.mean()), float(error.max())))
    left.plot(by_difference.ravel(), by_backpropagation.ravel(), marker, markersize=4, alpha=0.6, label=name)
    right.hist(np.log10(error[error > 0]), bins=30, range=(-17, -7), histtype="step", label=name)
support.table(["parameter", "weights", "mean gradient", "mean difference", "largest"], rows)
left.set(title="Gradients of the loss by each weight", xlabel="numerical", ylabel="backpropagation")
left.legend()
right.set(title="Their difference", xlabel="log₁₀ of the difference", ylabel="weights", yscale="log")
right.legend()

try:
    dl.gradcheck(Square.apply, [dl.tensor([1.0, 2.0, 3.0], "float64", requires_grad=True)])
except dl.GradientCheckError as error:
    print(f"\nThe wrong x²: {error}")
support.save(figure, options)
